#include "base/clock.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Rfc3339, is_written_in_utc_with_milliseconds) {
  EXPECT_EQ(rfc3339(from_ms(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(from_ms(1'795'426'200'007)), "2026-11-23T09:30:00.007Z");
  EXPECT_EQ(rfc3339(from_ms(-1)), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(rfc3339(from_ms(951'782'400'000)), "2000-02-29T00:00:00.000Z");
}

TEST(Rfc3339, reads_fractions_and_offsets) {
  struct {
    std::string_view text;
    std::int64_t ms;
  } known[] = {{"2026-11-23T09:30:00Z", 1'795'426'200'000},
               {"2026-11-23t09:30:00z", 1'795'426'200'000},
               {"2026-11-23 09:30:00Z", 1'795'426'200'000},
               {"2026-11-23T09:30:00.1Z", 1'795'426'200'100},
               {"2026-11-23T09:30:00.12Z", 1'795'426'200'120},
               {"2026-11-23T09:30:00.123456789Z", 1'795'426'200'123},
               {"2026-11-23T10:30:00+01:00", 1'795'426'200'000},
               {"2026-11-23T04:00:00-05:30", 1'795'426'200'000},
               {"1969-12-31T23:59:59.999Z", -1}};
  for (const auto& [text, ms] : known) EXPECT_EQ(parse_rfc3339(text), from_ms(ms)) << text;
}

TEST(Rfc3339, refuses_everything_else) {
  for (auto text : {"",
                    "2026-11-23",
                    "2026-11-23T09:30Z",
                    "2026-11-23T09:30:00",
                    "2026-11-23T09:30:00.Z",
                    "2026-11-23T09:30:00.1234567890Z",
                    "2026-11-23T24:00:00Z",
                    "2026-11-23T09:60:00Z",
                    "2026-11-23T09:30:60Z",
                    "2026-02-29T00:00:00Z",
                    "2026-13-01T00:00:00Z",
                    "2026-00-01T00:00:00Z",
                    "2026-01-00T00:00:00Z",
                    "2026-01-32T00:00:00Z",
                    "26-11-23T09:30:00Z",
                    "+2026-11-23T09:30:00Z",
                    "2026-11-23T09:30:00+0100",
                    "2026-11-23T09:30:00+24:00",
                    "2026-11-23T09:30:00+01:60",
                    "2026-11-23T09:30:00ZZ",
                    " 2026-11-23T09:30:00Z",
                    "2026-11-23T09:30:00Z ",
                    "2026/11/23T09:30:00Z",
                    "2026-11-23T-9:30:00Z"})
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
}

TEST(Rfc3339, reads_only_times_that_it_can_write) {
  EXPECT_TRUE(parse_rfc3339("0000-01-01T00:00:00Z"));
  EXPECT_TRUE(parse_rfc3339("9999-12-31T23:59:59.999Z"));
  EXPECT_FALSE(parse_rfc3339("0000-01-01T00:00:00+00:01"));
  EXPECT_FALSE(parse_rfc3339("9999-12-31T23:59:59-00:01"));
}

TEST(Rfc3339, reads_back_what_it_writes) {
  for (std::int64_t ms = -62'000'000'000'000; ms < 250'000'000'000'000; ms += 9'876'543'210'987)
    EXPECT_EQ(parse_rfc3339(rfc3339(from_ms(ms))), from_ms(ms));
}

TEST(Duration, is_a_count_and_a_unit) {
  struct {
    std::string_view text;
    std::int64_t ms;
  } known[] = {{"5ms", 5},
               {"1 s", 1000},
               {"2 seconds", 2000},
               {"15 minutes", 900'000},
               {"15 min", 900'000},
               {"2 h", 7'200'000},
               {"1 hour", 3'600'000},
               {"90 days", 7'776'000'000},
               {"90d", 7'776'000'000},
               {"2 weeks", 1'209'600'000},
               {"6 months", 16'070'400'000},
               {"3 years", 94'867'200'000},
               {"1000 years", 31'622'400'000'000}};
  for (const auto& [text, ms] : known) EXPECT_EQ(parse_duration(text), Millis(ms)) << text;
}

TEST(Duration, refuses_everything_else) {
  for (auto text : {"", "5", "days", "0 days", "-1 days", "+1 days", "1.5 h", "5  h", " 5 h",
                    "5 h ", "5 H", "5 hs", "5 ss", "1001 years", "9223372036854775807 ms",
                    "99999999999999999999 ms", "1 h 30 min", "1e3 s", "0x10 s"})
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

TEST(SystemClock, tells_the_time_and_does_not_go_back) {
  SystemClock clock;

  EXPECT_GT(clock.now(), from_ms(1'700'000'000'000));
  auto before = clock.mono();
  EXPECT_LE(before, clock.mono());
}

}  // namespace
}  // namespace holdfast
