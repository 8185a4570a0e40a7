#include "http/header_values.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::http {
namespace {

TEST(HeaderValues, take_the_trace_id_of_a_good_traceparent_only) {
  const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_EQ(trace_id(good), "4bf92f3577b34da6a3ce929d0e0e4736");

  auto changed = [&](std::size_t at, char to) {
    auto out = good;
    out[at] = to;
    return out;
  };
  for (const auto& bad : {std::string(), good + "-00", good.substr(1), changed(0, 'f'),
                          changed(3, 'A'), changed(10, '"'), changed(35, '_'), changed(40, 'g'),
                          changed(54, '\n'), "00-" + std::string(32, '0') + good.substr(35),
                          good.substr(0, 36) + std::string(16, '0') + "-01"})
    EXPECT_EQ(trace_id(bad), "") << bad;
}

TEST(HeaderValues, read_a_hop_in_each_of_its_spellings) {
  for (auto hop : {"192.0.2.7", "192.0.2.7:443"})
    EXPECT_EQ(hop_address(hop)->to_string(), "192.0.2.7") << hop;
  for (auto hop : {"2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443"})
    EXPECT_EQ(hop_address(hop)->to_string(), "2001:db8::7") << hop;
  for (auto hop : {"", "unknown", "_hidden", "192.0.2.7:", "192.0.2.7:123456", "192.0.2.7:x",
                   "[192.0.2.7]", "[2001:db8::7", "[2001:db8::7]443", "192.0.2.7 "})
    EXPECT_FALSE(hop_address(hop)) << hop;
}

}  // namespace
}  // namespace holdfast::http
