// The options of `serving.gate`.
#include "daemon/config/option_declaration.h"

namespace freshet {

using namespace declaration;  // NOLINT(google-build-using-namespace): the language of this file

void add_gate_options(List& list) {
  add(list, Declare("serving.gate.enabled", Type::kBool, FIELD(serving.gate.enabled),
                    "Candidates are judged before they are served, and what is served goes on being judged. `false`: "
                    "every candidate is served."));
  add(list, Declare("serving.gate.alpha", Type::kReal, FIELD(serving.gate.alpha),
                    "How likely each test may be to find a model worse that is not.")
                .between(1e-6, 0.5));
  add(list, Declare("serving.gate.slice_margin", Type::kReal, FIELD(serving.gate.slice_margin),
                    "By how much a candidate's loss on held-out events of the past, or of a slice, may be above the "
                    "trusted model's: nats; for a regression a share of the loss. Needs "
                    "`evaluation.held_out.gating_share`.")
                .between(0, 10));
  add(list,
      Declare("serving.gate.rows", Type::kWhole, FIELD(serving.gate.rows),
              "Events that a round's candidate is judged by: at most so many fresh ones, and as many of the past.")
          .between(16, 100'000));
  add(list, Declare("serving.gate.watch_rows", Type::kWhole, FIELD(serving.gate.watch_rows),
                    "Fresh events on which what is served must not be found worse than the version before, until it is "
                    "trusted itself.")
                .between(16, kEventsMax));
  add(list, Declare("serving.gate.proof_rows", Type::kWhole, FIELD(serving.gate.proof_rows),
                    "After a rollback, or a candidate that was found worse: fresh events on which the ones that follow "
                    "must do no worse than what is served, before one is served again.")
                .between(16, kEventsMax));
  add(list, Declare("serving.gate.hold_events", Type::kWhole, FIELD(serving.gate.hold_events),
                    "Events of the past veto candidates for at most so many events.")
                .between(0, kEventsMax));
  add(list, Declare("serving.gate.slices_every_rounds", Type::kWhole, FIELD(serving.gate.slices_every_rounds),
                    "Rounds between two looks at all held-out gating events, slice by slice; the others take some.")
                .between(1, 1e6));
}

}  // namespace freshet
