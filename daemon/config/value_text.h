// Between the text of a single value and the value: numbers with k and M, durations, bytes; and the nearest known name.
//
// Each parse answers nothing when the text is not of its form. Each format is read back exactly by its parse.
//
// Threads: pure functions.  Failure: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace freshet {

std::optional<bool> parse_bool(std::string_view text);              // true, false
std::optional<std::int64_t> parse_whole(std::string_view text);     // 64, -1, 1_000_000, 64k (thousand), 2M, 1e6
std::optional<double> parse_real(std::string_view text);            // finite
std::optional<std::int64_t> parse_duration_ms(std::string_view text);  // 250ms, 5s, 1.5h, 90d, 2w; 0 needs no unit
std::optional<std::int64_t> parse_bytes(std::string_view text);        // 512, 64KiB, 64MiB, 1GiB; kB, MB, GB are decimal

std::string format_real(double value);  // shortest form that reads back
std::string format_duration_ms(std::int64_t ms);
std::string format_bytes(std::int64_t bytes);

// The text as YAML reads it back as one text: bare where that is safe, else in double quotes.
std::string quote_yaml(std::string_view text);

// The candidate nearest to `name` by edit distance, when it is near enough to be meant.
std::optional<std::string> nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace freshet
