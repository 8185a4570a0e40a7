// Every named statement of the rooms below the vault fits the schema that the migrations make, on
// both databases, and touches the tables of its own room alone. The vault's has a test of its own.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <regex>

#include "access/budgets.h"
#include "access/store.h"
#include "crypto/key_set.h"
#include "db/database.h"
#include "db/sql.h"
#include "journal/journal_time.h"
#include "journal/log.h"
#include "support/database.h"
#include "support/fake_clock.h"
#include "support/postgres.h"
#include "support/raw_sql.h"
#include "support/temp_dir.h"

namespace holdfast {
namespace {

struct Room {
  std::string name;
  std::vector<const db::Sql*> statements;
};

std::vector<Room> rooms() {
  Room journal{"journal", {}}, access{"access", {}};
  for (auto list : {journal::Log::statements(), journal::JournalTime::statements()})
    journal.statements.insert(journal.statements.end(), list.begin(), list.end());
  for (auto list : {access::statements(), access::budget_statements()})
    access.statements.insert(access.statements.end(), list.begin(), list.end());
  return {journal, access};
}

class Statements : public testing::TestWithParam<db::Database::Kind> {};
INSTANTIATE_TEST_SUITE_P(Databases, Statements, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(Statements, fit_the_schema) {
  test::FakeClock clock;
  test::TempDir dir;
  const bool lite = GetParam() == db::Database::Kind::sqlite;
  const auto schema = test::fresh_schema();
  auto database =
      lite ? db::open_sqlite({.dir = dir.path()}, clock)
           : db::open_postgres({.url = test::shared_postgres()->url(), .schema = schema}, clock);
  ASSERT_TRUE(database);
  crypto::HeldKeys keys(std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock.now())));
  boost::asio::io_context io;
  std::optional<Result<std::unique_ptr<journal::Log>>> log;  // it migrates all rooms
  boost::asio::co_spawn(
      io,
      journal::Log::open({**database, keys, clock},
                         {.witness = dir.path() / "witness", .afterlog = dir.path() / "afterlog"}),
      [&](std::exception_ptr, auto opened) { log.emplace(std::move(opened)); });
  io.run();
  ASSERT_TRUE(log && *log);
  auto raw = lite ? test::RawSql::sqlite(dir.path() / "holdfast.db")
                  : test::RawSql::postgres(test::shared_postgres()->url(), schema);

  for (const auto& room : rooms())
    for (const auto* sql : room.statements) {
      auto translated =
          db::translate(lite ? db::Dialect::sqlite : db::Dialect::postgres, sql->text);
      ASSERT_TRUE(translated) << sql->name;
      // The function that unpacks lists is the server's own.
      auto text = std::regex_replace(translated->text,
                                     std::regex(R"(select value from holdfast_list\((\?\d+)\))"),
                                     "select $1");
      EXPECT_NO_THROW(raw.prepare(text)) << sql->name << ": " << text;
      if (lite) continue;
      if (auto arrays = test::as_arrays(*sql); !arrays.empty())
        EXPECT_NO_THROW(raw.prepare(arrays)) << sql->name << ": " << arrays;
    }
  log->value().reset();
  (*database)->close();
}

TEST(StatementsOfRooms, touch_no_other_rooms_tables) {
  for (const auto& room : rooms()) {
    std::string others;
    for (std::string other : {"access", "journal", "vault", "identity", "sqlite", "pg"})
      if (other != room.name) others += (others.empty() ? "" : "|") + other;
    const std::regex foreign(R"(\b()" + others + R"()_\w+)");
    EXPECT_FALSE(room.statements.empty());
    for (const auto* sql : room.statements) {
      EXPECT_TRUE(sql->name.starts_with(room.name + ".")) << sql->name;
      EXPECT_FALSE(std::regex_search(std::string(sql->text), foreign)) << sql->name;
    }
  }
}

/// What a statement reaches is its session's search path alone (docs/decisions/0019).
TEST(StatementsOfRooms, name_no_schema) {
  const std::regex qualified(R"(\b(from|into|update|join|table|using)\s+\w+\.\w)",
                             std::regex::icase);
  for (const auto& room : rooms())
    for (const auto* sql : room.statements)
      EXPECT_FALSE(std::regex_search(std::string(sql->text), qualified)) << sql->name;
}

}  // namespace
}  // namespace holdfast
