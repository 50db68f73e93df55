// The options of section `learning`.
#include "daemon/config/option_declaration.h"

namespace freshet {

using namespace declaration;  // NOLINT(google-build-using-namespace): the language of this file

namespace {

void add_optimizer(List& list) {
  add(list,
      Declare("learning.optimizer", Type::kChoice, FIELD(learning.optimizer),
              "How gradients become steps. `adam` adds the weight decay to the gradient, `adamw` takes it from the "
              "weights.")
          .choices({"sgd", "adam", "adamw", "adagrad"})
          .new_state());
  add(list, Declare("learning.learning_rate", Type::kReal, FIELD(learning.learning_rate),
                    "Size of a step; where a schedule moves it, the highest one.")
                .above(0, 100));
  add(list, Declare("learning.momentum", Type::kReal, FIELD(learning.momentum), "Momentum of `sgd`.").below(0, 1));
  add(list, Declare("learning.nesterov", Type::kBool, FIELD(learning.nesterov), "Nesterov's form of the momentum."));
  add(list, Declare("learning.beta1", Type::kReal, FIELD(learning.beta1),
                    "With `adam` and `adamw`: decay of the gradients' moving average.")
                .below(0, 1));
  add(list, Declare("learning.beta2", Type::kReal, FIELD(learning.beta2),
                    "With `adam` and `adamw`: decay of the squared gradients' moving average.")
                .below(0, 1));
  add(list, Declare("learning.epsilon", Type::kReal, FIELD(learning.epsilon),
                    "Added to the root that divides a step. None: 1e-8 for `adam` and `adamw`, 1e-10 for `adagrad`.")
                .above(0, 1)
                .or_none()
                .example("1e-8"));
  add(list, Declare("learning.initial_accumulator", Type::kReal, FIELD(learning.initial_accumulator),
                    "With `adagrad`: where the sums of squared gradients start.")
                .between(0, 1e6));
  add(list, Declare("learning.weight_decay", Type::kReal, FIELD(learning.weight_decay),
                    "Weight decay; decoupled for `adamw`, else added to the gradient.")
                .between(0, 10));
}

// Not live: a round that is redone after a crash must take the steps that it took.
void add_schedule(List& list) {
  add(list,
      Declare(
          "learning.schedule.kind", Type::kChoice, FIELD(learning.schedule.kind),
          "How the learning rate moves with the steps. `noam`: up in a line for the warm-up, then down with the root "
          "of the step; its size is `scale`. `inverse_sqrt`: the same up to and from `learning.learning_rate`. "
          "`cosine_restarts`: down along a half cosine to `minimum_rate`, again and again. `exponential`: times "
          "`decay_rate` every `decay_steps`.")
          .choices({"constant", "noam", "inverse_sqrt", "cosine_restarts", "exponential"}));
  add(list,
      Declare("learning.schedule.scale", Type::kReal, FIELD(learning.schedule.scale),
              "With `noam`: factor of the rate scale * dim^-0.5 * min(s^-0.5, s * warmup_steps^-1.5), where s counts "
              "steps from 1.")
          .above(0, 1e6));
  add(list, Declare("learning.schedule.dim", Type::kWhole, FIELD(learning.schedule.dim),
                    "With `noam`: width of the model. None: that of its first hidden layer.")
                .between(1, 1'048'576)
                .or_none()
                .example("512"));
  add(list, Declare("learning.schedule.warmup_steps", Type::kWhole, FIELD(learning.schedule.warmup_steps),
                    "With `noam` and `inverse_sqrt`: steps until the rate is at its highest.")
                .between(1, 1e9));
  add(list, Declare("learning.schedule.first_period", Type::kWhole, FIELD(learning.schedule.first_period),
                    "With `cosine_restarts`: steps until the first restart.")
                .between(1, kEventsMax));
  add(list, Declare("learning.schedule.t_mult", Type::kWhole, FIELD(learning.schedule.t_mult),
                    "With `cosine_restarts`: each period is so many times as long as the one before.")
                .between(1, 1000));
  add(list, Declare("learning.schedule.decay_rate", Type::kReal, FIELD(learning.schedule.decay_rate),
                    "With `exponential`: factor of the rate after `decay_steps`.")
                .inside(0, 1));
  add(list, Declare("learning.schedule.decay_steps", Type::kWhole, FIELD(learning.schedule.decay_steps),
                    "With `exponential`: steps over which the rate falls by `decay_rate`.")
                .between(1, kEventsMax));
  add(list, Declare("learning.schedule.staircase", Type::kBool, FIELD(learning.schedule.staircase),
                    "With `exponential`: the rate falls at once after `decay_steps`, not little by little."));
  add(list, Declare("learning.schedule.start_step", Type::kWhole, FIELD(learning.schedule.start_step),
                    "Step from which on the rate moves; before it, it is as at that step.")
                .between(0, kEventsMax));
  add(list, Declare("learning.schedule.step_duration", Type::kWhole, FIELD(learning.schedule.step_duration),
                    "Steps of training that are one step of the schedule.")
                .between(1, 1e9));
  add(list, Declare("learning.schedule.minimum_rate", Type::kReal, FIELD(learning.schedule.minimum_rate),
                    "The rate never falls below this.")
                .between(0, 100));
}

void add_loss(List& list) {
  add(list, Declare("learning.label_smoothing", Type::kReal, FIELD(learning.label_smoothing),
                    "Share of a label spread over all classes.")
                .below(0, 1));
  add(list,
      Declare("learning.class_weights", Type::kRealList, FIELD(learning.class_weights),
              "Factor of the weight of each class's events in training, in the order of the classes. Empty: all 1.")
          .between(0, 1e6)
          .example("[1, 10]"));
  add(list,
      Declare("learning.loss", Type::kChoice, FIELD(learning.loss),
              "`auto`: cross-entropy for classes, squared error for a regression. Of a regression, `quantile` "
              "predicts the label's quantile `learning.quantile`, and `poisson` the mean rate of a count: the model's "
              "output is its logarithm, negative labels are not learnt from. To go to or from `poisson` takes a fresh "
              "`memory.path`.")
          .choices({"auto", "cross_entropy", "mse", "mae", "huber", "quantile", "poisson"}));
  add(list, Declare("learning.huber_delta", Type::kReal, FIELD(learning.huber_delta),
                    "With `loss: huber`: errors count squared up to this and linearly beyond.")
                .above(0, 1e9));
  add(list, Declare("learning.quantile", Type::kReal, FIELD(learning.quantile),
                    "With `loss: quantile`: share of the labels that are to lie below the prediction.")
                .inside(0, 1)
                .example("0.9"));
}

void add_sifting(List& list) {
  add(list,
      Declare("learning.sifting.kind", Type::kChoice, FIELD(learning.sifting.kind),
              "Leaves out samples that teach little, by losses that are known already. `relative_probabilistic`: a "
              "sample is kept with the probability (percentile of its loss within the last `loss_history` "
              "losses)^`beta`. `rho`: new samples by how far their loss lies above that under a moving average of the "
              "weights, which leaves out noise too and costs a forward pass; replayed ones by their loss. `none`: all "
              "are trained on.")
          .choices({"none", "relative_probabilistic", "rho"}));
  add(list, Declare("learning.sifting.beta", Type::kReal, FIELD(learning.sifting.beta),
                    "The higher, the more is left out: 1 / (1 + beta) of the samples are kept on average.")
                .above(0, 100));
  add(list, Declare("learning.sifting.replay_beta", Type::kReal, FIELD(learning.sifting.replay_beta),
                    "The same for replayed samples. None: as `beta`.")
                .above(0, 100)
                .or_none()
                .example("2"));
  add(list, Declare("learning.sifting.loss_history", Type::kWhole, FIELD(learning.sifting.loss_history),
                    "Losses that a percentile is taken of.")
                .between(1, 65'536));
  add(list, Declare("learning.sifting.delay_steps", Type::kWhole, FIELD(learning.sifting.delay_steps),
                    "Rounds are sifted once so many steps are taken.")
                .between(0, kEventsMax));
  add(list, Declare("learning.sifting.loss_age_rounds_max", Type::kWhole, FIELD(learning.sifting.loss_age_rounds_max),
                    "A replayed sample whose loss was measured more rounds ago is kept. None: no loss is too old.")
                .between(1, 1e9)
                .or_none()
                .example("1000"));
  add(list, Declare("learning.sifting.reweigh", Type::kBool, FIELD(learning.sifting.reweigh),
                    "A kept sample weighs the inverse of its probability, so that training has the same aim as without "
                    "sifting and probabilities stay calibrated."));
  add(list,
      Declare("learning.sifting.only_where_it_pays", Type::kBool, FIELD(learning.sifting.only_where_it_pays),
              "Sifting rests where the work that it saves is less than a twentieth, counted in samples and steps."));
  add(list, Declare("learning.guard.restore_after", Type::kWhole, FIELD(learning.guard.restore_after),
                    "After so many steps in a row with a loss or gradient that is not finite, weights and optimizer go "
                    "back to what they were when the round began.")
                .between(1, 1e9));
}

void add_strategies(List& list) {
  add(list,
      Declare(
          "learning.strategy", Type::kChoice, FIELD(learning.strategy),
          "`er`: experience replay, each batch part fresh and part replayed. `finetune`: fresh events only. `der`: "
          "dark experience replay, replayed events keep the outputs that they had when they were fresh. `der_pp`: "
          "the same, and their labels count too. `er_ace`: replay where fresh events do not push down classes that "
          "only the memory holds. `pod_er`: replay that also keeps the hidden layers as they were. `der`, `der_pp` "
          "and `pod_er` store 4 bytes with each event of the memory for each output, or unit of a hidden layer. `lwf`: "
          "fresh events only, outputs held to an older model's. `ewc`: fresh events only, weights held where they "
          "mattered. `cls_er`: replay held to two moving averages of the model. `mir`: replay of the events that a "
          "step would harm most. `super_er`: `der_pp` and `cls_er` at once, over weights that are shrunk now and "
          "then. The others pass over the whole memory in every round, so take long rounds: `gdumb`: training from "
          "scratch on a memory balanced by class. `joint`: retraining from scratch on everything, with "
          "`memory.policy: unbounded`, or on what a bounded memory holds. `offline_er`: passes over fresh events "
          "and memory. `repeated_distillation`: an expert learns the fresh events, then one model is made of it and "
          "the older one.")
          .choices({"er", "finetune", "der", "der_pp", "er_ace", "pod_er", "lwf", "ewc", "cls_er", "mir", "super_er",
                    "gdumb", "joint", "offline_er", "repeated_distillation"})
          .new_state());
  add(list, Declare("learning.der.alpha", Type::kReal, FIELD(learning.der.alpha),
                    "With `strategy: der`: weight of the squared distance to the stored outputs.")
                .between(0, 1e6));
  add(list, Declare("learning.der_pp.alpha", Type::kReal, FIELD(learning.der_pp.alpha),
                    "With `strategy: der_pp`: weight of the squared distance to the stored outputs.")
                .between(0, 1e6));
  add(list, Declare("learning.der_pp.beta", Type::kReal, FIELD(learning.der_pp.beta),
                    "With `strategy: der_pp`: weight of the loss of replayed events.")
                .between(0, 1e6));
  add(list,
      Declare("learning.der_pp.two_draws", Type::kBool, FIELD(learning.der_pp.two_draws),
              "With `strategy: der_pp`: stored outputs and labels are taken from a half of the replayed events each, "
              "instead of both from all."));
  add(list, Declare("learning.pod_er.alpha", Type::kReal, FIELD(learning.pod_er.alpha),
                    "With `strategy: pod_er`: weight of the distance to the stored hidden layers.")
                .between(0, 1e6));
  add_strategy_options(list);
}

}  // namespace

void add_learning_options(List& list) {
  add_strategies(list);
  add(list,
      Declare("learning.replay_ratio", Type::kReal, FIELD(learning.replay_ratio), "Share of a batch that is replayed.")
          .below(0, 1));
  add_optimizer(list);
  add_schedule(list);
  add(list, Declare("learning.batch_size", Type::kWhole, FIELD(learning.batch_size),
                    "Rows of a step, fresh and replayed together.")
                .between(1, 1'048'576));
  add(list, Declare("learning.clip_norm", Type::kReal, FIELD(learning.clip_norm),
                    "Largest norm of a step's gradient; a longer one is scaled down.")
                .above(0, 1e9)
                .or_none()
                .example("1"));
  add_loss(list);
  add(list, Declare("learning.round.every_events", Type::kWhole, FIELD(learning.round.every_events),
                    "A round is due after so many events.")
                .between(1, 1e9));
  add(list, Declare("learning.round.every", Type::kDuration, FIELD(learning.round.every_ms),
                    "A round is due after this time, when any event came. A backtest counts events only.")
                .between(10, kDay)
                .or_none()
                .live());
  add(list, Declare("learning.round.go_live", Type::kChoice, FIELD(learning.round.go_live),
                    "`next_cut`: a round's model is served from the next round's start, the same every time. "
                    "`when_ready`: as soon as it is trained. A backtest always takes `next_cut`.")
                .choices({"next_cut", "when_ready"}));
  add_sifting(list);
  add(list, Declare("learning.ema.decay", Type::kReal, FIELD(learning.ema_decay),
                    "Decay of the moving average of the weights, after its warm-up.")
                .below(0, 1));
  add(list, Declare("learning.average.last", Type::kWhole, FIELD(learning.average_last), "Models in the plain average.")
                .between(1, 64));
  add(list, Declare("learning.device", Type::kText, FIELD(learning.device),
                    "`auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.")
                .example("cuda:0"));
  add(list, Declare("learning.threads", Type::kWhole, FIELD(learning.threads),
                    "Threads inside one step. More than one is only faster for large layers and leaves the other "
                    "threads less.")
                .between(1, kThreadsMax));
  add(list, Declare("learning.autocast", Type::kChoice, FIELD(learning.autocast),
                    "`bf16`: a GPU multiplies the matrices of hidden and cross layers in bfloat16; weights, optimizer "
                    "and losses stay float32. `auto`: so where the GPU has it. On a CPU all is float32.")
                .choices({"auto", "off", "bf16"}));
}

}  // namespace freshet
