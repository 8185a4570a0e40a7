#include "journal/scan.h"

#include <array>
#include <charconv>
#include <span>

#include "base/json.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kDepth = 8;
constexpr std::int64_t kLargestExact = 9'007'199'254'740'991;

class Scanner {
 public:
  explicit Scanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  std::optional<EntryView> entry() {
    if (at_ == end_ || *at_ != '{' || !value() || at_ != end_) return std::nullopt;
    if (out_.id.empty() || out_.operation.empty() || !timed_) return std::nullopt;
    return out_;
  }

 private:
  bool take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  bool value() {
    if (at_ == end_) return false;
    switch (*at_) {
      case '{':
        return object();
      case '[':
        return array();
      case '"': {
        std::string_view text;
        if (!string(text)) return false;
        found(text);
        return true;
      }
      case 't':
        return word("true") && (found(true), true);
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool object() {
    if (depth_ == kDepth) return false;
    ++at_;
    auto& key = path_[depth_++];
    std::string_view last;
    for (bool first = true; !take('}'); first = false) {
      if (!first && !take(',')) return false;
      if (!string(key) || (!first && key <= last) || !take(':')) return false;
      // In UTF-16 order and in byte order ASCII is the same, and entries name nothing otherwise.
      for (char c : key)
        if (c == '\\' || static_cast<unsigned char>(c) >= 0x80) return false;
      last = key;
      if (!value()) return false;
    }
    --depth_;
    return true;
  }

  bool array() {
    if (depth_ == kDepth) return false;
    ++at_;
    path_[depth_++] = {};
    for (bool first = true; !take(']'); first = false) {
      if (!first && !take(',')) return false;
      if (!value()) return false;
    }
    --depth_;
    return true;
  }

  bool word(std::string_view expected) {
    if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(expected)) {
      at_ += expected.size();
      return true;
    }
    return false;
  }

  bool number() {
    std::int64_t read = 0;
    auto [stop, bad] = std::from_chars(at_, end_, read);
    if (bad != std::errc() || read > kLargestExact || read < -kLargestExact) return false;
    bool negative = *at_ == '-';
    // No leading zero, no minus zero.
    if (at_[negative ? 1 : 0] == '0' && (negative || stop - at_ > 1)) return false;
    at_ = stop;
    found(read);
    return true;
  }

  bool string(std::string_view& out) {
    if (!take('"')) return false;
    const char* begin = at_;
    bool ascii = true;
    for (; at_ != end_ && *at_ != '"'; ++at_) {
      auto c = static_cast<unsigned char>(*at_);
      if (c < 0x20) return false;
      if (c >= 0x80) ascii = false;
      if (c == '\\' && !escape()) return false;
    }
    out = {begin, static_cast<std::size_t>(at_ - begin)};
    return take('"') && (ascii || valid_utf8(out));
  }

  /// Leaves at_ on the escape's last character. Only what must be escaped may be, in one way.
  bool escape() {
    if (end_ - at_ < 2) return false;
    ++at_;
    if (std::string_view("\"\\bfnrt").contains(*at_)) return true;
    if (*at_ != 'u' || end_ - at_ < 5) return false;
    std::string_view digits(at_ + 1, 4);
    at_ += 4;
    if (!digits.starts_with("00") || (digits[2] != '0' && digits[2] != '1')) return false;
    bool lower_hex = std::string_view("0123456789abcdef").contains(digits[3]);
    bool has_short = digits[2] == '0' && std::string_view("89acd").contains(digits[3]);
    return lower_hex && !has_short;
  }

  bool at(std::string_view a) const { return depth_ == 1 && path_[0] == a; }
  bool at(std::string_view a, std::string_view b) const {
    return depth_ == 2 && path_[1] == b && path_[0] == a;
  }
  bool at(std::string_view a, std::string_view b, std::string_view c) const {
    return depth_ == 3 && path_[2] == c && path_[1] == b && path_[0] == a;
  }

  void found(std::string_view text) {
    if (at("status"))
      out_.outcome = text;
    else if (at("metadata", "uid"))
      out_.id = text;
    else if (at("api", "operation"))
      out_.operation = text;
    else if (at("actor", "app_uid"))
      out_.principal = text;
    else if (at("actor", "user", "uid"))
      out_.actor = text;
    else if (at("unmapped", "root"))
      out_.root = text;
    else if (at("unmapped", "touch", "kind"))
      out_.kind = text;
    else if (at("unmapped", "touch", "row"))
      out_.row = text;
    else if (at("unmapped", "touch", "subject"))
      out_.subject = text;
    else if (at("unmapped", "touch", "left"))
      out_.left = text;
  }
  void found(std::int64_t number) {
    if (at("time")) {
      out_.at_ms = number;
      timed_ = true;
    } else if (at("unmapped", "touched")) {
      out_.touched = number;
    }
  }
  void found(bool) {
    if (at("unmapped", "opened")) out_.opened = true;
  }

  const char* at_;
  const char* end_;
  std::array<std::string_view, kDepth> path_;
  std::size_t depth_ = 0;
  EntryView out_;
  bool timed_ = false;
};

}  // namespace

std::optional<EntryView> scan_entry(std::string_view entry) {
  return Scanner(entry).entry();
}

}  // namespace holdfast::journal
