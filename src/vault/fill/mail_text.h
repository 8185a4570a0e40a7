// The encodings of mail: header words (RFC 2047), quoted-printable and base64 (RFC 2045).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::vault {

/// A header's text with its encoded words decoded and its folds as single spaces; nullopt where one
/// is not UTF-8 or US-ASCII, or broken.
std::optional<std::string> decoded_header(std::string_view text);
/// As encoded words of at most 75 characters, folded.
std::string encoded_words(std::string_view text, std::string_view line_end);
/// Nothing in it can be read as anything but itself.
bool plain_header(std::string_view text);
/// CR, LF and other control characters become single spaces: a value never begins a field.
std::string one_line(std::string_view text);
/// An address as RFC 5321 lets most be written: nothing that ends or begins another.
bool address_like(std::string_view text);

enum class BodyCoding : std::uint8_t { none, quoted_printable, base64 };

/// Decodes what comes in pieces of any size. Whatever is no base64 is passed over, as RFC 2045
/// says.
class BodyDecoder {
 public:
  void decode(BodyCoding coding, std::string_view text, std::string& out);
  void reset() { *this = {}; }

 private:
  std::string pending_;
  std::uint32_t bits_ = 0;
  int count_ = 0;
};

/// Encodes what comes in pieces of any size. Lines have at most 76 characters.
class BodyEncoder {
 public:
  void write(BodyCoding coding, std::string_view text, std::string_view line_end, std::string& out);
  void finish(std::string_view line_end, std::string& out);

 private:
  void printable(char c, std::string_view line_end, std::string& out);
  void quantum(std::string_view line_end, std::string& out);

  std::string held_;  // bytes of base64 that are no three yet; a blank that may end a line
  std::size_t column_ = 0;
  BodyCoding coding_ = BodyCoding::none;
};

}  // namespace holdfast::vault
