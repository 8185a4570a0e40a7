// Byte strings and the encodings that the rest of the program uses.
// Everything here is pure. Decoders refuse anything that they would not have written themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

inline BytesView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(BytesView view) {
  return {view.begin(), view.end()};
}
inline Bytes to_bytes(std::string_view text) {
  return to_bytes(as_bytes(text));
}

/// Lower-case hexadecimal.
std::string hex(BytesView bytes);
std::optional<Bytes> unhex(std::string_view text);

/// RFC 4648 section 4, with padding (checkpoint notes, PEM-like files).
std::string base64(BytesView bytes);
std::optional<Bytes> unbase64(std::string_view text);

/// RFC 4648 section 5, without padding (cursors, tokens in URLs).
std::string base64url(BytesView bytes);
std::optional<Bytes> unbase64url(std::string_view text);

/// Appends big-endian integers and length-prefixed parts: the one way in which associated data,
/// digests and stored blobs are laid out, so that two different lists of parts never collide.
void put_u8(Bytes& out, std::uint8_t value);
void put_u16(Bytes& out, std::uint16_t value);
void put_u32(Bytes& out, std::uint32_t value);
void put_u64(Bytes& out, std::uint64_t value);
/// 32-bit length, then the bytes. A part over 4 GiB is a bug (std::length_error).
void put_part(Bytes& out, BytesView part);
void put_part(Bytes& out, std::string_view part);

/// Reads back what the put_ functions wrote. Every read past the end gives nullopt and
/// leaves the reader failed, so that a whole layout can be read and checked once.
class ByteReader {
 public:
  explicit ByteReader(BytesView bytes) : rest_(bytes) {}

  std::optional<std::uint8_t> u8();
  std::optional<std::uint16_t> u16();
  std::optional<std::uint32_t> u32();
  std::optional<std::uint64_t> u64();
  std::optional<BytesView> part();
  std::optional<BytesView> take(std::size_t count);

  BytesView rest() const { return rest_; }
  /// True when everything was read and no read failed.
  bool done() const { return !failed_ && rest_.empty(); }

 private:
  BytesView rest_;
  bool failed_ = false;
};

}  // namespace holdfast
