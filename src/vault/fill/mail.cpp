// One message (RFC 5322, MIME): its subject, its addresses and its parts text/plain and text/html
// are filled, attachments and all other fields stay as they are. A signed or encrypted part stays
// as it is, too. Tokens in other text parts stay and are listed: what a value may not hold there is
// not known (in a calendar or an address book a line break begins another property).
//
// Text in quoted-printable or base64 is decoded, filled and encoded again. Values in text/html are
// escaped. A value with characters beyond ASCII needs a part that says charset=utf-8; in fields it
// becomes an encoded word. A value never ends a field, adds an address or begins a boundary.
#include <algorithm>
#include <deque>

#include "base/secret.h"
#include "vault/fill/mail_text.h"
#include "vault/fill/pieces.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kDeepest = 20;
constexpr std::size_t kBoundary = 70;      // RFC 2046
constexpr std::size_t kLongLine = 4096;    // no boundary any more
constexpr std::size_t kMaxHead = 1 << 20;  // of one header

// Places: what of the lowest four bits, and of a body's text how it is written.
enum MailPlace : std::uint8_t { kPassing, kSubject, kPhrase, kQuoted, kAngle, kBody };
constexpr std::uint8_t kWhat = 0x0f, kHtml = 0x10, kUtf8 = 0x20;
constexpr int kCodingShift = 6;

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kSeparators = ",;: \t\r\n";  // of addresses

std::string_view without_line_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of("\r\n") + 1);
}

std::string lowered(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

std::string_view trimmed(std::string_view text) {
  auto from = text.find_first_not_of(" \t\r\n");
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

/// `boundary` of `multipart/mixed; boundary="x; y"`, or empty.
std::string parameter(std::string_view field, std::string_view name) {
  for (auto at = field.find(';'); at != field.npos;) {
    auto rest = field.substr(at + 1);
    auto equals = rest.find('=');
    if (equals == rest.npos) return {};
    const bool ours = lowered(trimmed(rest.substr(0, equals))) == name;
    rest.remove_prefix(equals + 1);
    while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
    std::string value;
    std::size_t used = 0;
    if (rest.starts_with('"')) {
      for (used = 1; used < rest.size() && rest[used] != '"'; ++used) {
        if (rest[used] == '\\' && used + 1 < rest.size()) ++used;
        value += rest[used];
      }
    } else {
      used = std::min(rest.find(';'), rest.size());
      value = trimmed(rest.substr(0, used));
    }
    if (ours) return value;
    at = field.find(';', static_cast<std::size_t>(rest.data() - field.data()) + used);
  }
  return {};
}

bool is_text_field(const std::string& name) {
  return name == "subject" || name == "comments" || name == "keywords" || name.starts_with("x-");
}

bool is_address_field(std::string name) {
  if (name.starts_with("resent-")) name.erase(0, 7);
  return name == "from" || name == "sender" || name == "reply-to" || name == "to" || name == "cc" ||
         name == "bcc";
}

class Mail final : public Format {
 public:
  explicit Mail(WholeToken whole) : whole_(std::move(whole)) {}
  ~Mail() override {
    for (auto* text : {&buffer_, &field_, &decoded_, &unit_}) wipe(*text);
  }

  Result<void> read(std::string_view bytes, Pieces& out) override {
    reserve_wiping(buffer_, bytes.size());
    buffer_ += bytes;
    return lines(false, out);
  }

  Result<void> finish(Pieces& out) override {
    if (auto read = lines(true, out); !read) return read;
    if (in_header_) {
      field(out);
      return {};
    }
    end_part(out);
    out.add(pending_);
    return {};
  }

  bool write(const Piece& piece, std::string_view bytes, std::optional<std::string_view> value,
             std::string& out) override {
    const auto what = piece.place & kWhat;
    if (what == kPassing) {
      out += bytes;
      return true;
    }
    return what == kBody ? write_body(piece, bytes, value, out)
                         : write_field(what, piece, bytes, value, out);
  }

 private:
  enum class Body : std::uint8_t { passing, text };

  // ── reading

  Result<void> lines(bool all, Pieces& out) {
    if (!started_ && (all || buffer_.size() >= 4)) {
      started_ = true;
      if (auto good = check_start(buffer_); !good) return good;
    }
    if (!started_) return {};
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      auto end = rest.find('\n');
      if (end == rest.npos && !all && (in_header_ || rest.size() < kLongLine)) break;
      if (end == rest.npos && rest.size() >= kLongLine && !all) {
        long_line(rest, out);
        rest = {};
        break;
      }
      auto one = rest.substr(0, end == rest.npos ? rest.size() : end + 1);
      if (auto done = line(one, out); !done) return done;
      rest.remove_prefix(one.size());
      line_ += one.ends_with('\n');
    }
    const auto used = buffer_.size() - rest.size();
    wipe({reinterpret_cast<std::uint8_t*>(buffer_.data()), used});
    buffer_.erase(0, used);
    if (in_header_ && buffer_.size() + field_.size() > kMaxFillUnit) return long_field();
    return {};
  }

  Error long_field() const {
    return at_line(Error(Code::invalid, "a header field is over 64 KiB"), line_);
  }

  Result<void> line(std::string_view one, Pieces& out) {
    if (line_end_.empty() && one.ends_with('\n')) line_end_ = one.ends_with("\r\n") ? "\r\n" : "\n";
    if (in_header_) return head_line(one, out);
    if (!within_line_ && boundary(one, out)) return {};
    within_line_ = false;
    pending_line_end(out);
    const auto text = without_line_end(one);
    body(text, true, out);
    pending_ = one.substr(text.size());
    return {};
  }

  void long_line(std::string_view text, Pieces& out) {
    pending_line_end(out);
    within_line_ = true;
    body(text, false, out);
  }

  Result<void> head_line(std::string_view one, Pieces& out) {
    const bool goes_on = one[0] == ' ' || one[0] == '\t';
    if (!goes_on) field(out);
    head_bytes_ += one.size();
    if (head_bytes_ > kMaxHead)
      return at_line(Error(Code::invalid, "a header is over 1 MiB"), line_);
    if (one != "\r\n" && one != "\n") {
      if (field_.empty()) field_line_ = line_;
      reserve_wiping(field_, one.size());
      field_ += one;
      if (field_.size() > kMaxFillUnit) return long_field();
      return {};
    }
    out.add(one);
    return begin_body();
  }

  /// A complete header field.
  void field(Pieces& out) {
    if (field_.empty()) return;
    std::string_view text = field_;
    const auto colon = text.find(':');
    const auto name = lowered(trimmed(text.substr(0, colon)));
    const auto value = colon == text.npos ? std::string_view() : text.substr(colon + 1);
    if (name == "content-type") type_ = trimmed(value);
    if (name == "content-transfer-encoding") coding_name_ = lowered(trimmed(value));
    if (name == "content-disposition")
      attached_ = lowered(trimmed(value)).starts_with("attachment");
    const bool looked_at = find_token(value) || value.find("=?") != value.npos;
    if (looked_at && is_text_field(name))
      text_field(text.substr(0, colon + 1), value, out);
    else if (looked_at && is_address_field(name))
      address_field(text.substr(0, colon + 1), value, out);
    else
      out.split(text, kPassing, field_line_, Part::outside);
    wipe(field_);
  }

  void text_field(std::string_view name, std::string_view value, Pieces& out) {
    const auto body = without_line_end(value);
    auto decoded = decoded_header(body);
    if (!decoded || !find_token(*decoded)) {
      out.add(name);
      return out.split(value, kPassing, field_line_, Part::outside);
    }
    out.add(name);
    unit(kSubject, *decoded, body, out);
    out.add(value.substr(body.size()));
    wipe(*decoded);
  }

  /// Phrases, quoted strings and what is between angles, each as one; comments and separators pass.
  void address_field(std::string_view name, std::string_view field, Pieces& out) {
    out.add(name);
    const auto value = without_line_end(field);
    for (std::size_t at = 0; at < value.size();) {
      const char c = value[at];
      const auto end = end_of(value, at);
      const auto one = value.substr(at, end - at);
      if (end == value.npos || c == '(')
        out.split(one, kPassing, field_line_, Part::outside);
      else if (c == '"')
        quoted(one, out);
      else if (kSeparators.find(c) != kSeparators.npos)
        out.add(one);
      else
        address(c == '<' ? kAngle : kPhrase, one, out);
      at = end == value.npos ? value.size() : end;
    }
    out.add(field.substr(value.size()));
  }

  /// Behind what begins there; npos where it is not closed.
  static std::size_t end_of(std::string_view value, std::size_t at) {
    if (kSeparators.find(value[at]) != kSeparators.npos) return at + 1;
    if (value[at] == '<') {
      const auto end = value.find('>', at);
      return end == value.npos ? end : end + 1;
    }
    if (value[at] != '"' && value[at] != '(') {
      const auto end = std::min(value.find_first_of(",;:<(\"", at), value.size());
      return at + value.substr(at, end - at).find_last_not_of(kBlanks) + 1;
    }
    const bool comment = value[at] == '(';
    int depth = 1;
    for (auto i = at + 1; i < value.size(); ++i) {
      if (value[i] == '\\')
        ++i;
      else if (comment && value[i] == '(')
        ++depth;
      else if (value[i] == (comment ? ')' : '"') && --depth == 0)
        return i + 1;
    }
    return value.npos;
  }

  void address(MailPlace place, std::string_view text, Pieces& out) {
    auto decoded = place == kPhrase ? decoded_header(text) : std::optional(std::string(text));
    if (decoded && find_token(*decoded))
      unit(place, *decoded, text, out);
    else
      out.split(text, kPassing, field_line_, Part::outside);
    if (decoded) wipe(*decoded);
  }

  void quoted(std::string_view text, Pieces& out) {
    std::string inner;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
      if (text[i] == '\\' && i + 2 < text.size()) ++i;
      if (text[i] != '\r' && text[i] != '\n') inner += text[i];
    }
    if (find_token(inner))
      unit(kQuoted, inner, text, out);
    else
      out.split(text, kPassing, field_line_, Part::outside);
    wipe(inner);
  }

  /// The tokens of what is written as one, and how it stood.
  void unit(MailPlace place, std::string_view decoded, std::string_view stood, Pieces& out) {
    out.split(decoded, place, field_line_);
    out.add(stood, place, Part::text, 0, true);
  }

  Result<void> begin_body() {
    in_header_ = false;
    head_bytes_ = 0;
    const auto type = lowered(trimmed(std::string_view(type_).substr(0, type_.find(';'))));
    const auto charset = lowered(parameter(type_, "charset"));
    body_ = Body::passing;
    if (type.starts_with("multipart/") && type != "multipart/signed" &&
        type != "multipart/encrypted" && type != "multipart/digest") {  // of attached messages
      auto mark = parameter(type_, "boundary");
      if (mark.empty() || mark.size() > kBoundary)
        return at_line(Error(Code::invalid, "a multipart without a boundary"), line_);
      if (boundaries_.size() == kDeepest)
        return at_line(Error(Code::invalid, "parts lie more than 20 deep"), line_);
      boundaries_.push_back(std::move(mark));
    } else if ((type.empty() || type.starts_with("text/")) && !attached_ && coding_known()) {
      body_ = Body::text;
      found_ =
          type.empty() || type == "text/plain" || type == "text/html" ? Part::token : Part::outside;
      place_ = static_cast<std::uint8_t>(kBody | (type == "text/html" ? kHtml : 0) |
                                         (charset == "utf-8" || charset == "utf8" ? kUtf8 : 0) |
                                         static_cast<int>(coding_) << kCodingShift);
    }
    type_.clear();
    coding_name_.clear();
    attached_ = false;
    return {};
  }

  bool coding_known() {
    if (coding_name_ == "quoted-printable")
      coding_ = BodyCoding::quoted_printable;
    else if (coding_name_ == "base64")
      coding_ = BodyCoding::base64;
    else
      coding_ = BodyCoding::none;
    return coding_ != BodyCoding::none || coding_name_.empty() || coding_name_ == "7bit" ||
           coding_name_ == "8bit" || coding_name_ == "binary";
  }

  /// True when the line is a boundary; of an outer part it ends those within.
  bool boundary(std::string_view one, Pieces& out) {
    if (!one.starts_with("--") || boundaries_.empty()) return false;
    auto mark = one.substr(0, one.find_last_not_of(" \t\r\n") + 1).substr(2);
    for (std::size_t depth = boundaries_.size(); depth-- > 0;) {
      const std::string& wanted = boundaries_[depth];
      const bool closes =
          mark.size() == wanted.size() + 2 && mark.starts_with(wanted) && mark.ends_with("--");
      if (!closes && mark != wanted) continue;
      end_part(out);
      out.add(pending_);
      pending_.clear();
      out.add(one);
      boundaries_.resize(closes ? depth : depth + 1);
      body_ = Body::passing;
      in_header_ = !closes;
      return true;
    }
    return false;
  }

  /// A line end is the text's as soon as no boundary follows it.
  void pending_line_end(Pieces& out) {
    if (pending_.empty()) return;
    if (body_ == Body::passing)
      out.add(pending_);
    else if (coding_ == BodyCoding::none)
      text(pending_, out);
    else if (coding_ == BodyCoding::quoted_printable && !std::exchange(soft_, false))
      decoded_ += pending_;
    pending_.clear();
  }

  /// What a line holds, or (`ends` not) the beginning of one.
  void body(std::string_view one, bool ends, Pieces& out) {
    if (body_ == Body::passing) return out.add(one);
    auto coded = one;
    if (coding_ == BodyCoding::quoted_printable && ends) {
      coded = coded.substr(0, coded.find_last_not_of(" \t") + 1);
      soft_ = coded.ends_with('=');
      if (soft_) coded.remove_suffix(1);
    }
    decoder_.decode(coding_, coded, decoded_);
    // Where a line ends so does a token, but for the soft breaks of quoted-printable and base64.
    const bool whole = ends && coding_ == BodyCoding::none;
    const auto keep = whole ? 0 : token_tail(decoded_);
    const auto size = decoded_.size() - keep;
    out.split_front(decoded_, size, place_, line_, found_);
    wipe({reinterpret_cast<std::uint8_t*>(decoded_.data()), size});
    decoded_.erase(0, size);
  }

  void text(std::string_view run, Pieces& out) { out.split(run, place_, line_, found_); }

  void end_part(Pieces& out) {
    if (body_ != Body::text) return;
    text(decoded_, out);
    wipe(decoded_);
    decoder_.reset();
    soft_ = false;
    out.add({}, place_, Part::text, 0, true);
  }

  // ── writing

  std::string_view line_end() const {
    return line_end_.empty() ? std::string_view("\r\n") : std::string_view(line_end_);
  }

  bool write_body(const Piece& piece, std::string_view bytes, std::optional<std::string_view> value,
                  std::string& out) {
    const auto coding = static_cast<BodyCoding>(piece.place >> kCodingShift);
    const bool fits = !value || (piece.place & kUtf8) != 0 || is_ascii(*value);
    std::string made;
    if (value && fits) made = written(*value, (piece.place & kHtml) != 0);
    const std::string_view text = value && fits ? std::string_view(made) : bytes;
    if (coding != BodyCoding::none) {
      encoder_.write(coding, text, line_end(), out);
      if (piece.last) {
        encoder_.finish(line_end(), out);
        encoder_ = {};
      }
      wipe(made);
      return fits;
    }
    reserve_wiping(out, text.size() * 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
      // A boundary must not come out of a value, nor out of one and what is beside it.
      if (dashes_ == 0 && text[i] == '-' && value) out += ' ', dashes_ = -1;
      if (dashes_ == 1 && text[i] == '-' && value) out += ' ', dashes_ = -1;
      out += text[i];
      if (text[i] == '\n')
        dashes_ = 0;
      else
        dashes_ = dashes_ == 0 && text[i] == '-' ? 1 : -1;
    }
    if (piece.last) dashes_ = 0;
    wipe(made);
    return fits;
  }

  /// A value with the line ends of the mail, escaped in HTML.
  std::string written(std::string_view value, bool html) const {
    std::string out;
    out.reserve(value.size() * 6 + 8);
    for (std::size_t i = 0; i < value.size(); ++i) {
      const char c = value[i];
      if (c == '\r' && i + 1 < value.size() && value[i + 1] == '\n') continue;
      if (c == '\r' || c == '\n')
        out += line_end();
      else if (html && c == '&')
        out += "&amp;";
      else if (html && c == '<')
        out += "&lt;";
      else if (html && c == '>')
        out += "&gt;";
      else if (html && c == '"')
        out += "&quot;";
      else if (html && c == '\'')
        out += "&#39;";
      else
        out += c;
    }
    return out;
  }

  bool write_field(int what, const Piece& piece, std::string_view bytes,
                   std::optional<std::string_view> value, std::string& out) {
    if (!piece.last) {
      const bool fits = !value || what != kAngle || address_like(*value) || angle_part(*value);
      if (value && fits) {
        auto line = one_line(*value);
        reserve_wiping(unit_, line.size());
        unit_ += line;
        wipe(line);
        filled_ = true;
      } else {
        reserve_wiping(unit_, bytes.size());
        unit_ += bytes;
      }
      return fits;
    }
    reserve_wiping(out, unit_.size() * 2 + bytes.size() + 64);
    const bool plain = plain_header(unit_);
    if (!filled_)
      out += bytes;
    else if (what == kAngle || (what == kSubject && plain) ||
             (what == kPhrase && (address_like(unit_) || atoms(unit_))))
      out += unit_;
    else if (plain && (what == kPhrase || what == kQuoted))
      out += in_quotes(unit_);
    else
      ((out += what == kSubject ? " " : "")) += encoded_words(trimmed(unit_), line_end());
    wipe(unit_);
    filled_ = false;
    return true;
  }

  /// The part of an address before or behind its `@`.
  static bool angle_part(std::string_view value) {
    return address_like(std::string("a@").append(value)) ||
           address_like(std::string(value).append("@a"));
  }

  /// Words that need no quotes.
  static bool atoms(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == ' ' || c == '-' || c == '_';
    });
  }

  static std::string in_quotes(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out + '"';
  }

  WholeToken whole_;
  std::string buffer_;
  bool started_ = false;
  std::uint64_t line_ = 1;
  std::string line_end_;

  bool in_header_ = true;
  std::string field_;  // with its folds
  std::uint64_t field_line_ = 1;
  std::size_t head_bytes_ = 0;
  std::string type_, coding_name_;
  bool attached_ = false;

  std::vector<std::string> boundaries_;  // from the outermost
  Body body_ = Body::passing;
  BodyCoding coding_ = BodyCoding::none;
  std::uint8_t place_ = 0;
  Part found_ = Part::token;  // what a token in this body is
  std::string pending_;       // the end of the line before
  std::string decoded_;
  BodyDecoder decoder_;
  bool soft_ = false, within_line_ = false;

  BodyEncoder encoder_;
  int dashes_ = 0;  // at the beginning of the line written: 0 none yet, 1 one, -1 something else
  std::string unit_;
  bool filled_ = false;
};

}  // namespace

std::unique_ptr<Format> mail_format(WholeToken whole) {
  return std::make_unique<Mail>(std::move(whole));
}

}  // namespace holdfast::vault
