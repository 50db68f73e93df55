// The options of section `drift`.
#include "daemon/config/option_declaration.h"

namespace freshet {

using namespace declaration;  // NOLINT(google-build-using-namespace): the language of this file

void add_drift_options(List& list) {
  add(list, Declare("drift.detectors", Type::kDetectors, FIELD(drift.detectors),
                    "What watches the stream for changes; see Detectors below. `[]`: nothing does.")
                .example("[{kind: adwin, on: loss}, {kind: page_hinkley, on: error}]"));
  add(list, Declare("drift.cooldown_events", Type::kWhole, FIELD(drift.cooldown_events),
                    "After an alarm, events for which no other one is confirmed.")
                .between(0, kEventsMax));
  add(list,
      Declare("drift.reference_events", Type::kWhole, FIELD(drift.reference_events),
              "For detectors on `reference`: the model that is served after so many events no longer learns and is "
              "the first reference; another one follows `cooldown_events` after each confirmed change.")
          .between(0, kEventsMax));
  add(list, Declare("drift.cut_round", Type::kBool, FIELD(drift.cut_round),
                    "A confirmed alarm ends the round at once, so that what has come is learnt now."));
  add(list, Declare("drift.rate_factor", Type::kReal, FIELD(drift.rate_factor),
                    "After a confirmed alarm the learning rate is multiplied by this for `act_events`. 1: it stays.")
                .above(0, 1000));
  add(list, Declare("drift.window_events", Type::kWhole, FIELD(drift.window_events),
                    "After a confirmed alarm only events from so many before it on are replayed, for `act_events`. "
                    "None: all of the memory is.")
                .between(1, kEventsMax)
                .or_none()
                .example("2000"));
  add(list, Declare("drift.act_events", Type::kWhole, FIELD(drift.act_events),
                    "Events for which `rate_factor` and `window_events` hold after a confirmed alarm.")
                .between(1, kEventsMax));
  add(list, Declare("drift.topic", Type::kText, FIELD(drift.topic),
                    "Kafka topic to which confirmed alarms are posted, as JSON.")
                .or_none()
                .example("flights-drift"));
}

}  // namespace freshet
