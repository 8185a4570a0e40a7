#include "base/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"

namespace holdfast {

namespace json = boost::json;

namespace {

constexpr double kLargestExact = 9'007'199'254'740'991.0;

/// Heap memory that is wiped before it is given back.
class WipingHeap final : public json::memory_resource {
  void* do_allocate(std::size_t size, std::size_t align) override {
    return ::operator new(size, std::align_val_t(align));
  }
  void do_deallocate(void* at, std::size_t size, std::size_t align) override {
    wipe({static_cast<std::uint8_t*>(at), size});
    ::operator delete(at, size, std::align_val_t(align));
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

/// What one parsed value lies in: filled from front to back, wiped and freed as a whole. (Boost's
/// own monotonic_resource gives its blocks back under a smaller size than it asked for, so that a
/// heap below it cannot wipe them to the end.)
class Arena final : public json::memory_resource {
 public:
  explicit Arena(std::size_t first) : next_(first) {}
  ~Arena() override {
    for (auto& block : blocks_) wipe(block);
  }

 private:
  void* do_allocate(std::size_t size, std::size_t align) override {
    void* at = free_.data();
    auto room = free_.size();
    if (!std::align(align, size, at, room)) {
      free_ = blocks_.emplace_back(std::max(next_, size + align));
      next_ = std::min(next_ * 2, kLargestBlock);
      at = free_.data();
      room = free_.size();
      std::align(align, size, at, room);
    }
    auto* begin = static_cast<std::uint8_t*>(at);
    free_ = {begin + size, room - size};
    return at;
  }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  static constexpr std::size_t kLargestBlock = 1 << 20;
  std::vector<Bytes> blocks_;
  std::span<std::uint8_t> free_;
  std::size_t next_;
};

/// Builds the value, and stands for what the grammar does not: limits, duplicate keys, exact
/// numbers, and where in the text an error lies.
class Builder {
 public:
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);

  Builder(std::string_view text, json::storage_ptr storage, json::storage_ptr scratch,
          JsonLimits limits)
      : text_(text), storage_(storage), stack_(std::move(scratch)), left_(limits.values) {
    stack_.reset(std::move(storage));
  }

  json::value release() { return stack_.release(); }

  /// The error that a callback met, or `fallback` at the place where the text broke.
  Error error(Error fallback) {
    if (error_) return std::move(*error_);
    return std::move(fallback).at(path(false));
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) { return open(true, ec); }
  bool on_object_end(std::size_t count, json::error_code& ec) {
    auto first = keys_.begin() + static_cast<std::ptrdiff_t>(levels_.back().first_key);
    std::sort(first, keys_.end());
    auto twice = std::adjacent_find(first, keys_.end());
    if (twice != keys_.end()) {
      std::swap(*twice, keys_.back());
      return fail(Error(Code::invalid, "this name is given twice"), ec);
    }
    keys_.erase(first, keys_.end());
    levels_.pop_back();
    stack_.push_object(count);
    return true;
  }
  bool on_array_begin(json::error_code& ec) { return open(false, ec); }
  bool on_array_end(std::size_t count, json::error_code&) {
    levels_.pop_back();
    stack_.push_array(count);
    return true;
  }

  bool on_key_part(std::string_view part, std::size_t, json::error_code&) {
    stack_.push_chars(part);
    key_parts_ += part;
    return true;
  }
  bool on_key(std::string_view last, std::size_t, json::error_code&) {
    keys_.push_back(kept(last));
    stack_.push_key(last);
    return true;
  }

  bool on_string_part(std::string_view part, std::size_t, json::error_code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(std::string_view last, std::size_t, json::error_code& ec) {
    if (!count(ec)) return false;
    stack_.push_string(last);
    return true;
  }

  bool on_number_part(std::string_view part, json::error_code&) {
    number_ += part;
    return true;
  }
  bool on_int64(std::int64_t value, std::string_view, json::error_code& ec) {
    number_.clear();
    if (std::abs(static_cast<double>(value)) > kLargestExact) return inexact(ec);
    if (!count(ec)) return false;
    stack_.push_int64(value);
    return true;
  }
  bool on_uint64(std::uint64_t, std::string_view, json::error_code& ec) { return inexact(ec); }
  /// The parser's own double can be off by a unit in the last place; the text decides.
  bool on_double(double, std::string_view last, json::error_code& ec) {
    number_ += last;
    double value = 0;
    auto [end, bad] = std::from_chars(number_.data(), number_.data() + number_.size(), value);
    bool good =
        bad == std::errc() && end == number_.data() + number_.size() && std::isfinite(value);
    number_.clear();
    if (!good || std::abs(value) > kLargestExact) return inexact(ec);
    if (!count(ec)) return false;
    stack_.push_double(value);
    return true;
  }
  bool on_bool(bool value, json::error_code& ec) {
    if (!count(ec)) return false;
    stack_.push_bool(value);
    return true;
  }
  bool on_null(json::error_code& ec) {
    if (!count(ec)) return false;
    stack_.push_null();
    return true;
  }
  bool on_comment_part(std::string_view, json::error_code&) { return true; }
  bool on_comment(std::string_view, json::error_code&) { return true; }

 private:
  struct Level {
    bool object;
    std::size_t first_key;  // in keys_
    std::size_t seen = 0;   // elements of an array
  };

  bool open(bool object, json::error_code& ec) {
    if (!count(ec)) return false;
    levels_.push_back({object, keys_.size()});
    return true;
  }

  /// One more value: counted against the limit, and in its array.
  bool count(json::error_code& ec) {
    if (!levels_.empty()) ++levels_.back().seen;
    if (left_-- == 0) return fail(Error(Code::too_large, "more values than allowed"), ec);
    return true;
  }

  bool inexact(json::error_code& ec) {
    if (!levels_.empty()) ++levels_.back().seen;
    return fail(Error(Code::invalid, "this number is out of range"), ec);
  }

  bool fail(Error error, json::error_code& ec) {
    error_ = std::move(error).at(path(true));
    ec = json::error::syntax;
    return false;
  }

  /// `counted`: the element at fault is the last one seen, in the innermost array too.
  FieldPath path(bool counted) const {
    FieldPath out;
    for (std::size_t i = 0; i < levels_.size(); ++i) {
      const auto& level = levels_[i];
      if (!level.object) {
        if (level.seen > 0 && (counted || i + 1 < levels_.size())) out = out[level.seen - 1];
      } else {
        auto end = i + 1 < levels_.size() ? levels_[i + 1].first_key : keys_.size();
        if (end > level.first_key) out = out / keys_[end - 1];
      }
    }
    return out;
  }

  /// A plain key is a view of the text; an escaped one, which may come in parts, is copied.
  std::string_view kept(std::string_view last) {
    bool plain =
        last.data() >= text_.data() && last.data() + last.size() <= text_.data() + text_.size();
    if (plain && key_parts_.empty()) return last;
    key_parts_ += last;
    auto* at = static_cast<char*>(storage_->allocate(key_parts_.size() + 1, 1));
    std::memcpy(at, key_parts_.data(), key_parts_.size());
    std::string_view out(at, key_parts_.size());
    key_parts_.clear();
    return out;
  }

  std::string_view text_;
  json::storage_ptr storage_;
  json::value_stack stack_;
  std::size_t left_;
  std::vector<Level> levels_;
  std::vector<std::string_view> keys_;  // of all open objects
  std::string key_parts_, number_;
  std::optional<Error> error_;
};

}  // namespace

Result<json::value> parse_json(std::string_view text, JsonLimits limits) {
  json::parse_options options;
  options.max_depth = limits.depth;
  // The value keeps the arena alive; what the parser needs meanwhile is wiped as well.
  auto first = std::clamp<std::size_t>(text.size() * 2, 512, 1 << 20);
  auto arena = json::make_shared_resource<Arena>(first);
  WipingHeap scratch;
  json::basic_parser<Builder> parser(options, text, arena, &scratch, limits);

  json::error_code ec;
  auto used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec == json::error::too_deep)
    return parser.handler().error(Error(Code::too_large, "nested deeper than allowed"));
  if (ec == json::error::incomplete)
    return parser.handler().error(Error(Code::invalid, "the JSON ends too early"));
  if (ec == json::error::exponent_overflow)
    return parser.handler().error(Error(Code::invalid, "this number is out of range"));
  if (ec) return parser.handler().error(Error(Code::invalid, "not valid JSON"));
  if (used != text.size()) return Error(Code::invalid, "bytes follow the JSON value");
  return parser.handler().release();
}

bool valid_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at < end) {
    unsigned char c = *at++;
    if (c < 0x80) continue;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || end - at < more) return false;
    // The second byte carries what would be overlong, a surrogate, or beyond U+10FFFF.
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (*at < low || *at > high) return false;
    for (int i = 1; i < more; ++i)
      if (at[i] < 0x80 || at[i] > 0xbf) return false;
    at += more;
  }
  return true;
}

}  // namespace holdfast
