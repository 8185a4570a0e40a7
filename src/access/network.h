// IP addresses and CIDR blocks (RFC 4632, RFC 4291). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::access {

/// IPv4 is kept as IPv4-mapped IPv6, so that `::ffff:192.0.2.1` and `192.0.2.1` are one.
using Address = std::array<std::uint8_t, 16>;

/// Strict: no zone, no port, no leading zeros.
std::optional<Address> parse_address(std::string_view text);

struct Network {
  Address base{};
  unsigned bits = 0;  // of the 128

  bool contains(const Address& address) const;
  bool contains(const Network& other) const;
  friend bool operator==(const Network&, const Network&) = default;
};

/// `192.0.2.0/24`, `2001:db8::/32`, or a single address. No bits may be set behind the prefix.
std::optional<Network> parse_network(std::string_view text);

/// The block in which strangers are counted together: an IPv4 address, an IPv6 /64.
Network neighbourhood(const Address& address);
std::string text_of(const Network& network);

}  // namespace holdfast::access
