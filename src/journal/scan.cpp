#include "journal/scan.h"

#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/json.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kDepth = 8;
constexpr std::int64_t kLargestExact = 9'007'199'254'740'991;
constexpr std::size_t kWord = sizeof(std::uint64_t);

constexpr std::uint64_t each_byte(std::uint8_t byte) {
  return 0x0101'0101'0101'0101U * byte;
}

/// How many of eight bytes come before the first that is not plain: a quote, a backslash, a control
/// character, or no ASCII. In each test a borrow makes wrong only what is above a right answer.
std::size_t plain_bytes(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, kWord);
  if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
  auto zero = [](std::uint64_t in) { return (in - each_byte(1)) & ~in; };
  const auto found = (word | ((word - each_byte(0x20)) & ~word) | zero(word ^ each_byte('"')) |
                      zero(word ^ each_byte('\\'))) &
                     each_byte(0x80);
  return static_cast<std::size_t>(std::countr_zero(found)) / 8;
}

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
      // In UTF-16 order and in byte order ASCII is the same, and entries name nothing otherwise.
      if (!string(key) || !plain_ || (!first && key <= last) || !take(':')) return false;
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
    plain_ = true;
    for (;; ++at_) {
      std::size_t plain = kWord;
      while (plain == kWord && static_cast<std::size_t>(end_ - at_) >= kWord)
        at_ += plain = plain_bytes(at_);
      if (at_ == end_ || *at_ == '"') break;
      auto c = static_cast<unsigned char>(*at_);
      if (c < 0x20) return false;
      if (c >= 0x80) ascii = plain_ = false;
      if (c != '\\') continue;
      plain_ = false;
      if (!escape()) return false;
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

  void found(std::string_view text) {
    const auto& group = path_[0];
    const auto& name = path_[depth_ - 1];
    if (depth_ == 1 && name == "status") {
      out_.outcome = text;
    } else if (depth_ == 2) {
      if (group == "metadata" && name == "uid") out_.id = text;
      if (group == "api" && name == "operation") out_.operation = text;
      if (group == "actor" && name == "app_uid") out_.principal = text;
      if (group == "unmapped" && name == "root") out_.root = text;
    } else if (depth_ == 3 && group == "actor") {
      if (path_[1] == "user" && name == "uid") out_.actor = text;
    } else if (depth_ == 3 && group == "unmapped" && path_[1] == "touch") {
      if (name == "kind") out_.kind = text;
      if (name == "row") out_.row = text;
      if (name == "subject") out_.subject = text;
      if (name == "left") out_.left = text;
    }
  }
  bool at(std::string_view a) const { return depth_ == 1 && path_[0] == a; }
  bool at(std::string_view a, std::string_view b) const {
    return depth_ == 2 && path_[1] == b && path_[0] == a;
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
  bool plain_ = true;  // the last string is ASCII without escapes
};

}  // namespace

std::optional<EntryView> scan_entry(std::string_view entry) {
  return Scanner(entry).entry();
}

}  // namespace holdfast::journal
