#include "access/hours.h"

#include <gtest/gtest.h>

#include "access/reference.h"

namespace holdfast::access {
namespace {

TEST(AccessHours, are_the_minutes_that_they_say) {
  for (const char* text : {"mon-fri 08:00-18:00", "sat 22:00-06:00", "fri-mon 00:00-24:00",
                           "sun 23:59-00:01", "wed 12:00-12:01", "sun-sun 08:30-24:00"}) {
    const auto spans = parse_hours(text);
    ASSERT_TRUE(spans) << text;

    for (int minute = -1; minute <= kWeekMinutes; ++minute)
      ASSERT_EQ(within(*spans, minute), reference::open_at(text, minute)) << text << ' ' << minute;
  }
}

TEST(AccessHours, are_refused_when_they_could_be_meant_otherwise) {
  for (const char* text :
       {"", "mon", "mon 08:00", "mon 8:00-18:00", "Mon 08:00-18:00", "mon-fri  08:00-18:00",
        "mon 08:00-08:00", "mon 24:00-08:00", "mon 08:00-24:01", "mon 08:60-09:00",
        "mon,tue 08:00-18:00", "mon-fri 08:00-18:00 ", "mon- 08:00-18:00", "mo 08:00-18:00"})
    EXPECT_FALSE(parse_hours(text)) << text;
}

TEST(AccessZone, follows_the_clock_on_the_wall) {
  const auto berlin = Zone::named("Europe/Berlin");
  ASSERT_TRUE(berlin);
  const auto at = [](const char* text) { return *parse_rfc3339(text); };

  // A Monday in winter, in summer, and the hour that is left out on a Sunday in March.
  EXPECT_EQ(berlin->minute_of_week(at("2026-01-05T07:00:00Z")), 8 * 60);
  EXPECT_EQ(berlin->minute_of_week(at("2026-07-06T06:00:00Z")), 8 * 60);
  EXPECT_EQ(berlin->minute_of_week(at("2026-03-29T00:59:00Z")), 6 * kDayMinutes + 60 + 59);
  EXPECT_EQ(berlin->minute_of_week(at("2026-03-29T01:00:00Z")), 6 * kDayMinutes + 3 * 60);
  EXPECT_EQ(Zone().minute_of_week(at("2026-01-05T00:00:00Z")), 0);
  EXPECT_EQ(Zone().minute_of_week(at("1969-12-31T23:59:00Z")), 2 * kDayMinutes + 1439);
}

TEST(AccessZone, is_one_of_the_database) {
  for (const char* good : {"UTC", "Europe/Berlin", "America/New_York"})
    EXPECT_TRUE(Zone::named(good)) << good;
  for (const char* bad : {"", "Berlin", "Europe/Berlinn", "Etc/Unknown", "GMT+1"})
    EXPECT_FALSE(Zone::named(bad)) << bad;
}

}  // namespace
}  // namespace holdfast::access
