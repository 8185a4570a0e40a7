#include "db/sqlite/reserve.h"

#include <gtest/gtest.h>
#include <fstream>

#include "support/temp_dir.h"

namespace holdfast::db::sqlite {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

TEST(Reserve, is_kept_given_once_and_kept_again) {
  test::TempDir dir;
  const auto file = dir.path() / "reserve";
  Reserve reserve(file, kBytes);
  EXPECT_FALSE(reserve.give()) << "not made yet";

  reserve.keep();

  EXPECT_EQ(std::filesystem::file_size(file), kBytes);
  EXPECT_FALSE(reserve.given());
  EXPECT_TRUE(reserve.give());
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_TRUE(reserve.given());
  EXPECT_FALSE(reserve.give());
  reserve.keep();
  EXPECT_FALSE(reserve.given());
  EXPECT_TRUE(Reserve(file, kBytes).give()) << "found by the next start";
}

TEST(Reserve, of_another_size_is_made_anew_and_none_is_taken_away) {
  test::TempDir dir;
  const auto file = dir.path() / "reserve";
  std::ofstream(file) << "short";

  Reserve(file, kBytes).keep();
  EXPECT_EQ(std::filesystem::file_size(file), kBytes);
  Reserve none(file, 0);
  none.keep();

  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_FALSE(none.give());
}

TEST(Reserve, is_not_asked_of_a_disk_that_cannot_hold_it) {
  test::TempDir dir;
  Reserve reserve(dir.path() / "reserve", std::uint64_t{1} << 62);

  reserve.keep();

  EXPECT_FALSE(reserve.given()) << "commits of many rows go on";
  EXPECT_FALSE(reserve.give());
}

}  // namespace
}  // namespace holdfast::db::sqlite
