#include "base/result.h"

namespace holdfast {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::invalid: return "invalid";
    case Code::too_large: return "too_large";
    case Code::unauthenticated: return "unauthenticated";
    case Code::forbidden: return "forbidden";
    case Code::not_found: return "not_found";
    case Code::conflict: return "conflict";
    case Code::gone: return "gone";
    case Code::exhausted: return "exhausted";
    case Code::corrupt: return "corrupt";
    case Code::locked: return "locked";
    case Code::unavailable: return "unavailable";
    case Code::stale: return "stale";
    case Code::internal: return "internal";
  }
  return "internal";
}

namespace {

constexpr std::size_t kLongestPath = 128;

bool names(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

/// A name is what a schema could hold: letters, digits, `_`, `-`, at most 64, and not a mere
/// number (which is more likely a phone or a card than a name).
std::string_view safe(std::string_view name) {
  if (name.empty() || name.size() > 64) return "?";
  bool letter = false;
  for (char c : name) {
    if (!names(c)) return "?";
    letter |= !(c >= '0' && c <= '9') && c != '-';
  }
  return letter ? name : "?";
}

}  // namespace

FieldPath::FieldPath(std::string_view name) : text_(safe(name)) {}

FieldPath FieldPath::operator/(std::string_view name) const {
  if (text_.empty()) return FieldPath(name);
  FieldPath out = *this;
  if (out.text_.size() < kLongestPath) (out.text_ += '.') += safe(name);
  return out;
}

FieldPath FieldPath::operator[](std::size_t index) const {
  FieldPath out = *this;
  if (out.text_.size() < kLongestPath) out.text_ += '[' + std::to_string(index) + ']';
  return out;
}

}  // namespace holdfast
