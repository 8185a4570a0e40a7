#include "base/id.h"

#include <array>
#include <bit>

#include "base/secret.h"

namespace holdfast {
namespace {

constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";

using Wide = unsigned __int128;

/// What of an id is random: 12 bits before the variant and 62 behind it.
constexpr int kTailBits = 74, kLowBits = 62;

template <class Number>
Number random_bits() {
  std::array<std::uint8_t, sizeof(Number)> bytes{};
  random_public(bytes);
  return std::bit_cast<Number>(bytes);
}

Uuid uuid_of(Wide value) {
  Uuid out;
  for (std::size_t i = 16; i-- > 0; value >>= 8) out[i] = static_cast<std::uint8_t>(value & 0xff);
  return out;
}

}  // namespace

Uuid make_uuid7(Time now) {
  struct Last {
    std::uint64_t ms = ~std::uint64_t{0};
    Wide tail = 0;
  };
  thread_local Last last;
  const auto ms = static_cast<std::uint64_t>(to_ms(now)) & 0xffff'ffff'ffff;
  if (ms == last.ms) last.tail += 1 + random_bits<std::uint32_t>();
  if (ms != last.ms || last.tail >> kTailBits != 0)
    last = {ms, random_bits<Wide>() & ((Wide{1} << kTailBits) - 1)};
  return uuid_of(Wide{ms} << 80 | Wide{7} << 76 | (last.tail >> kLowBits) << 64 |
                 Wide{2} << kLowBits | (last.tail & ((Wide{1} << kLowBits) - 1)));
}

Time time_of(const Uuid& uuid7) {
  std::int64_t ms = 0;  // the first 48 bits
  for (std::size_t i = 0; i < 6; ++i) ms = ms << 8 | uuid7[i];
  return from_ms(ms);
}

std::string base32(const Uuid& uuid) {
  // 128 bits in 26 characters: two zero bits in front.
  std::string out(26, '0');
  Wide value = 0;
  for (auto byte : uuid) value = value << 8 | byte;
  for (std::size_t i = 26; i-- > 0; value >>= 5)
    out[i] = kCrockford[static_cast<unsigned>(value & 31)];
  return out;
}

std::optional<Uuid> unbase32(std::string_view text) {
  if (text.size() != 26 || text[0] > '7') return std::nullopt;
  Wide value = 0;
  for (char c : text) {
    auto at = kCrockford.find(c);
    if (at == std::string_view::npos) return std::nullopt;
    value = value << 5 | static_cast<unsigned>(at);
  }
  return uuid_of(value);
}

}  // namespace holdfast
