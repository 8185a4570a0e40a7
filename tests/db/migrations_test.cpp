#include "db/migrations.h"

#include <gtest/gtest.h>

#include "db/database.h"
#include "support/database.h"

namespace holdfast::db {
namespace {

using Kind = Database::Kind;

class Migrations : public testing::TestWithParam<Kind> {
 protected:
  Result<std::vector<Migration>> pending(std::span<const Migration> known) {
    return context_.run(pending_migrations(db_->reader(), known));
  }
  Result<Committed> apply_one(const Migration& migration) {
    return context_.run(db_.writer().commit(apply(migration, 1'000)));
  }

  test::TestDatabase db_{GetParam(), {}};
  test::RunContext context_;
};

constexpr Migration kZebra{"zebra", 1, "first",
                           "create table zebra (id {{int}} primary key) {{strict}};\n"};
constexpr Migration kAccess{"access", 1, "first",
                            "create table a (id {{int}} primary key) {{strict}};\n"};
constexpr Migration kAccessMore{"access", 2, "more", "alter table a add column name {{text}};\n"};
constexpr Migration kJournal{"journal", 1, "first",
                             "create table j (id {{int}} primary key) {{strict}};\n"};
constexpr Migration kDb{"db", 1, "first", "create table d (id {{int}} primary key) {{strict}};\n"};
constexpr Migration kKeys{"vault/keys", 1, "keys",
                          "create table k (id {{int}} primary key) {{strict}};\n"};

TEST_P(Migrations, come_in_the_order_of_what_builds_on_what) {
  const Migration known[] = {kZebra, kAccessMore, kAccess, kKeys, kJournal, kDb};

  auto found = pending(known);

  ASSERT_TRUE(found);
  std::vector<std::string> order;
  for (const auto& migration : *found)
    order.push_back(std::string(migration.room) + std::to_string(migration.number));
  EXPECT_EQ(order, (std::vector<std::string>{"db1", "journal1", "access1", "access2", "vault/keys1",
                                             "zebra1"}));
}

TEST_P(Migrations, are_applied_once) {
  const Migration known[] = {kAccess, kAccessMore};
  ASSERT_TRUE(apply_one(kAccess));

  auto found = pending(known);
  auto twice = apply_one(kAccess);

  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().number, 2);
  EXPECT_FALSE(twice);
  EXPECT_TRUE(apply_one(kAccessMore));
  EXPECT_TRUE(pending(known)->empty());
}

TEST_P(Migrations, that_were_edited_are_named) {
  ASSERT_TRUE(apply_one(kKeys));
  Migration edited = kKeys;
  edited.text = "create table k (id {{int}} primary key, more {{int}}) {{strict}};\n";

  auto found = pending({&edited, 1});

  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::conflict);
  EXPECT_EQ(found.error().field.text(), "vault.keys.0001_keys");
}

TEST_P(Migrations, of_a_newer_release_are_named) {
  ASSERT_TRUE(apply_one(kAccess));
  ASSERT_TRUE(apply_one(kAccessMore));

  auto found = pending({&kAccess, 1});

  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::conflict);
  EXPECT_EQ(found.error().field.text(), "access.0002_more");
}

TEST_P(Migrations, that_fail_halfway_leave_nothing) {
  const Migration broken{"broken", 1, "half",
                         "create table half (id {{int}} primary key) {{strict}};\n"
                         "insert into half (id) values (1);\n"
                         "insert into half (id) values (1);\n"};

  auto done = apply_one(broken);

  ASSERT_FALSE(done);
  static constexpr Sql kHalf{"test.half", "select id from half"};
  EXPECT_FALSE(context_.run(db_->reader().read(kHalf, {})));
  EXPECT_EQ(pending({&broken, 1})->size(), 1u);
}

TEST_P(Migrations, of_this_release_run_on_a_fresh_database) {
  auto found = pending(embedded_migrations());
  ASSERT_TRUE(found);

  for (const auto& migration : *found) {
    auto done = apply_one(migration);
    EXPECT_TRUE(done) << migration.room << " " << migration.name << ": " << done.error().text;
  }

  EXPECT_TRUE(pending(embedded_migrations())->empty());
}

INSTANTIATE_TEST_SUITE_P(Databases, Migrations, testing::ValuesIn(test::database_kinds()),
                         [](const auto& param) { return test::kind_name(param.param); });

}  // namespace
}  // namespace holdfast::db
