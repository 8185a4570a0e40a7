// The writing half of json.h.
#include <algorithm>
#include <boost/json/value.hpp>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/json.h"
#include "base/secret.h"

namespace holdfast {

namespace json = boost::json;

namespace {

/// ECMAScript Number::toString over the shortest digits that read back as the same double.
void append_double(std::string& out, double value) {
  if (value == 0) {
    out += '0';
    return;
  }
  char text[32];
  auto end =
      std::to_chars(text, text + sizeof text, std::abs(value), std::chars_format::scientific).ptr;
  auto* e = std::find(text, end, 'e');
  std::string digits(1, text[0]);
  if (e - text > 2) digits.append(text + 2, e);
  int exponent = 0;
  std::from_chars(e[1] == '+' ? e + 2 : e + 1, end, exponent);

  if (value < 0) out += '-';
  auto count = static_cast<int>(digits.size());
  int point = exponent + 1;  // digits before the decimal point
  if (count <= point && point <= 21) {
    out += digits;
    out.append(static_cast<std::size_t>(point - count), '0');
  } else if (0 < point && point <= 21) {
    out.append(digits, 0, static_cast<std::size_t>(point)) += '.';
    out.append(digits, static_cast<std::size_t>(point));
  } else if (-6 < point && point <= 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-point), '0') += digits;
  } else {
    out += digits[0];
    if (count > 1) (out += '.').append(digits, 1);
    out += point > 0 ? "e+" : "e-";
    out += std::to_string(std::abs(point - 1));
  }
}

/// Compares as UTF-16 code units would: like bytes, but characters of four bytes (surrogate pairs,
/// from D800) come before those from U+E000 on, whose first byte is EE or EF.
bool before_utf16(std::string_view a, std::string_view b) {
  auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (x == a.end() || y == b.end()) return x == a.end() && y != b.end();
  auto left = static_cast<unsigned char>(*x), right = static_cast<unsigned char>(*y);
  bool left_pair = left >= 0xf0, right_pair = right >= 0xf0;
  if (left_pair != right_pair && left >= 0xee && right >= 0xee) return left_pair;
  return left < right;
}

}  // namespace

void reserve_wiping(std::string& out, std::size_t more) {
  auto needed = out.size() + more;
  if (needed <= out.capacity()) return;
  std::string moved;
  moved.reserve(std::max(needed, out.capacity() * 2));
  moved.append(out);
  out.swap(moved);
  wipe(moved);
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  reserve_wiping(out, text.size() + 2);
  out += '"';
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    char escape[6] = {'\\', text[i], '0', '0', kHex[c >> 4], kHex[c & 15]};
    std::size_t size = 2;
    switch (c) {
      case '"':
      case '\\':
        break;
      case '\b':
        escape[1] = 'b';
        break;
      case '\f':
        escape[1] = 'f';
        break;
      case '\n':
        escape[1] = 'n';
        break;
      case '\r':
        escape[1] = 'r';
        break;
      case '\t':
        escape[1] = 't';
        break;
      default:
        escape[1] = 'u';
        size = 6;
    }
    reserve_wiping(out, text.size() - from + 8);
    out.append(text, from, i - from).append(escape, size);
    from = i + 1;
  }
  out.append(text, from) += '"';
}

void append_canonical_json(std::string& out, const json::value& value) {
  reserve_wiping(out, 32);
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      out += std::to_string(value.get_int64());
      return;
    case json::kind::uint64:
      out += std::to_string(value.get_uint64());
      return;
    case json::kind::double_:
      append_double(out, value.get_double());
      return;
    case json::kind::string:
      append_json_string(out, value.get_string());
      return;
    case json::kind::array: {
      char lead = '[';
      for (const auto& element : value.get_array()) {
        reserve_wiping(out, 1);
        out += std::exchange(lead, ',');
        append_canonical_json(out, element);
      }
      reserve_wiping(out, 2);
      out += lead == '[' ? "[]" : "]";
      return;
    }
    case json::kind::object: {
      std::vector<const json::key_value_pair*> members;
      for (const auto& member : value.get_object()) members.push_back(&member);
      std::ranges::sort(members, [](auto* a, auto* b) { return before_utf16(a->key(), b->key()); });
      char lead = '{';
      for (const auto* member : members) {
        reserve_wiping(out, 1);
        out += std::exchange(lead, ',');
        append_json_string(out, member->key());
        reserve_wiping(out, 1);
        out += ':';
        append_canonical_json(out, member->value());
      }
      reserve_wiping(out, 2);
      out += lead == '{' ? "{}" : "}";
      return;
    }
  }
}

std::string canonical_json(const json::value& value) {
  std::string out;
  append_canonical_json(out, value);
  return out;
}

}  // namespace holdfast
