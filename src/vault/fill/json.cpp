// JSON, also several texts in a row (JSON lines). Strings are filled, names of members too; what
// stands outside of strings is passed on unread, so that no depth is too deep.
#include "base/secret.h"
#include "vault/fill/pieces.h"

namespace holdfast::vault {
namespace {

enum JsonPlace : std::uint8_t { kPassing, kString };

constexpr std::size_t kWholeBytes = 320;  // of a string that may be a token as a whole

class Json final : public Format {
 public:
  explicit Json(WholeToken whole) : whole_(std::move(whole)) {}
  ~Json() override { wipe(buffer_); }

  Result<void> read(std::string_view bytes, Pieces& out) override {
    reserve_wiping(buffer_, bytes.size());
    buffer_ += bytes;
    return runs(false, out);
  }

  Result<void> finish(Pieces& out) override {
    if (auto read = runs(true, out); !read) return read;
    if (state_ != State::outside)
      return at_line(Error(Code::invalid, "a string is not closed before the end"), line_);
    return {};
  }

  bool write(const Piece&, std::string_view bytes, std::optional<std::string_view> value,
             std::string& out) override {
    if (!value) {
      out += bytes;
      return true;
    }
    std::string quoted;
    append_json_string(quoted, *value);
    reserve_wiping(out, quoted.size());
    out.append(quoted, 1, quoted.size() - 2);
    wipe(quoted);
    return true;
  }

 private:
  enum class State : std::uint8_t { outside, opened, string, escape };

  Result<void> runs(bool all, Pieces& out) {
    if (!started_ && (all || buffer_.size() >= 4)) {
      started_ = true;
      if (auto good = check_start(buffer_); !good) return good;
    }
    if (!started_) return {};
    std::string_view rest = buffer_;
    bool more = false;
    while (!rest.empty() && !more) {
      switch (state_) {
        case State::outside: {
          auto end = rest.find('"');
          more = end == rest.npos;
          pass(rest, more ? rest.size() - (all ? 0 : token_tail(rest)) : end, Part::outside, out);
          if (more) break;
          pass(rest, 1, Part::outside, out);
          state_ = State::opened;
          break;
        }
        case State::opened: {
          auto end = rest.find_first_of("\"\\");
          more = end == rest.npos && !all && rest.size() < kWholeBytes;
          if (more) break;
          state_ = State::string;
          auto whole = rest.substr(0, end);
          if (end == rest.npos || rest[end] != '"' || find_token(whole) || !whole_ ||
              !whole_(whole))
            break;
          out.add(take(rest, end), kString, Part::maybe, line_);
          break;
        }
        case State::string: {
          std::size_t end = 0;
          while (end < rest.size() && rest[end] != '"' && rest[end] != '\\' &&
                 static_cast<unsigned char>(rest[end]) >= 0x20)
            ++end;
          more = end == rest.size();
          pass(rest, more ? rest.size() - (all ? 0 : token_tail(rest)) : end, Part::token, out);
          if (more) break;
          if (static_cast<unsigned char>(rest.front()) < 0x20)
            return at_line(
                Error(Code::invalid, "a control character in a string: is a quote not closed?"),
                line_);
          state_ = rest.front() == '"' ? State::outside : State::escape;
          out.add(take(rest, 1));
          break;
        }
        case State::escape:  // \u12ab: what follows is passed as any other text
          out.add(take(rest, 1));
          state_ = State::string;
          break;
      }
    }
    const auto used = buffer_.size() - rest.size();
    wipe({reinterpret_cast<std::uint8_t*>(buffer_.data()), used});
    buffer_.erase(0, used);
    return {};
  }

  static std::string_view take(std::string_view& rest, std::size_t size) {
    auto out = rest.substr(0, size);
    rest.remove_prefix(size);
    return out;
  }

  void pass(std::string_view& rest, std::size_t size, Part found, Pieces& out) {
    out.split_front(rest, size, found == Part::token ? kString : kPassing, line_, found);
    line_ += line_breaks(take(rest, size));
  }

  WholeToken whole_;
  std::string buffer_;
  State state_ = State::outside;
  bool started_ = false;
  std::uint64_t line_ = 1;
};

}  // namespace

std::unique_ptr<Format> json_format(WholeToken whole) {
  return std::make_unique<Json>(std::move(whole));
}

}  // namespace holdfast::vault
