// The options of section `tuning`.
#include "daemon/config/option_declaration.h"

namespace freshet {

using namespace declaration;  // NOLINT(google-build-using-namespace): the language of this file

namespace {

void add_objective(List& list) {
  add(list, Declare("tuning.metric", Type::kText, FIELD(tuning.metric),
                    "The metric that trials are judged by, on held-out events: `auto` is `log_loss`, of a regression "
                    "`rmse`; or another that a backtest tells, such as `auc` or `accuracy`.")
                .example("auc"));
  add(list, Declare("tuning.forgetting_penalty", Type::kReal, FIELD(tuning.forgetting_penalty),
                    "Taken off the metric: so many times the mean forgetting over the slices (`evaluation.slices`).")
                .between(0, 1e6));
  add(list, Declare("tuning.events_max", Type::kWhole, FIELD(tuning.events_max),
                    "Events of the replay memory that trials learn from, a uniform sample of more; they are held in "
                    "main memory.")
                .between(200, 1e9));
}

void add_budget(List& list) {
  add(list, Declare("tuning.max_trials", Type::kWhole, FIELD(tuning.max_trials), "Configurations tried at most.")
                .between(1, 1e6));
  add(list, Declare("tuning.max_compute_ratio", Type::kReal, FIELD(tuning.max_compute_ratio),
                    "All trials together may train this many times what one whole training takes. None: no bound.")
                .above(0, 1e6)
                .or_none());
  add(list, Declare("tuning.workers", Type::kWhole, FIELD(tuning.workers),
                    "Trials in training at once, each on a thread of low priority.")
                .between(1, 64));
  add(list, Declare("tuning.max_resource", Type::kWhole, FIELD(tuning.max_resource),
                    "Stretches that a whole training is cut into; a trial may pause after each.")
                .between(1, 1e6));
  add(list,
      Declare("tuning.grace", Type::kWhole, FIELD(tuning.grace), "Stretches that every trial gets.").between(1, 1e6));
  add(list, Declare("tuning.eta", Type::kWhole, FIELD(tuning.eta),
                    "One of so many trials goes on to the next rung, which is so many times as long.")
                .between(2, 100));
  add(list, Declare("tuning.brackets", Type::kWhole, FIELD(tuning.brackets),
                    "With `asha` and `hyperband`: how many first rungs there are.")
                .between(1, 16));
  add(list, Declare("tuning.seed", Type::kWhole, FIELD(tuning.seed), "Seed of what is drawn.").between(0, 9e15));
}

void add_studies(List& list) {
  add(list, Declare("tuning.on_drift", Type::kBool, FIELD(tuning.on_drift),
                    "A confirmed change of the stream (`drift`) begins a study beside learning and serving. What it "
                    "finds learns along, and takes over once it proves better on events that neither has learnt."));
  add(list,
      Declare("tuning.wait_events", Type::kWhole, FIELD(tuning.wait_events),
              "Events that the memory takes in between a confirmed change and the study that it begins, and that a "
              "challenger learns from before it is judged.")
          .between(0, kEventsMax));
  add(list, Declare("tuning.cooldown_events", Type::kWhole, FIELD(tuning.cooldown_events),
                    "A change within so many events of a study's beginning begins no other; nor does one while a study "
                    "or a challenger is under way.")
                .between(0, kEventsMax));
  add(list, Declare("tuning.pace", Type::kReal, FIELD(tuning.pace),
                    "With `go_live: next_cut`: events that trials together train on while the stream brings one. It "
                    "decides at which event a study is over; with `when_ready` it is over when it is done.")
                .above(0, 1e6));
  add(list, Declare("tuning.cpu_share", Type::kReal, FIELD(tuning.cpu_share),
                    "The most of one processor that each worker of a daemon's study takes, over time; it runs when "
                    "nobody else does anyway.")
                .above(0, 1));
  add(list, Declare("tuning.challenger.alpha", Type::kReal, FIELD(tuning.challenger_alpha),
                    "Chance of taking a challenger over, or of dropping it, by mistake.")
                .inside(0, 0.5));
  add(list, Declare("tuning.challenger.events", Type::kWhole, FIELD(tuning.challenger_events),
                    "A challenger that has not proved better after so many events is dropped.")
                .between(1, kEventsMax));
}

}  // namespace

void add_tuning_options(List& list) {
  add_studies(list);
  add(list, Declare("tuning.searcher", Type::kChoice, FIELD(tuning.searcher),
                    "Where configurations come from: `random`; `sobol`, more evenly spread; `grid`; `gp`, a Gaussian "
                    "process that learns from the trials; `kde`, densities of good and bad ones, as in BOHB.")
                .choices({"random", "sobol", "grid", "gp", "kde"}));
  add(list, Declare("tuning.scheduler", Type::kChoice, FIELD(tuning.scheduler),
                    "Which trials go on: `asha` pauses trials and resumes the best, `pasha` ends when the ranking is "
                    "stable, `hyperband` tries several first rungs, `median` stops those below the median, `plain` "
                    "trains all to the end.")
                .choices({"asha", "pasha", "successive_halving", "hyperband", "median", "plain"}));
  add(list, Declare("tuning.search", Type::kTextList, FIELD(tuning.search),
                    "What is searched: `optimizer`, `schedule`, `strategy` (the options of the configured one), "
                    "`model`, or nothing but `tuning.space`.")
                .example("[optimizer, strategy, model]"));
  add(list, Declare("tuning.space", Type::kTextMap, FIELD(tuning.space),
                    "Options to search beside or instead: a range, with `log` for one that spans magnitudes, or "
                    "choices.")
                .example("{learning.learning_rate: 0.001..0.5 log, learning.batch_size: 32|64|128}"));
  add_objective(list);
  add_budget(list);
}

}  // namespace freshet
