#include "base/bytes.h"

#include <limits>
#include <stdexcept>

namespace holdfast {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode64(BytesView bytes, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (auto byte : bytes) {
    bits = bits << 8 | byte;
    count += 8;
    while (count >= 6) out += alphabet[bits >> (count -= 6) & 63];
  }
  if (count > 0) out += alphabet[bits << (6 - count) & 63];
  while (pad && out.size() % 4 != 0) out += '=';
  return out;
}

std::optional<Bytes> decode64(std::string_view text, std::string_view alphabet, bool pad) {
  auto body = text;
  if (pad) {
    if (text.size() % 4 != 0) return std::nullopt;
    for (int i = 0; i < 2 && body.ends_with('='); ++i) body.remove_suffix(1);
  }
  Bytes out;
  out.reserve(body.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : body) {
    auto at = alphabet.find(c);
    if (at == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(at);
    count += 6;
    if (count >= 8) out.push_back(static_cast<std::uint8_t>(bits >> (count -= 8)));
  }
  // One spelling only: re-encoding catches stray bits and wrong lengths.
  if (encode64(out, alphabet, pad) != text) return std::nullopt;
  return out;
}

template <class Int>
void put(Bytes& out, Int value) {
  for (int shift = static_cast<int>(sizeof(Int)) * 8 - 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

template <class Int>
std::optional<Int> get(std::optional<BytesView> bytes) {
  if (!bytes) return std::nullopt;
  std::uint64_t value = 0;
  for (auto byte : *bytes) value = value << 8 | byte;
  return static_cast<Int>(value);
}

}  // namespace

std::string hex(BytesView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (auto byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::optional<Bytes> unhex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    auto high = kHex.find(text[i]), low = kHex.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::string base64(BytesView bytes) {
  return encode64(bytes, kStandard, true);
}
std::optional<Bytes> unbase64(std::string_view text) {
  return decode64(text, kStandard, true);
}
std::string base64url(BytesView bytes) {
  return encode64(bytes, kUrl, false);
}
std::optional<Bytes> unbase64url(std::string_view text) {
  return decode64(text, kUrl, false);
}

void put_u8(Bytes& out, std::uint8_t value) {
  out.push_back(value);
}
void put_u16(Bytes& out, std::uint16_t value) {
  put(out, value);
}
void put_u32(Bytes& out, std::uint32_t value) {
  put(out, value);
}
void put_u64(Bytes& out, std::uint64_t value) {
  put(out, value);
}

void put_part(Bytes& out, BytesView part) {
  if (part.size() > std::numeric_limits<std::uint32_t>::max())
    throw std::length_error("a part is at most 4 GiB");
  put_u32(out, static_cast<std::uint32_t>(part.size()));
  out.insert(out.end(), part.begin(), part.end());
}

void put_part(Bytes& out, std::string_view part) {
  put_part(out, as_bytes(part));
}

std::optional<BytesView> ByteReader::take(std::size_t count) {
  if (failed_ || count > rest_.size()) {
    failed_ = true;
    return std::nullopt;
  }
  auto taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

std::optional<std::uint8_t> ByteReader::u8() {
  return get<std::uint8_t>(take(1));
}
std::optional<std::uint16_t> ByteReader::u16() {
  return get<std::uint16_t>(take(2));
}
std::optional<std::uint32_t> ByteReader::u32() {
  return get<std::uint32_t>(take(4));
}
std::optional<std::uint64_t> ByteReader::u64() {
  return get<std::uint64_t>(take(8));
}

std::optional<BytesView> ByteReader::part() {
  auto size = u32();
  return size ? take(*size) : std::nullopt;
}

}  // namespace holdfast
