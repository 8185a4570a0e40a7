// XML 1.0. Text, attribute values and CDATA sections are filled; comments, processing instructions,
// names and the DOCTYPE stay as they are. Entities are never expanded, nothing is fetched, and no
// depth is too deep.
#include <algorithm>

#include "base/secret.h"
#include "vault/fill/pieces.h"

namespace holdfast::vault {
namespace {

enum XmlPlace : std::uint8_t { kPassing, kText, kAttribute, kCdata };

constexpr std::size_t kWholeBytes = 320;

/// XML has no way to write these at all.
bool writable(std::string_view value) {
  return std::ranges::none_of(value,
                              [](char c) {
                                return static_cast<unsigned char>(c) < 0x20 && c != '\t' &&
                                       c != '\n' && c != '\r';
                              }) &&
         value.find("\xef\xbf\xbe") == value.npos && value.find("\xef\xbf\xbf") == value.npos;
}

void append_escaped(std::string& out, std::string_view value, bool attribute) {
  reserve_wiping(out, value.size() * 6);
  for (char c : value) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += attribute ? "&quot;" : "\"";
        break;
      case '\'':
        out += attribute ? "&#39;" : "'";
        break;
      case '\r':
        out += "&#13;";
        break;
      case '\n':
        out += attribute ? "&#10;" : "\n";
        break;
      case '\t':
        out += attribute ? "&#9;" : "\t";
        break;
      default:
        out += c;
    }
}

/// Behind the end of a DOCTYPE, whose internal subset may hold quotes and comments.
std::size_t doctype_end(std::string_view text) {
  int depth = 0;
  for (std::size_t at = 2; at < text.size(); ++at) {
    if (text.substr(at).starts_with("<!--")) {
      at = text.find("-->", at + 4);
      if (at == text.npos) return at;
      at += 2;
    } else if (text.substr(at).starts_with("<?")) {
      at = text.find("?>", at + 2);
      if (at == text.npos) return at;
      at += 1;
    } else if (text[at] == '"' || text[at] == '\'') {
      at = text.find(text[at], at + 1);
      if (at == text.npos) return at;
    } else if (text[at] == '[') {
      ++depth;
    } else if (text[at] == ']') {
      --depth;
    } else if (text[at] == '>' && depth <= 0) {
      return at + 1;
    }
  }
  return text.npos;
}

class Xml final : public Format {
 public:
  explicit Xml(WholeToken whole) : whole_(std::move(whole)) {}
  ~Xml() override { wipe(buffer_); }

  Result<void> read(std::string_view bytes, Pieces& out) override {
    reserve_wiping(buffer_, bytes.size());
    buffer_ += bytes;
    return runs(false, out);
  }

  Result<void> finish(Pieces& out) override {
    if (auto read = runs(true, out); !read) return read;
    if (state_ == State::text && buffer_.empty()) return {};
    return at_line(Error(Code::invalid, "a tag, comment or section is not closed before the end"),
                   line_);
  }

  bool write(const Piece& piece, std::string_view bytes, std::optional<std::string_view> value,
             std::string& out) override {
    const bool fits = !value || writable(*value);
    if (!fits) value.reset();
    if (piece.place == kCdata) {
      auto text = value.value_or(bytes);
      reserve_wiping(out, text.size());
      for (char c : text) {
        if (c == '>' && brackets_ >= 2) {
          reserve_wiping(out, text.size() + 16);
          out += "]]><![CDATA[";
        }
        brackets_ = c == ']' ? brackets_ + 1 : 0;
        out += c;
      }
      return fits;
    }
    brackets_ = 0;
    if (value)
      append_escaped(out, *value, piece.place == kAttribute);
    else
      out += bytes;
    return fits;
  }

 private:
  enum class State : std::uint8_t { text, tag, attribute, comment, cdata, instruction };

  Error broken(Literal why) const { return at_line(Error(Code::invalid, why), line_); }

  Result<void> runs(bool all, Pieces& out) {
    if (!started_ && (all || buffer_.size() >= 8)) {
      started_ = true;
      if (auto good = check_start(buffer_); !good) return good;
      if (buffer_.starts_with(std::string_view("\0<", 2)) ||
          buffer_.starts_with(std::string_view("<\0", 2)))
        return Error(Code::invalid, "the text is UTF-16: write it as UTF-8");
    }
    if (!started_) return {};
    std::string_view rest = buffer_;
    for (bool more = false; !rest.empty() && !more;) {
      auto step = run(rest, all, out);
      if (!step) return std::move(step).error();
      more = !*step;
    }
    const auto used = buffer_.size() - rest.size();
    wipe({reinterpret_cast<std::uint8_t*>(buffer_.data()), used});
    buffer_.erase(0, used);
    if (buffer_.size() > kMaxFillUnit) return broken("a declaration is over 64 KiB");
    return {};
  }

  /// False when it needs more bytes.
  Result<bool> run(std::string_view& rest, bool all, Pieces& out) {
    switch (state_) {
      case State::text: {
        auto end = rest.find('<');
        if (end == 0) return markup(rest, all, out);
        return part(rest, end, kText, all, out);
      }
      case State::tag: {
        auto end = rest.find_first_of("><\"'");
        if (end == 0) {
          if (rest[0] == '<') return broken("a < inside a tag");
          if (rest[0] == '>') {
            state_ = State::text;
          } else {
            quote_ = rest[0];
            state_ = State::attribute;
          }
          take(rest, 1, kPassing, Part::outside, out);
          return true;
        }
        return part(rest, end, kPassing, all, out);
      }
      case State::attribute: {
        auto end = rest.find_first_of(quote_ == '"' ? "\"<" : "'<");
        if (end == 0) {
          if (rest[0] == '<') return broken("a < inside an attribute: is its quote not closed?");
          state_ = State::tag;
          take(rest, 1, kPassing, Part::outside, out);
          return true;
        }
        return part(rest, end, kAttribute, all, out);
      }
      case State::comment:
        return section(rest, "-->", kPassing, all, out);
      case State::cdata:
        return section(rest, "]]>", kCdata, all, out);
      case State::instruction:
        return section(rest, "?>", kPassing, all, out);
    }
    return false;
  }

  /// At a `<`.
  Result<bool> markup(std::string_view& rest, bool all, Pieces& out) {
    constexpr std::string_view kCdataOpen = "<![CDATA[";
    auto opens = [&](std::string_view with) { return rest.starts_with(with); };
    auto may_open = [&](std::string_view with) {
      return rest.size() < with.size() && with.starts_with(rest) && !all;
    };
    if (may_open("<!--") || may_open(kCdataOpen)) return false;
    std::size_t size = 1;
    if (opens("<?")) {
      // What it says of the encoding must be known before anything is filled.
      if (first_ && rest.find("?>") == rest.npos && !all) return false;
      if (first_ && !utf8(rest.substr(0, rest.find("?>"))))
        return broken("the XML declaration names an encoding other than UTF-8");
      state_ = State::instruction;
      size = 2;
    } else if (opens("<!--")) {
      state_ = State::comment;
      size = 4;
    } else if (opens(kCdataOpen)) {
      state_ = State::cdata;
      size = kCdataOpen.size();
    } else if (opens("<!")) {
      auto end = doctype_end(rest);
      if (end == rest.npos) return all ? Result<bool>(broken("the DOCTYPE is not closed")) : false;
      size = end;
    } else {
      state_ = State::tag;
    }
    first_ = false;
    fresh_ = true;
    take(rest, size, kPassing, Part::outside, out);
    return true;
  }

  static bool utf8(std::string_view declaration) {
    if (!declaration.starts_with("<?xml")) return true;
    auto at = declaration.find("encoding");
    if (at == declaration.npos) return true;
    auto from = declaration.find_first_of("\"'", at);
    if (from == declaration.npos) return false;
    std::string name(
        declaration.substr(from + 1, declaration.find(declaration[from], from + 1) - from - 1));
    for (auto& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    return name == "utf-8" || name == "utf8";
  }

  /// Up to `end`, or as much as is safe when the end is not there yet.
  Result<bool> part(std::string_view& rest, std::size_t end, std::uint8_t place, bool all,
                    Pieces& out) {
    const bool whole = end != rest.npos;
    const bool fresh = fresh_ && place != kPassing;
    if (!whole && !all && fresh && rest.size() < kWholeBytes) return false;
    fresh_ = whole;
    auto size = whole ? end : rest.size() - (all ? 0 : token_tail(rest));
    if (whole && fresh && !find_token(rest.substr(0, end)) && whole_ &&
        whole_(rest.substr(0, end))) {
      line_ += line_breaks(rest.substr(0, end));
      out.add(rest.substr(0, end), place, Part::maybe, line_);
      rest.remove_prefix(end);
      return true;
    }
    take(rest, size, place, place == kPassing ? Part::outside : Part::token, out);
    return whole;
  }

  Result<bool> section(std::string_view& rest, std::string_view close, std::uint8_t place, bool all,
                       Pieces& out) {
    const auto end = rest.find(close);
    const auto found = place == kPassing ? Part::outside : Part::token;
    if (end == rest.npos) {
      auto begun = all ? 0 : close.size() - 1;  // of what closes it
      while (!rest.ends_with(close.substr(0, begun))) --begun;
      const auto keep = all ? 0 : begun + token_tail(rest.substr(0, rest.size() - begun));
      take(rest, rest.size() - keep, place, found, out);
      return false;
    }
    take(rest, end, place, found, out);
    take(rest, close.size(), kPassing, Part::outside, out);
    state_ = State::text;
    return true;
  }

  void take(std::string_view& rest, std::size_t size, std::uint8_t place, Part found, Pieces& out) {
    auto run = rest.substr(0, size);
    out.split_front(rest, size, place, line_, found);
    line_ += line_breaks(run);
    rest.remove_prefix(size);
  }

  WholeToken whole_;
  std::string buffer_;
  State state_ = State::text;
  char quote_ = '"';
  bool started_ = false;
  bool first_ = true;  // no markup yet
  bool fresh_ = true;  // nothing of this text was handed on yet
  std::uint64_t line_ = 1;
  std::size_t brackets_ = 0;  // written last, in a CDATA section
};

}  // namespace

std::unique_ptr<Format> xml_format(WholeToken whole) {
  return std::make_unique<Xml>(std::move(whole));
}

}  // namespace holdfast::vault
