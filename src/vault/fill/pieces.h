// A text taken apart: what passes as it is, and the tokens in it with the places that they stand
// in. Each format has a reader that takes its bytes apart and puts values in their place, escaped
// for it; nothing that is no token is changed unless the format leaves no other way (mail).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "vault/fill/token_text.h"

namespace holdfast::vault {

/// What a format keeps at once of a cell, of a mail's header field, of a tag: more is an error.
inline constexpr std::size_t kMaxFillUnit = 64 << 10;

enum class Part : std::uint8_t {
  text,    // bytes of the stream
  token,   // a token: to be replaced or refused
  maybe,   // a whole cell, string or element that may be a token of another shape
  outside  // a token where the format has no place for a value: it stays, and is listed
};

struct Piece {
  std::uint32_t size = 0;  // of its bytes
  std::uint8_t place = 0;  // the format's own number of where it stands
  Part part = Part::text;
  bool last = true;        // of what the format writes as one (a cell, a header field)
  std::uint64_t line = 0;  // of a token
};

/// Pieces in order, their bytes one behind the other. Wiped when destroyed: mail texts may hold
/// anything.
class Pieces {
 public:
  Pieces() = default;
  Pieces(Pieces&&) = default;
  Pieces& operator=(Pieces&&) = default;
  ~Pieces();

  void add(std::string_view bytes, std::uint8_t place = 0, Part part = Part::text,
           std::uint64_t line = 0, bool last = true);
  /// A text with the tokens in it, as `found`. Never ends a unit.
  void split(std::string_view text, std::uint8_t place, std::uint64_t line,
             Part found = Part::token) {
    split_front(text, text.size(), place, line, found);
  }
  /// The same of its first `size` bytes; what follows tells whether a token ends there.
  void split_front(std::string_view text, std::size_t size, std::uint8_t place, std::uint64_t line,
                   Part found);
  void clear();

  std::string bytes;
  std::vector<Piece> list;
  std::size_t tokens = 0;
};

/// One format. Memory: a unit and what it was handed. Cost: at least 100 MB/s without tokens.
/// Threads: one at a time. Errors: invalid (where the text is broken so that the place of what
/// follows is unknown; the field says `line[17]`), too_large.
class Format {
 public:
  virtual ~Format() = default;
  /// Takes the next bytes apart; what is not complete waits for the next call.
  virtual Result<void> read(std::string_view bytes, Pieces& out) = 0;
  /// There are no more bytes.
  virtual Result<void> finish(Pieces& out) = 0;
  /// Writes the next piece, in the order in which read() gave them; a token with its value, or as
  /// it stands. False: this value cannot stand there, and the token was written.
  virtual bool write(const Piece& piece, std::string_view bytes,
                     std::optional<std::string_view> value, std::string& out) = 0;
};

enum class FillFormat : std::uint8_t { csv, json, xml, mail };
std::span<const std::string_view> enum_names(FillFormat);
/// By media type; nullopt for another one.
std::optional<FillFormat> format_of(std::string_view media_type);
std::string_view media_type(FillFormat format);
std::unique_ptr<Format> make_format(FillFormat format, WholeToken whole);

std::unique_ptr<Format> csv_format(WholeToken whole);
std::unique_ptr<Format> json_format(WholeToken whole);
std::unique_ptr<Format> xml_format(WholeToken whole);
std::unique_ptr<Format> mail_format(WholeToken whole);

/// `line[17]`
Error at_line(Error error, std::uint64_t line);
/// Errors: invalid (a byte order mark of UTF-16, or a ZIP, which is a spreadsheet).
Result<void> check_start(std::string_view bytes);
std::uint64_t line_breaks(std::string_view text);
bool is_ascii(std::string_view text);

}  // namespace holdfast::vault
