// CSV (RFC 4180 and as shops write it). A cell is taken whole, so that it can be put into quotes.
//
// A cell with a value is quoted where the value needs it: with what would end the cell here or in a
// program that guesses another delimiter. A filled cell that a spreadsheet would run as a formula
// gets an apostrophe before it: one that begins with `=`, `@`, tab or CR, and one that begins with
// `+` or `-` unless it is a number as people write them (a phone number stays).
#include <algorithm>

#include "base/secret.h"
#include "vault/fill/pieces.h"

namespace holdfast::vault {
namespace {

enum CsvPlace : std::uint8_t { kPassing, kBare, kQuoted };

bool number_like(std::string_view text) {
  return text.find_first_not_of("0123456789+-.,/() \xc2\xa0") == std::string_view::npos;
}

bool formula(std::string_view cell) {
  if (cell.empty()) return false;
  if (cell[0] == '+' || cell[0] == '-') return !number_like(cell);
  return cell[0] == '=' || cell[0] == '@' || cell[0] == '\t' || cell[0] == '\r';
}

/// No quote, and nothing that names, numbers and tokens are made of: those would end their own
/// cells.
bool may_delimit(char c) {
  auto within = [c](char from, char to) { return c >= from && c <= to; };
  return c == '\t' ||
         (within('!', '~') && c != '"' && c != '\'' && !within('0', '9') && !within('A', 'Z') &&
          !within('a', 'z') && c != '_' && c != '@' && c != '.' && c != '-');
}

class Csv final : public Format {
 public:
  explicit Csv(WholeToken whole) : whole_(std::move(whole)) {}
  ~Csv() override {
    wipe(buffer_);
    wipe(cell_);
  }

  Result<void> read(std::string_view bytes, Pieces& out) override {
    reserve_wiping(buffer_, bytes.size());
    buffer_ += bytes;
    if (auto begun = begin(false, out); !begun) return begun;
    return delimiter_ == 0 ? Result<void>() : cells(out);
  }

  Result<void> finish(Pieces& out) override {
    if (auto begun = begin(true, out); !begun) return begun;
    if (auto read = cells(out); !read) return read;
    if (state_ == State::quoted)
      return at_line(Error(Code::invalid, "a quote is not closed before the end"), line_);
    cell(std::string_view(buffer_), out);
    wipe(buffer_);
    return {};
  }

  bool write(const Piece& piece, std::string_view bytes, std::optional<std::string_view> value,
             std::string& out) override {
    if (piece.place == kPassing) {
      out += bytes;
      return true;
    }
    reserve_wiping(cell_, value.value_or(bytes).size());
    cell_ += value.value_or(bytes);
    filled_ |= value.has_value();
    if (!piece.last) return true;
    const bool guarded = filled_ && formula(cell_);
    const bool quoted =
        piece.place == kQuoted ||
        (filled_ && (cell_.find_first_of(",;\t|\"\r\n") != std::string::npos ||
                     cell_.contains(delimiter_) || cell_.starts_with(' ') || cell_.ends_with(' ')));
    reserve_wiping(out, cell_.size() + 3);
    if (quoted) out += '"';
    if (guarded) out += '\'';
    for (char c : cell_) {
      if (quoted && c == '"') out += '"';
      out += c;
    }
    if (quoted) out += '"';
    wipe(cell_);
    filled_ = false;
    return true;
  }

 private:
  enum class State : std::uint8_t { start, bare, quoted, quote, broken };

  /// Tells the delimiter from the first line, once that is there. Errors: invalid.
  Result<void> begin(bool all, Pieces& out) {
    if (delimiter_ != 0) return {};
    if (auto good = check_start(buffer_); !good) return good;
    auto end = buffer_.find_first_of("\r\n");
    if (end == std::string::npos && !all && buffer_.size() < kMaxFillUnit) return {};
    auto line = std::string_view(buffer_).substr(0, end);
    std::size_t mark = line.starts_with("\xef\xbb\xbf") ? 3 : 0;
    line.remove_prefix(mark);
    if (line.size() == 5 && line.starts_with("sep=")) {
      if (!may_delimit(line[4]))
        return at_line(Error(Code::invalid,
                             "`sep=` names no delimiter that can be used: write the file with "
                             "`,` `;` `|` or tab"),
                       line_);
      delimiter_ = line[4];
    } else {
      std::size_t most = 0;
      delimiter_ = ',';
      for (char candidate : {',', ';', '\t', '|'}) {
        bool quoted = false;
        std::size_t count = 0;
        for (char c : line) {
          if (c == '"') quoted = !quoted;
          count += !quoted && c == candidate;
        }
        if (count > most) {
          most = count;
          delimiter_ = candidate;
        }
      }
    }
    out.add(std::string_view(buffer_).substr(0, mark));
    buffer_.erase(0, mark);
    return {};
  }

  /// Every complete cell, and its delimiter or line break.
  Result<void> cells(Pieces& out) {
    const std::string_view text = buffer_;
    std::size_t from = 0, passing = 0;
    for (auto at = looked_; at < text.size(); ++at) {
      const char c = text[at];
      if (state_ == State::quoted) {
        at = text.find('"', at);
        if (at == std::string_view::npos) break;
        state_ = State::quote;
        continue;
      }
      if (c == delimiter_ || c == '\r' || c == '\n') {
        auto one = text.substr(from, at - from);
        if (special(one)) {
          pass(text.substr(passing, from - passing), out);
          cell(one, out);
          passing = at;
        }
        from = at + 1;
        state_ = State::start;
        continue;
      }
      switch (state_) {
        case State::start:
          state_ = c == '"' ? State::quoted : State::bare;
          break;
        case State::quote:
          state_ = c == '"' ? State::quoted : State::broken;
          break;
        default:
          break;
      }
    }
    pass(text.substr(passing, from - passing), out);
    if (text.size() - from > kMaxFillUnit)
      return at_line(Error(Code::invalid, "a cell is over 64 KiB: is a quote not closed?"), line_);
    looked_ = text.size() - from;
    wipe({reinterpret_cast<std::uint8_t*>(buffer_.data()), from});
    buffer_.erase(0, from);
    return {};
  }

  void pass(std::string_view text, Pieces& out) {
    line_ += line_breaks(text);
    out.add(text);
  }

  bool special(std::string_view one) const {
    if (find_token(one)) return true;
    auto inner = one;
    if (inner.size() >= 2 && inner.front() == '"' && inner.back() == '"')
      inner = inner.substr(1, inner.size() - 2);
    return whole_ && whole_(inner);
  }

  void cell(std::string_view one, Pieces& out) {
    if (!special(one)) return pass(one, out);
    const bool quoted = one.front() == '"';
    if (quoted && state_ == State::broken) {
      out.split(one, kPassing, line_, Part::outside);
      line_ += line_breaks(one);
      return;
    }
    auto text = quoted ? one.substr(1, one.size() - 2) : one;
    std::string plain;  // what is quoted, without doubled quotes
    if (quoted && text.find('"') != std::string_view::npos) {
      for (std::size_t i = 0; i < text.size(); ++i) {
        plain += text[i];
        if (text[i] == '"') ++i;
      }
      text = plain;
    }
    const auto place = quoted ? kQuoted : kBare;
    if (!find_token(text))
      out.add(text, place, Part::maybe, line_);
    else
      out.split(text, place, line_);
    out.list.back().last = true;
    line_ += line_breaks(one);
    wipe(plain);
  }

  WholeToken whole_;
  std::string buffer_;      // from the beginning of a cell
  std::size_t looked_ = 0;  // how far into it
  State state_ = State::start;
  char delimiter_ = 0;
  std::uint64_t line_ = 1;
  std::string cell_;  // being written
  bool filled_ = false;
};

}  // namespace

std::unique_ptr<Format> csv_format(WholeToken whole) {
  return std::make_unique<Csv>(std::move(whole));
}

}  // namespace holdfast::vault
