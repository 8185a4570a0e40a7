#include "access/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace holdfast::access {
namespace {

constexpr unsigned kMappedBits = 96;
constexpr Address kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

bool is_v4(const Address& address) {
  return std::equal(kMapped.begin(), kMapped.begin() + kMappedBits / 8, address.begin());
}

/// The address with everything behind the first `bits` cleared.
Address masked(Address address, unsigned bits) {
  for (unsigned i = 0; i < address.size(); ++i) {
    const auto keep = bits <= i * 8 ? 0u : std::min(bits - i * 8, 8u);
    address[i] &= static_cast<std::uint8_t>(0xff00u >> keep);
  }
  return address;
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
  char zero_ended[INET6_ADDRSTRLEN] = {};
  if (text.empty() || text.size() >= sizeof zero_ended || text.contains('\0')) return std::nullopt;
  std::ranges::copy(text, zero_ended);
  Address out = kMapped;
  if (inet_pton(AF_INET, zero_ended, out.data() + kMappedBits / 8) == 1) return out;
  if (inet_pton(AF_INET6, zero_ended, out.data()) == 1) return out;
  return std::nullopt;
}

bool Network::contains(const Address& address) const {
  return masked(address, bits) == base;
}

bool Network::contains(const Network& other) const {
  return other.bits >= bits && contains(other.base);
}

std::optional<Network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  const bool v4 = !text.substr(0, slash).contains(':');
  Network out{.base = *address, .bits = 128};
  if (slash != text.npos) {
    const auto count = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), bits);
    const bool padded = count.size() > 1 && count[0] == '0';
    if (error != std::errc() || end != count.data() + count.size() || padded) return std::nullopt;
    if (bits > (v4 ? 32u : 128u)) return std::nullopt;
    out.bits = v4 ? bits + kMappedBits : bits;
  }
  if (masked(out.base, out.bits) != out.base) return std::nullopt;
  return out;
}

Network neighbourhood(const Address& address) {
  const unsigned bits = is_v4(address) ? 128 : 64;
  return {masked(address, bits), bits};
}

std::string text_of(const Network& network) {
  char text[INET6_ADDRSTRLEN] = {};
  const bool v4 = is_v4(network.base) && network.bits >= kMappedBits;
  if (v4)
    inet_ntop(AF_INET, network.base.data() + kMappedBits / 8, text, sizeof text);
  else
    inet_ntop(AF_INET6, network.base.data(), text, sizeof text);
  return std::string(text) + '/' + std::to_string(v4 ? network.bits - kMappedBits : network.bits);
}

}  // namespace holdfast::access
