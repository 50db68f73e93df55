// The options of section `learning` that belong to one strategy each.
#include "daemon/config/option_declaration.h"

namespace freshet {

using namespace declaration;  // NOLINT(google-build-using-namespace): the language of this file

namespace {

constexpr double kFactorMax = 1e6;
constexpr double kRoundsMax = 1e9;
constexpr double kPassesMax = 10'000;

void add_without_memory(List& list) {
  add(list, Declare("learning.lwf.alpha", Type::kReal, FIELD(learning.lwf.alpha),
                    "With `strategy: lwf`: weight of the distillation from the older model.")
                .between(0, kFactorMax));
  add(list, Declare("learning.lwf.temperature", Type::kReal, FIELD(learning.lwf.temperature),
                    "With `strategy: lwf`: divides the outputs of both models before they are compared.")
                .above(0, 1000));
  add(list, Declare("learning.lwf.every_rounds", Type::kWhole, FIELD(learning.lwf.every_rounds),
                    "With `strategy: lwf`: the older model is taken anew after so many rounds.")
                .between(1, kRoundsMax));
  add(list, Declare("learning.ewc.lambda", Type::kReal, FIELD(learning.ewc.lambda),
                    "With `strategy: ewc`: how strongly weights are pulled back to where they were.")
                .between(0, kFactorMax));
  add(list, Declare("learning.ewc.decay", Type::kReal, FIELD(learning.ewc.decay),
                    "With `strategy: ewc`: what is left of the importance of weights at each consolidation.")
                .between(0, 1));
  add(list, Declare("learning.ewc.fisher_rows", Type::kWhole, FIELD(learning.ewc.fisher_rows),
                    "With `strategy: ewc`: events of a round that say how important each weight is; each costs a "
                    "forward and a backward pass.")
                .between(1, 1e6));
  add(list, Declare("learning.ewc.every_rounds", Type::kWhole, FIELD(learning.ewc.every_rounds),
                    "With `strategy: ewc`: weights are consolidated after so many rounds.")
                .between(1, kRoundsMax));
}

void add_with_replay(List& list) {
  add(list, Declare("learning.cls_er.alpha", Type::kReal, FIELD(learning.cls_er.alpha),
                    "With `strategy: cls_er`: weight of the loss of replayed events.")
                .between(0, kFactorMax));
  add(list, Declare("learning.cls_er.beta", Type::kReal, FIELD(learning.cls_er.beta),
                    "With `strategy: cls_er`: weight of the squared distance to the outputs of the averaged models.")
                .between(0, kFactorMax));
  add(list, Declare("learning.cls_er.stable_decay", Type::kReal, FIELD(learning.cls_er.stable_decay),
                    "With `strategy: cls_er`: decay of the stable average of the weights.")
                .between(0, 1));
  add(list, Declare("learning.cls_er.plastic_decay", Type::kReal, FIELD(learning.cls_er.plastic_decay),
                    "With `strategy: cls_er`: decay of the plastic average of the weights.")
                .between(0, 1));
  add(list, Declare("learning.cls_er.stable_probability", Type::kReal, FIELD(learning.cls_er.stable_probability),
                    "With `strategy: cls_er`: chance that a step moves the stable average.")
                .between(0, 1));
  add(list, Declare("learning.cls_er.plastic_probability", Type::kReal, FIELD(learning.cls_er.plastic_probability),
                    "With `strategy: cls_er`: chance that a step moves the plastic average.")
                .between(0, 1));
  add(list, Declare("learning.mir.candidates", Type::kWhole, FIELD(learning.mir.candidates),
                    "With `strategy: mir`: events drawn from the memory for each one that is replayed.")
                .between(1, 1000));
  add(list, Declare("learning.super_er.alpha", Type::kReal, FIELD(learning.super_er.alpha),
                    "With `strategy: super_er`: weight of the squared distance to the stored outputs.")
                .between(0, kFactorMax));
  add(list, Declare("learning.super_er.beta", Type::kReal, FIELD(learning.super_er.beta),
                    "With `strategy: super_er`: weight of the loss of replayed events.")
                .between(0, kFactorMax));
  add(list, Declare("learning.super_er.cls_beta", Type::kReal, FIELD(learning.super_er.cls_beta),
                    "With `strategy: super_er`: weight of the squared distance to the outputs of the averaged models.")
                .between(0, kFactorMax));
  add(list, Declare("learning.super_er.shrink", Type::kReal, FIELD(learning.super_er.shrink),
                    "With `strategy: super_er`: factor of the weights when they are shrunk and perturbed. 1: none.")
                .above(0, 1));
  add(list, Declare("learning.super_er.sigma", Type::kReal, FIELD(learning.super_er.sigma),
                    "With `strategy: super_er`: standard deviation of the noise that perturbs the weights.")
                .between(0, 1000));
  add(list, Declare("learning.super_er.shrink_every_rounds", Type::kWhole, FIELD(learning.super_er.shrink_every_rounds),
                    "With `strategy: super_er`: weights are shrunk and perturbed after so many rounds.")
                .between(1, kRoundsMax));
}

void add_with_passes(List& list) {
  add(list, Declare("learning.gdumb.passes", Type::kWhole, FIELD(learning.gdumb.passes),
                    "With `strategy: gdumb`: passes over the memory in a training from scratch.")
                .between(1, kPassesMax));
  add(list, Declare("learning.gdumb.every_rounds", Type::kWhole, FIELD(learning.gdumb.every_rounds),
                    "With `strategy: gdumb`: the model is trained from scratch in each round of so many; in the others "
                    "it rests.")
                .between(1, kRoundsMax));
  add(list, Declare("learning.joint.passes", Type::kWhole, FIELD(learning.joint.passes),
                    "With `strategy: joint`: passes over the memory in a training from scratch.")
                .between(1, kPassesMax));
  add(list, Declare("learning.joint.every_rounds", Type::kWhole, FIELD(learning.joint.every_rounds),
                    "With `strategy: joint`: the model is trained from scratch in each round of so many; in the others "
                    "it rests.")
                .between(1, kRoundsMax));
  add(list, Declare("learning.offline_er.passes", Type::kWhole, FIELD(learning.offline_er.passes),
                    "With `strategy: offline_er`: passes of a round over its events and the memory.")
                .between(1, kPassesMax));
  add(list, Declare("learning.offline_er.fresh_weight", Type::kReal, FIELD(learning.offline_er.fresh_weight),
                    "With `strategy: offline_er`: weight of the mean loss of fresh events; that of the memory has the "
                    "rest. None: every event weighs the same.")
                .inside(0, 1)
                .or_none()
                .example("0.5"));
  add(list, Declare("learning.repeated_distillation.expert_passes", Type::kWhole,
                    FIELD(learning.repeated_distillation.expert_passes),
                    "With `strategy: repeated_distillation`: passes of the expert over the fresh events.")
                .between(1, kPassesMax));
  add(list,
      Declare("learning.repeated_distillation.passes", Type::kWhole, FIELD(learning.repeated_distillation.passes),
              "With `strategy: repeated_distillation`: passes over fresh events and memory that make one model of "
              "the expert and the older one.")
          .between(1, kPassesMax));
  add(list, Declare("learning.repeated_distillation.temperature", Type::kReal,
                    FIELD(learning.repeated_distillation.temperature),
                    "With `strategy: repeated_distillation`: divides the outputs before they are compared.")
                .above(0, 1000));
}

}  // namespace

void add_strategy_options(List& list) {
  add_without_memory(list);
  add_with_replay(list);
  add_with_passes(list);
}

}  // namespace freshet
