#include "access/strangers.h"

#include <gtest/gtest.h>

namespace holdfast::access {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const Time kStart = from_ms(1'795'426'200'000);  // a full minute

std::int64_t sum(const std::vector<Strangers::Count>& counts) {
  std::int64_t out = 0;
  for (const auto& count : counts) out += count.refused;
  return out;
}

TEST(Strangers, are_throttled_after_their_tries_until_the_minute_is_over) {
  Strangers strangers({.prefixes = 10, .tries = 3});

  for (int i = 0; i < 3; ++i) EXPECT_FALSE(strangers.refused("a", kStart, false));
  EXPECT_TRUE(strangers.refused("a", kStart + seconds(59), false));
  EXPECT_FALSE(strangers.refused("b", kStart + seconds(59), false));
  EXPECT_FALSE(strangers.refused("a", kStart + seconds(60), false));
}

TEST(Strangers, become_one_count_for_each_prefix_and_minute) {
  Strangers strangers({.prefixes = 10, .tries = 3});
  for (int i = 0; i < 5; ++i) strangers.refused("a", kStart, false);
  strangers.refused("b", kStart, false);
  strangers.refused("a", kStart + minutes(1), false);

  const auto now = strangers.take(kStart + minutes(1), false);
  const auto later = strangers.take(kStart + minutes(2), false);

  ASSERT_EQ(now.size(), 2u);
  EXPECT_EQ(now[0].prefix, "a");
  EXPECT_EQ(now[0].refused, 5);
  EXPECT_EQ(now[0].minute, kStart);
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0].minute, kStart + minutes(1));
  EXPECT_TRUE(strangers.take(kStart + minutes(3), true).empty());
}

TEST(Strangers, whose_refusal_was_recorded_are_not_counted_again) {
  Strangers strangers({.prefixes = 10, .tries = 1});

  EXPECT_FALSE(strangers.refused("a", kStart, true));
  EXPECT_TRUE(strangers.take(kStart, true).empty());
}

TEST(Strangers, who_are_known_and_over_their_tries_are_in_the_count) {
  Strangers strangers({.prefixes = 10, .tries = 1});

  EXPECT_FALSE(strangers.refused("a", kStart, true));
  EXPECT_TRUE(strangers.refused("a", kStart, true));

  EXPECT_EQ(sum(strangers.take(kStart, true)), 1);
}

TEST(Strangers, from_very_many_places_keep_memory_flat_and_no_count_is_lost) {
  Strangers strangers({.prefixes = 100, .tries = 3});
  int throttled = 0;
  for (int i = 0; i < 10'000; ++i) throttled += strangers.refused(std::to_string(i), kStart, false);

  const auto counts = strangers.take(kStart, true);

  EXPECT_LE(counts.size(), 101u);
  EXPECT_EQ(sum(counts), 10'000);
  EXPECT_EQ(throttled, 10'000 - 100 - 3);
}

TEST(Strangers, that_cannot_be_recorded_come_back_and_stay_bounded) {
  Strangers strangers({.prefixes = 10, .tries = 3});
  std::int64_t refused = 0;
  for (int minute = 0; minute < 100; ++minute) {
    for (int i = 0; i < 10; ++i, ++refused)
      strangers.refused(std::to_string(i), kStart + minutes(minute), false);
    strangers.put_back(strangers.take(kStart + minutes(minute + 1), false));
  }

  const auto counts = strangers.take(kStart, true);

  EXPECT_LE(counts.size(), 21u);
  EXPECT_EQ(sum(counts), refused);
}

TEST(Strangers, are_counted_on_when_the_clock_is_set_back) {
  Strangers strangers({.prefixes = 10, .tries = 3});
  strangers.refused("a", kStart, false);
  strangers.refused("a", kStart - minutes(60), false);

  EXPECT_EQ(sum(strangers.take(kStart - minutes(60), true)), 2);
}

}  // namespace
}  // namespace holdfast::access
