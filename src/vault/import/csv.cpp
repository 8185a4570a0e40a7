#include "vault/import/csv.h"

#include <algorithm>

#include "base/text.h"

namespace holdfast::vault {
namespace {

constexpr auto kNone = std::string_view::npos;

bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (char c : text) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

/// Where the first sequence begins that is not UTF-8.
std::size_t first_bad_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    auto lead = static_cast<unsigned char>(text[at]);
    std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (!valid_utf8(text.substr(at, size))) break;
    at += size;
  }
  return at;
}

std::size_t find_break(std::string_view text, std::size_t from) {
  while (from < text.size() && text[from] != '\n' && text[from] != '\r') ++from;
  return from < text.size() ? from : kNone;
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return text.starts_with(prefix); });
}

std::size_t index(char c) {
  return static_cast<unsigned char>(c);
}

}  // namespace

void CsvReader::feed(std::string_view bytes) {
  if (row_ > buffer_.size() / 2) {
    buffer_.erase(0, row_);
    row_ = 0;
  }
  buffer_.append(bytes);
}

ReadEvent CsvReader::next() {
  if (failed_) return ReadEvent::failed;
  if (!started_) {
    auto event = start();
    if (event != ReadEvent::row) return event;
  }
  for (;;) {
    advance();
    if (state_ == State::skipping && !skip_line()) return out_of_bytes();
    if (pass_lf_ && !rest().empty()) {
      pass_lf_ = false;
      if (rest().front() == '\n') ++row_;
    }
    if (!scan()) {
      if (broken_)
        return first_break_ > 0 ? broken_quote("a quote that does not close where a field ends",
                                               place_at(piece_.begin - 1))
                                : broken_quote("text after a closing quote", place_at(at_));
      if (at_ > kMaxCsvRow) return too_long();
      if (!finished_ || rest().empty()) return out_of_bytes();
      if (state_ == State::quoted)
        return broken_quote("a quote that is never closed", place_at(piece_.begin - 1));
      end_last_row();
    }
    if (columns_ == 1 && size_ == 0) continue;  // an empty line
    auto event = check(rest().substr(0, size_));
    if (!header_.empty() || event != ReadEvent::row) return event;
    for (auto name : fields_) header_.emplace_back(trim(name));
  }
}

// ── the beginning of the file

/// Gives `row` when the first line can be read.
ReadEvent CsvReader::start() {
  if (buffer_.size() < 4 && !finished_) return ReadEvent::more;
  using namespace std::string_view_literals;
  if (starts_with_any(buffer_, {"\xFF\xFE"sv, "\xFE\xFF"sv, "\0\0\xFE\xFF"sv}))
    return fail("UTF-16 or UTF-32: save the file as UTF-8");
  if (starts_with_any(buffer_, {"PK\x03\x04"sv, "\xD0\xCF\x11\xE0"sv, "\x1F\x8B"sv}))
    return fail("a spreadsheet or a compressed file: save it as CSV in UTF-8");
  std::size_t bom = buffer_.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  auto end = find_break(buffer_, std::max(at_, bom));
  if (end == kNone && !finished_) {
    at_ = buffer_.size();
    return at_ > kMaxCsvRow ? fail("the header line is longer than 1 MiB") : ReadEvent::more;
  }
  auto line = std::string_view(buffer_).substr(bom, end == kNone ? kNone : end - bom);
  row_ = bom;
  at_ = 0;
  started_ = true;
  if (line.size() == 5 && line.starts_with("sep=")) {
    if (delimiter_ == 0) delimiter_ = line[4];
    state_ = State::skipping;
  } else if (delimiter_ == 0) {
    sniff(line);
  }
  for (char c : {delimiter_, '\n', '\r'}) special_[index(c)] = true;
  return ReadEvent::row;
}

void CsvReader::sniff(std::string_view line) {
  std::size_t most = 0;
  delimiter_ = ',';
  for (char candidate : {',', ';', '\t'}) {
    bool quoted = false;
    std::size_t count = 0;
    for (char c : line) {
      quoted ^= c == '"';
      count += !quoted && c == candidate;
    }
    if (count > most) {
      most = count;
      delimiter_ = candidate;
    }
  }
}

// ── one row

/// Looks at what is there of the row, from where it stopped before. True at its end.
bool CsvReader::scan() {
  auto row = rest();
  while (at_ < row.size() && at_ <= kMaxCsvRow) {
    char c = row[at_];
    switch (state_) {
      case State::field:
        piece_ = {.begin = static_cast<std::uint32_t>(at_),
                  .end = 0,
                  .quoted = c == '"',
                  .doubled = false};
        state_ = piece_.quoted ? State::quoted : State::unquoted;
        if (piece_.quoted) ++piece_.begin, ++at_;
        break;
      case State::unquoted:
        if (scan_unquoted(row)) return true;
        break;
      case State::quoted:
        scan_quoted(row);
        break;
      case State::quote:
        if (c == '"') {
          piece_.doubled = true;
          state_ = State::quoted;
          ++at_;
        } else if (!special_[index(c)]) {
          broken_ = true;
          return false;
        } else {
          end_field();
          if (c != delimiter_) return end_row(row);
          ++at_;
        }
        break;
      case State::skipping:
        return false;
    }
  }
  return false;
}

bool CsvReader::scan_unquoted(std::string_view row) {
  const char* at = row.data() + at_;
  const char* end = row.data() + std::min(row.size(), kMaxCsvRow + 1);
  while (at < end && !special_[index(*at)]) ++at;
  at_ = static_cast<std::size_t>(at - row.data());
  if (at == end) return false;
  piece_.end = static_cast<std::uint32_t>(at_);
  end_field();
  if (*at != delimiter_) return end_row(row);
  ++at_;
  return false;
}

void CsvReader::scan_quoted(std::string_view row) {
  for (; at_ < row.size() && at_ <= kMaxCsvRow; ++at_) {
    char c = row[at_];
    if (c == '"') {
      piece_.end = static_cast<std::uint32_t>(at_++);
      state_ = State::quote;
      return;
    }
    if (c != '\n' && c != '\r') continue;
    if (c == '\r' || row[at_ - 1] != '\r') ++breaks_;
    if (first_break_ == 0) first_break_ = at_ + 1;
  }
}

bool CsvReader::end_row(std::string_view row) {
  pass_lf_ = row[at_] == '\r';
  size_ = at_;
  taken_ = at_ + 1;
  taken_lines_ = 1 + breaks_;
  return true;
}

void CsvReader::end_field() {
  if (++columns_ <= kMaxCsvColumns) pieces_.push_back(piece_);
  state_ = State::field;
}

/// The file ends without a line break.
void CsvReader::end_last_row() {
  if (state_ == State::field)
    piece_ = {
        .begin = static_cast<std::uint32_t>(at_), .end = 0, .quoted = false, .doubled = false};
  if (state_ != State::quote) piece_.end = static_cast<std::uint32_t>(at_);
  end_field();
  size_ = taken_ = at_;
  taken_lines_ = 1 + breaks_;
}

ReadEvent CsvReader::check(std::string_view row) {
  if (row.find('\0') != kNone) {
    if (header_.empty()) return fail("NUL bytes: is this UTF-16? Save the file as UTF-8");
    return refuse("a NUL byte", place_at(row.find('\0')));
  }
  if (!is_ascii(row) && !valid_utf8(row))
    return refuse("not valid UTF-8: save the file as UTF-8", place_at(first_bad_utf8(row)));
  for (const auto& piece : pieces_)
    if (piece.end - piece.begin > kMaxCsvField)
      return refuse("a field longer than 64 KiB", place_at(piece.begin));
  if (columns_ > kMaxCsvColumns) return refuse("more than 1,024 columns", place());
  if (!header_.empty() && columns_ > header_.size())
    return refuse("more columns than the header has", place(header_.size()));
  if (!header_.empty() && columns_ < header_.size())
    return refuse("fewer columns than the header has", place_at(row.size()));
  present(row);
  return ReadEvent::row;
}

void CsvReader::present(std::string_view row) {
  fields_.clear();
  unquoted_.clear();
  for (const auto& piece : pieces_) {
    auto text = row.substr(piece.begin, piece.end - piece.begin);
    if (piece.doubled) {
      unquoted_.reserve(row.size());  // at most once a row: earlier views stay
      auto from = unquoted_.size();
      for (std::size_t i = 0; i < text.size(); ++i) {
        unquoted_ += text[i];
        i += text[i] == '"';
      }
      text = std::string_view(unquoted_).substr(from);
    }
    fields_.push_back(text);
  }
}

/// Leaves the rest of the line behind. False when its end is not there yet.
bool CsvReader::skip_line() {
  auto end = find_break(buffer_, row_);
  if (end == kNone) {
    row_ = buffer_.size();
    return false;
  }
  pass_lf_ = buffer_[end] == '\r';
  row_ = end + 1;
  ++line_;
  state_ = State::field;
  return true;
}

/// Leaves the row behind that was given last.
void CsvReader::advance() {
  if (taken_ == 0) return;
  row_ += taken_;
  line_ += taken_lines_;
  at_ = size_ = taken_ = columns_ = first_break_ = 0;
  taken_lines_ = breaks_ = 0;
  broken_ = false;
  pieces_.clear();
}

// ── what does not go in

/// Resumes behind the first line of the row, where it is known: what follows may be rows.
ReadEvent CsvReader::broken_quote(Literal reason, Place place) {
  auto row = rest();
  state_ = State::field;
  taken_ = row.size();
  taken_lines_ = 1;
  breaks_ = 0;
  if (first_break_ > 0) {
    pass_lf_ = row[first_break_ - 1] == '\r';
    taken_ = first_break_;
  } else if (broken_) {
    state_ = State::skipping;
    taken_ = at_;
    taken_lines_ = 0;
  }
  return refuse(reason, place);
}

ReadEvent CsvReader::too_long() {
  if (state_ == State::quoted && first_break_ > 0)
    return broken_quote("a quote that is not closed within 1 MiB", place_at(piece_.begin - 1));
  state_ = State::skipping;
  taken_ = at_;
  taken_lines_ = breaks_;
  return refuse("a row longer than 1 MiB", place());
}

ReadEvent CsvReader::refuse(Literal reason, Place place) {
  refusal_ = {.place = place, .last_line = line_ + breaks_, .reason = reason.text};
  if (!header_.empty()) return ReadEvent::refused;
  failed_ = true;
  return ReadEvent::failed;
}

ReadEvent CsvReader::fail(Literal reason) {
  refusal_ = {.place = place(), .last_line = line_, .reason = reason.text};
  failed_ = true;
  return ReadEvent::failed;
}

ReadEvent CsvReader::out_of_bytes() {
  if (!finished_) return ReadEvent::more;
  if (header_.empty()) return fail("no header line: the file is empty");
  return ReadEvent::end;
}

// ── places

Place CsvReader::place(std::size_t field) const {
  if (field >= pieces_.size()) return place_at(size_);
  const auto& piece = pieces_[field];
  return place_at(piece.begin - (piece.quoted ? 1 : 0));
}

Place CsvReader::place_at(std::size_t offset) const {
  Place out{line_, offset + 1};
  if (first_break_ == 0) return out;
  auto row = rest();
  for (std::size_t i = 0; i < offset; ++i) {
    bool crlf = row[i] == '\r' && i + 1 < row.size() && row[i + 1] == '\n';
    if ((row[i] != '\n' && row[i] != '\r') || crlf) continue;
    ++out.line;
    out.column = offset - i;
  }
  return out;
}

}  // namespace holdfast::vault
