// JSON text under limits, strict (RFC 8259 plus: no duplicate keys, valid UTF-8, no trailing bytes,
// numbers of magnitude at most 2^53 - 1, beyond which readers differ), and canonical (RFC 8785).
//
// Personal data passes here. A parsed value lies in memory of its own that is wiped when the value
// is destroyed, and text that grows through append_json_string leaves no copy behind.
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

/// Errors: invalid, too_large; `field` is the path of the duplicate key or wrong value, empty for
/// the text as a whole. Cost: one pass, about 5 ns a byte.
Result<boost::json::value> parse_json(std::string_view text, JsonLimits limits = {});

/// RFC 8785: members sorted by UTF-16 code units, shortest strings, numbers as ECMAScript writes
/// them. An int64 over 53 bits (parse_json lets none in) is written as it is.
std::string canonical_json(const boost::json::value& value);
void append_canonical_json(std::string& out, const boost::json::value& value);

/// Appends a quoted and escaped JSON string. The input must be valid UTF-8.
void append_json_string(std::string& out, std::string_view text);

/// Makes room for `more` bytes; when the text has to move, the old place is wiped.
void reserve_wiping(std::string& out, std::size_t more);

/// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool valid_utf8(std::string_view text);

}  // namespace holdfast
