// JSON text under limits, strict (RFC 8259 plus: no duplicate keys, valid UTF-8, no trailing bytes,
// numbers that a double holds exactly or that are integers of 53 bits), and canonical (RFC 8785).
#pragma once

#include <boost/json/fwd.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

struct JsonLimits {
  std::size_t depth = 32;
  std::size_t values = 100'000;  // scalars, members and elements together
};

/// Errors: invalid, with `field` as the path of the duplicate key or wrong value where known
/// (`$` for the text as a whole); too_large.
Result<boost::json::value> parse_json(std::string_view text, JsonLimits limits = {});

/// RFC 8785: members sorted by UTF-16 code units, shortest strings, integers without exponent.
std::string canonical_json(const boost::json::value& value);

/// Appends a quoted and escaped JSON string. The input must be valid UTF-8.
void append_json_string(std::string& out, std::string_view text);

}  // namespace holdfast
