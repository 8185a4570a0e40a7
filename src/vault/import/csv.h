// CSV as RFC 4180 has it and as shops write it: read from chunks of any size, with flat memory.
//
//   CsvReader reader;
//   for (;;) switch (reader.next()) {
//     case ReadEvent::more: chunk.empty() ? reader.finish() : reader.feed(chunk); break;
//     case ReadEvent::row: ... reader.fields() ... break;
//     case ReadEvent::refused: ... reader.refusal() ... break;
//     case ReadEvent::end: case ReadEvent::failed: return; }
//
// Taken: a byte order mark; LF, CRLF and CR, mixed; quoted fields with line breaks and doubled
// quotes; a quote inside an unquoted field as it is; `,` `;` or tab, told from the header line or
// an Excel line `sep=;`; empty lines, which are passed over.
//
// Refused, row by row: bytes that are not UTF-8, NUL bytes, more or fewer fields than the header
// has, text after a closing quote, what is over a limit. A quote that never closes (before the row
// limit or the end of the file) is refused with the line on which its row began, and reading
// resumes after that one line, so that it takes no good rows with it. A row that is well formed but
// refused is passed over whole: nothing inside a customer's quoted note is ever read as a row of
// its own, unless the row passes its limit inside the note.
//
// Failed, as a whole: UTF-16, spreadsheets (.xlsx), an empty file, a header that is no row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vault/import/row.h"

namespace holdfast::vault {

/// Of a field and of a row as written, in bytes.
inline constexpr std::size_t kMaxCsvField = 64 << 10;
inline constexpr std::size_t kMaxCsvRow = 1 << 20;
inline constexpr std::size_t kMaxCsvColumns = 1024;

/// Memory: at most a row and a chunk, twice. Cost: at least 200 MB/s. Threads: one at a time.
class CsvReader {
 public:
  /// Without a delimiter it is told from the header line.
  explicit CsvReader(char delimiter = 0) : delimiter_(delimiter) {}

  /// The next bytes of the file; they are copied. To be called when next() asked for more.
  void feed(std::string_view bytes);
  /// There are no more bytes.
  void finish() { finished_ = true; }

  ReadEvent next();

  /// The names in the first line. Known as soon as next() gave anything but `more` or `failed`.
  const std::vector<std::string>& header() const { return header_; }
  bool has_header() const { return !header_.empty(); }

  /// Of the row that next() gave: as many as the header has, valid UTF-8 without NUL. Valid until
  /// the next call of next() or feed().
  std::span<const std::string_view> fields() const { return fields_; }
  /// Where a field of that row begins (its quote, if it has one). `field` up to fields().size().
  Place place(std::size_t field) const;
  Place place() const { return {line_, 1}; }

  const Refusal& refusal() const { return refusal_; }
  char delimiter() const { return delimiter_; }
  /// Bytes of memory held for what was fed.
  std::size_t held() const { return buffer_.capacity() + unquoted_.capacity(); }

 private:
  enum class State : std::uint8_t { field, unquoted, quoted, quote, skipping };
  /// Offsets from the beginning of the row.
  struct Piece {
    std::uint32_t begin, end;
    bool quoted, doubled;
  };

  ReadEvent start();
  void sniff(std::string_view line);
  bool scan();
  bool scan_unquoted(std::string_view row);
  void scan_quoted(std::string_view row);
  bool end_row(std::string_view row);
  void end_field();
  void end_last_row();
  ReadEvent check(std::string_view row);
  void present(std::string_view row);
  bool skip_line();
  void advance();
  ReadEvent broken_quote(Literal reason, Place place);
  ReadEvent too_long();
  ReadEvent refuse(Literal reason, Place place);
  ReadEvent fail(Literal reason);
  ReadEvent out_of_bytes();
  Place place_at(std::size_t offset) const;
  std::string_view rest() const { return std::string_view(buffer_).substr(row_); }

  std::string buffer_;
  std::size_t row_ = 0;    // where in buffer_ the row begins
  std::size_t at_ = 0;     // how far it was looked at, from row_
  std::size_t size_ = 0;   // of a complete row, without its line break
  std::size_t taken_ = 0;  // what advance() leaves behind, in bytes and in lines
  std::uint64_t taken_lines_ = 0;
  State state_ = State::field;
  bool finished_ = false, started_ = false, failed_ = false, broken_ = false;
  bool pass_lf_ = false;  // the last line ended with CR
  Piece piece_{};
  std::vector<Piece> pieces_;
  std::size_t columns_ = 0;      // also those over the limit
  std::size_t first_break_ = 0;  // behind the first line break inside quotes, 0 without
  std::uint64_t line_ = 1;       // on which the row begins
  std::uint64_t breaks_ = 0;     // inside its quotes
  std::vector<std::string_view> fields_;
  std::string unquoted_;  // fields with doubled quotes, without them
  std::vector<std::string> header_;
  Refusal refusal_;
  char delimiter_;
  std::array<bool, 256> special_{};
};

}  // namespace holdfast::vault
