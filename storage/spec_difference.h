// describe_spec_difference: in words, where two stored event specs differ ("feature tailnum: added; label: changed").
//
// Threads: pure.  Failure: a text that is no spec is said to be unreadable.
#pragma once

#include <string>
#include <string_view>

namespace freshet {

std::string describe_spec_difference(std::string_view stored, std::string_view given);

}  // namespace freshet
