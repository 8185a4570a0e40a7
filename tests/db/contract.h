// What both databases promise alike: tables, statements and the fixture of the contract's tests,
// which run on SQLite, and on PostgreSQL where the machine has it.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/database.h"

namespace holdfast::db::contract {

using test::TestDatabase;

inline constexpr Migration kTables{
    "contract", 1, "tables",
    "create table items (\n"
    "  id {{int}} primary key,\n"
    "  name {{text}},\n"
    "  data {{bytes}},\n"
    "  note {{json}},\n"
    "  version {{int}} not null default 0\n"
    ") {{strict}};\n"
    "create unique index items_name on items (name);\n"
    "create table parts (\n"
    "  id {{int}} primary key,\n"
    "  item {{int}} not null references items (id)\n"
    ") {{strict}};\n"
    "create table pairs (\n"
    "  id {{int}} primary key,\n"
    "  other {{int}} not null references pairs (id) deferrable initially deferred\n"
    ") {{strict}};\n"
    "create table events (\n"
    "  id {{int}} not null,\n"
    "  body {{text}} not null,\n"
    "  primary key (id)\n"
    ") {{strict, without rowid}};\n"};
inline constexpr Migration kKnown[] = {kTables};

inline constexpr Sql kInsertItem{
    "contract.insert_item", "insert into items (id, name, data, note) values ($1, $2, $3, $4)"};
inline constexpr Sql kUpsertItem{
    "contract.upsert_item",
    "insert into items (id, name) values ($1, $2) "
    "on conflict (id) do update set name = excluded.name returning id, version"};
inline constexpr Sql kInsertOnce{
    "contract.insert_once", "insert into items (id, name) values ($1, $2) on conflict do nothing"};
inline constexpr Sql kBump{"contract.bump",
                           "update items set version = version + 1 where id = $1 and version = $2"};
inline constexpr Sql kBumpAll{"contract.bump_all", "update items set version = version + 1"};
inline constexpr Sql kBumpReturning{"contract.bump_returning",
                                    "update items set version = version + 1 where id >= $1 "
                                    "returning id, version, name"};
inline constexpr Sql kDeleteItem{"contract.delete_item", "delete from items where id = $1"};
inline constexpr Sql kInsertPart{"contract.insert_part",
                                 "insert into parts (id, item) values ($1, $2)"};
inline constexpr Sql kInsertPair{"contract.insert_pair",
                                 "insert into pairs (id, other) values ($1, $2)"};
inline constexpr Sql kCountPairs{"contract.count_pairs", "select count(*) from pairs"};
inline constexpr Sql kInsertEvent{"contract.insert_event",
                                  "insert into events (id, body) values ($1, $2)"};
inline constexpr Sql kFindItem{"contract.find_item",
                               "select id, name, data, note, version from items where id = $1"};
inline constexpr Sql kGuardVersion{"contract.guard_version",
                                   "select version, name from items where id = $1 and version = $2 "
                                   "{{for share}}"};
inline constexpr Sql kListItems{"contract.list_items",
                                "select id from items where id {{in $1}} order by id"};
inline constexpr Sql kListNames{
    "contract.list_names", "select id from items where name {{in $1}} and id > $2 order by id"};
inline constexpr Sql kListData{"contract.list_data",
                               "select id from items where data {{in $1}} order by id"};
inline constexpr Sql kCountItems{"contract.count_items", "select count(*) from items"};
inline constexpr Sql kCountEvents{"contract.count_events", "select count(*) from events"};
inline constexpr Sql kSums{"contract.sums",
                           "select sum(version), max(id), exists(select 1 from items), 7, null, "
                           "coalesce(sum(id), 0) from items"};
inline constexpr Sql kLike{"contract.like", "select id from items where name like $1 order by id"};

inline constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

inline Error seen() {
  return {Code::conflict, "seen before"};
}
inline Error spent() {
  return {Code::exhausted, "spent"};
}

inline Args item(std::int64_t id, std::string name) {
  return {id, std::move(name), {}, {}};
}

class Contract : public testing::TestWithParam<Database::Kind> {
 protected:
  Result<Committed> commit(Changes changes, MonoTime deadline = MonoTime::max()) {
    return context_.run(db_.writer().commit(std::move(changes), deadline));
  }
  Rows read(const Sql& sql, Args args = {}) {
    auto rows = context_.run(db_->reader().read(sql, std::move(args)));
    EXPECT_TRUE(rows) << sql.name << ": " << rows.error().text;
    return rows ? std::move(*rows) : Rows();
  }
  std::int64_t count(const Sql& sql) { return read(sql)[0].integer(0); }
  void insert(std::int64_t from, std::int64_t to) {
    std::vector<Args> rows;
    for (std::int64_t id = from; id <= to; ++id)
      rows.push_back({id, "item " + std::to_string(id), to_bytes("d" + std::to_string(id)), {}});
    auto done =
        commit(Changes().bulk(kInsertItem, std::move(rows), Expect::exactly(to - from + 1)));
    ASSERT_TRUE(done) << done.error().text;
  }

  TestDatabase db_{GetParam(), kKnown};
  test::RunContext context_;
};

}  // namespace holdfast::db::contract
