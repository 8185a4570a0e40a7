#include "db/rows.h"

#include <gtest/gtest.h>

namespace holdfast::db {
namespace {

Rows two_columns(std::int64_t id, std::string_view text) {
  Rows rows(2);
  rows.add_integer(id);
  rows.add_text(text);
  return rows;
}

TEST(Rows, reads_null_as_the_empty_value) {
  Rows rows(1);
  rows.add_null();

  EXPECT_TRUE(rows[0].null(0));
  EXPECT_EQ(rows[0].integer(0), 0);
  EXPECT_EQ(rows[0].text(0), "");
  EXPECT_TRUE(rows[0].bytes(0).empty());
}

TEST(Rows, keeps_the_cells_of_what_is_appended) {
  Rows rows;
  rows.append(two_columns(1, "one"));
  rows.append(two_columns(2, "two"));
  rows.append(Rows(2));

  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].integer(0), 2);
  EXPECT_EQ(rows[0].text(1), "one");
  EXPECT_EQ(rows[1].text(1), "two");
}

}  // namespace
}  // namespace holdfast::db
