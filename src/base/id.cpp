#include "base/id.h"

#include "base/secret.h"

namespace holdfast {
namespace {

constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";

}  // namespace

Uuid make_uuid7(Time now) {
  Uuid out;
  auto ms = static_cast<std::uint64_t>(to_ms(now));
  for (std::size_t i = 0; i < 6; ++i) out[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  random_public(std::span(out).subspan(6));
  out[6] = static_cast<std::uint8_t>(0x70 | (out[6] & 0x0f));
  out[8] = static_cast<std::uint8_t>(0x80 | (out[8] & 0x3f));
  return out;
}

std::string base32(const Uuid& uuid) {
  // 128 bits in 26 characters: two zero bits in front.
  std::string out(26, '0');
  unsigned __int128 value = 0;
  for (auto byte : uuid) value = value << 8 | byte;
  for (std::size_t i = 26; i-- > 0; value >>= 5)
    out[i] = kCrockford[static_cast<unsigned>(value & 31)];
  return out;
}

std::optional<Uuid> unbase32(std::string_view text) {
  if (text.size() != 26 || text[0] > '7') return std::nullopt;
  unsigned __int128 value = 0;
  for (char c : text) {
    auto at = kCrockford.find(c);
    if (at == std::string_view::npos) return std::nullopt;
    value = value << 5 | static_cast<unsigned>(at);
  }
  Uuid out;
  for (std::size_t i = 16; i-- > 0; value >>= 8) out[i] = static_cast<std::uint8_t>(value & 0xff);
  return out;
}

}  // namespace holdfast
