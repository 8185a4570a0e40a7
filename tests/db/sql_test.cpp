#include "db/sql.h"

#include <gtest/gtest.h>

namespace holdfast::db {
namespace {

TEST(SqlTranslate, gives_each_database_its_own_text) {
  struct {
    const char* written;
    const char* sqlite;
    const char* postgres;
  } cases[] = {
      {"select $1, $12", "select ?1, ?12", "select $1, $12"},
      {"a {{int}}, b {{text}}, c {{bytes}}, d {{json}}", "a integer, b text, c blob, d text",
       "a bigint, b text collate \"C\", c bytea, d text"},
      {") {{strict}}", ") strict", ") "},
      {") {{strict, without rowid}}", ") strict, without rowid", ") "},
      {"id {{in $2}} and $1", "id in (select value from holdfast_list(?2)) and ?1",
       "id = any($2) and $1"},
      {"where id = $1 {{for update}}", "where id = ?1 ", "where id = $1 for update"},
      {"where id = $1 {{for share}}", "where id = ?1 ", "where id = $1 for share"},
      {"'$1 :: {{int}} ?' || $1", "'$1 :: {{int}} ?' || ?1", "'$1 :: {{int}} ?' || $1"},
      {"'it''s $1', \"a $2\"", "'it''s $1', \"a $2\"", "'it''s $1', \"a $2\""},
      {"1 -- not $1 or ?\n, $2", "1 -- not $1 or ?\n, ?2", "1 -- not $1 or ?\n, $2"},
      {"/* ? */ $1 -- end", "/* ? */ ?1 -- end", "/* ? */ $1 -- end"},
  };

  for (const auto& c : cases) {
    auto sqlite = translate(Dialect::sqlite, c.written);
    auto postgres = translate(Dialect::postgres, c.written);

    ASSERT_TRUE(sqlite && postgres) << c.written;
    EXPECT_EQ(sqlite->text, c.sqlite);
    EXPECT_EQ(postgres->text, c.postgres);
  }
}

TEST(SqlTranslate, knows_parameters_and_returning) {
  auto update = translate(Dialect::postgres, "update a set b = $3 where c = $1 returning id");
  auto insert = translate(Dialect::postgres, "insert into a values ('returning', not_returning)");

  ASSERT_TRUE(update && insert);
  EXPECT_EQ(update->parameters, 3u);
  EXPECT_TRUE(update->returning);
  EXPECT_EQ(insert->parameters, 0u);
  EXPECT_FALSE(insert->returning);
}

TEST(SqlTranslate, refuses_what_is_not_for_both) {
  for (const char* text : {"select 1::bigint", "select ?", "select ?1", "select $", "select $0",
                           "select $1001", "select {{integer}}", "select {{int", "select 'open",
                           "select \"open", "select /* open", "id {{in 1}}", "id {{in $1 }}"}) {
    EXPECT_FALSE(translate(Dialect::sqlite, text)) << text;
    EXPECT_FALSE(translate(Dialect::postgres, text)) << text;
  }
}

TEST(SqlSplit, ends_statements_at_a_line_s_end) {
  struct {
    const char* text;
    std::vector<std::string_view> statements;
  } cases[] = {
      {"", {}},
      {" \n;\n", {}},
      {"one", {"one"}},
      {"one;\ntwo;", {"one;", "\ntwo;"}},
      {"one;\r\ntwo;\r\n", {"one;", "\r\ntwo;"}},
      {"a ';\n' b;\n-- c;\nd", {"a ';\n' b;", "\n-- c;\nd"}},
      {"a; b;\nc", {"a; b;", "\nc"}},
  };

  for (const auto& c : cases) EXPECT_EQ(split_script(c.text), c.statements) << c.text;
}

}  // namespace
}  // namespace holdfast::db
