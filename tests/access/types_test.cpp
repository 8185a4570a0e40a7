#include "access/types.h"

#include <gtest/gtest.h>

namespace holdfast::access {
namespace {

using std::chrono::days;
using std::chrono::hours;

constexpr Time kMade{days(20'000)};

TEST(ApiKey, is_due_in_the_last_quarter_of_its_life_and_in_its_last_days_only) {
  struct {
    days life;
    hours age;
    bool due;
  } const cases[] = {
      {days(7), hours(0), false},
      {days(7), hours(24 * 5), false},
      {days(7), hours(24 * 6), true},
      {days(90), hours(24 * 70), false},  // a quarter, but long
      {days(90), hours(24 * 77), true},
      {days(7), hours(24 * 7), false},  // it has ended
      {days(366), hours(24 * 300), false},
      {days(366), hours(24 * 353), true},
  };
  for (const auto& test : cases) {
    const ApiKey key{.created = kMade, .expires = kMade + test.life};
    EXPECT_EQ(due(key, kMade + test.age, days(14)), test.due) << test.life << ' ' << test.age;
  }
}

TEST(ApiKey, that_was_revoked_is_not_due) {
  const ApiKey key{.created = kMade, .expires = kMade + days(90), .revoked = kMade + days(80)};

  EXPECT_FALSE(due(key, kMade + days(85), days(14)));
}

}  // namespace
}  // namespace holdfast::access
