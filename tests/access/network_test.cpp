#include "access/network.h"

#include <gtest/gtest.h>

namespace holdfast::access {
namespace {

TEST(Network, is_read_and_written_in_one_form) {
  for (auto [text, form] : std::initializer_list<std::pair<const char*, const char*>>{
           {"192.0.2.0/24", "192.0.2.0/24"},
           {"192.0.2.7", "192.0.2.7/32"},
           {"0.0.0.0/0", "0.0.0.0/0"},
           {"2001:DB8::/32", "2001:db8::/32"},
           {"2001:db8:0:0::1", "2001:db8::1/128"},
           {"::/0", "::/0"},
           {"::ffff:192.0.2.7/128", "192.0.2.7/32"}}) {
    const auto network = parse_network(text);

    ASSERT_TRUE(network) << text;
    EXPECT_EQ(text_of(*network), form);
  }
}

TEST(Network, with_anything_odd_is_refused) {
  for (std::string_view bad : {"",
                               "/",
                               "192.0.2.0/",
                               "/24",
                               "192.0.2.0/33",
                               "192.0.2.1/24",
                               "192.0.2.0/024",
                               "192.0.2.0/-1",
                               "192.0.2.0/+8",
                               "192.0.2.0/24 ",
                               " 192.0.2.0",
                               "192.0.2.00",
                               "192.0.2",
                               "192.0.2.0.1",
                               "2001:db8::/129",
                               "2001:db8::1/64",
                               "fe80::1%eth0",
                               "[::1]",
                               "1::2::3",
                               "example.org",
                               "192.0.2.0/99999999999999999999"})
    EXPECT_FALSE(parse_network(bad)) << bad;
  EXPECT_FALSE(parse_network(std::string_view("192.0.2.0\0", 10)));
  EXPECT_FALSE(parse_network(std::string(1'000, '1')));
}

TEST(Network, contains_its_own_addresses_only) {
  const auto v4 = *parse_network("192.0.2.128/25"), v6 = *parse_network("2001:db8:1::/48");
  auto in = [](const Network& network, const char* address) {
    return network.contains(*parse_address(address));
  };

  EXPECT_TRUE(in(v4, "192.0.2.128"));
  EXPECT_TRUE(in(v4, "192.0.2.255"));
  EXPECT_TRUE(in(v4, "::ffff:192.0.2.200"));
  EXPECT_FALSE(in(v4, "192.0.2.127"));
  EXPECT_FALSE(in(v4, "192.0.3.128"));
  EXPECT_TRUE(in(v6, "2001:db8:1:ffff::1"));
  EXPECT_FALSE(in(v6, "2001:db8:2::1"));
  EXPECT_FALSE(in(*parse_network("0.0.0.0/0"), "2001:db8::1"));
  EXPECT_TRUE(v4.contains(*parse_network("192.0.2.192/26")));
  EXPECT_FALSE(v4.contains(*parse_network("192.0.2.0/24")));
}

TEST(Neighbourhood, is_an_address_in_ipv4_and_a_64_in_ipv6) {
  EXPECT_EQ(text_of(neighbourhood(*parse_address("192.0.2.7"))), "192.0.2.7/32");
  EXPECT_EQ(text_of(neighbourhood(*parse_address("::ffff:192.0.2.7"))), "192.0.2.7/32");
  EXPECT_EQ(text_of(neighbourhood(*parse_address("2001:db8:1:2:3:4:5:6"))), "2001:db8:1:2::/64");
}

}  // namespace
}  // namespace holdfast::access
