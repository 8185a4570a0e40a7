// What both databases promise alike. Runs on SQLite, and on PostgreSQL where the machine has it.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "support/database.h"

namespace holdfast::db {
namespace {

using test::TestDatabase;

constexpr Migration kTables{"contract", 1, "tables",
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
constexpr Migration kKnown[] = {kTables};

constexpr Sql kInsertItem{"contract.insert_item",
                          "insert into items (id, name, data, note) values ($1, $2, $3, $4)"};
constexpr Sql kUpsertItem{"contract.upsert_item",
                          "insert into items (id, name) values ($1, $2) "
                          "on conflict (id) do update set name = excluded.name returning id, version"};
constexpr Sql kInsertOnce{"contract.insert_once",
                          "insert into items (id, name) values ($1, $2) on conflict do nothing"};
constexpr Sql kBump{"contract.bump",
                    "update items set version = version + 1 where id = $1 and version = $2"};
constexpr Sql kBumpAll{"contract.bump_all", "update items set version = version + 1"};
constexpr Sql kBumpReturning{"contract.bump_returning",
                             "update items set version = version + 1 where id >= $1 "
                             "returning id, version, name"};
constexpr Sql kDeleteItem{"contract.delete_item", "delete from items where id = $1"};
constexpr Sql kInsertPart{"contract.insert_part", "insert into parts (id, item) values ($1, $2)"};
constexpr Sql kInsertPair{"contract.insert_pair", "insert into pairs (id, other) values ($1, $2)"};
constexpr Sql kCountPairs{"contract.count_pairs", "select count(*) from pairs"};
constexpr Sql kInsertEvent{"contract.insert_event", "insert into events (id, body) values ($1, $2)"};
constexpr Sql kFindItem{"contract.find_item",
                        "select id, name, data, note, version from items where id = $1"};
constexpr Sql kGuardVersion{"contract.guard_version",
                            "select version, name from items where id = $1 and version = $2 "
                            "{{for share}}"};
constexpr Sql kListItems{"contract.list_items",
                         "select id from items where id {{in $1}} order by id"};
constexpr Sql kListNames{"contract.list_names",
                         "select id from items where name {{in $1}} and id > $2 order by id"};
constexpr Sql kListData{"contract.list_data",
                        "select id from items where data {{in $1}} order by id"};
constexpr Sql kCountItems{"contract.count_items", "select count(*) from items"};
constexpr Sql kCountEvents{"contract.count_events", "select count(*) from events"};
constexpr Sql kSums{"contract.sums",
                    "select sum(version), max(id), exists(select 1 from items), 7, null, "
                    "coalesce(sum(id), 0) from items"};
constexpr Sql kLike{"contract.like", "select id from items where name like $1 order by id"};

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

Error seen() { return {Code::conflict, "seen before"}; }
Error spent() { return {Code::exhausted, "spent"}; }

Args item(std::int64_t id, std::string name) { return {id, std::move(name), {}, {}}; }

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
    auto done = commit(Changes().bulk(kInsertItem, std::move(rows), Expect::exactly(to - from + 1)));
    ASSERT_TRUE(done) << done.error().text;
  }

  TestDatabase db_{GetParam(), kKnown};
  test::RunContext context_;
};

TEST_P(Contract, reads_what_was_committed) {
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {1, "Ann", Bytes{0, 1, 0}, "{\"a\":1}"})));

  auto rows = read(kFindItem, {1});

  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].integer(0), 1);
  EXPECT_EQ(rows[0].text(1), "Ann");
  EXPECT_EQ(to_bytes(rows[0].bytes(2)), (Bytes{0, 1, 0}));
  EXPECT_EQ(rows[0].text(3), "{\"a\":1}");
  EXPECT_EQ(rows[0].integer(4), 0);
}

TEST_P(Contract, an_empty_commit_is_fine) {
  auto done = commit(Changes());

  ASSERT_TRUE(done);
  EXPECT_TRUE(done->returned.empty());
}

TEST_P(Contract, keeps_every_value_as_it_was) {
  struct {
    Args args;
  } cases[] = {
      {{kMin, {}, {}, {}}},
      {{kMax, "", Bytes{}, ""}},
      {{0, "Zoë Łukasz 客户 🙂 \"quoted\" 'single' $1 ?1 \\ %", Bytes{0, 0, 255, 39, 92}, "null"}},
      {{-1, std::string(100'000, 'x'), Bytes(100'000, 0), "[]"}},
  };

  for (const auto& c : cases) {
    ASSERT_TRUE(commit(Changes().write(kInsertItem, c.args)));
    auto rows = read(kFindItem, {c.args[0]});

    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].integer(0), std::get<std::int64_t>(c.args[0]));
    bool null = std::holds_alternative<std::monostate>(c.args[1]);
    for (std::size_t column : {1, 2, 3}) EXPECT_EQ(rows[0].null(column), null);
    if (null) continue;
    EXPECT_EQ(rows[0].text(1), std::get<std::string>(c.args[1]));
    EXPECT_EQ(to_bytes(rows[0].bytes(2)), std::get<Bytes>(c.args[2]));
    EXPECT_EQ(rows[0].text(3), std::get<std::string>(c.args[3]));
  }
}

TEST_P(Contract, null_first_and_values_later_are_the_same_statement) {
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {1, {}, {}, {}})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {2, "b", {}, {}})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {3, {}, Bytes{1}, {}})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {4, "d", Bytes{1}, "x"})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {5, {}, {}, {}})));

  EXPECT_EQ(count(kCountItems), 5);
}

TEST_P(Contract, numbers_of_every_kind_come_as_integers) {
  insert(1, 3);

  auto rows = read(kSums);

  EXPECT_EQ(rows[0].integer(0), 0);
  EXPECT_EQ(rows[0].integer(1), 3);
  EXPECT_EQ(rows[0].integer(2), 1);
  EXPECT_EQ(rows[0].integer(3), 7);
  EXPECT_TRUE(rows[0].null(4));
  EXPECT_EQ(rows[0].integer(5), 6);
}

TEST_P(Contract, sums_of_extremes_come_whole) {
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {kMin, {}, {}, {}})));
  EXPECT_EQ(read(kSums)[0].integer(5), kMin);

  ASSERT_TRUE(commit(Changes().write(kDeleteItem, {kMin})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {kMax, {}, {}, {}})));
  EXPECT_EQ(read(kSums)[0].integer(5), kMax);

  ASSERT_TRUE(commit(Changes().write(kInsertItem, {-10'000, {}, {}, {}})));
  EXPECT_EQ(read(kSums)[0].integer(5), kMax - 10'000);
}

TEST_P(Contract, like_tells_case) {
  ASSERT_TRUE(commit(Changes().write(kInsertItem, item(1, "Ann")).write(kInsertItem, item(2, "ann"))));

  auto rows = read(kLike, {"A%"});

  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].integer(0), 1);
}

TEST_P(Contract, each_expectation_answers_with_its_own_error) {
  insert(1, 3);
  struct {
    const char* what;
    Changes changes;
    Code code;
  } cases[] = {
      {"exactly, none", Changes().write(kBump, {9, 0}, Expect::exactly(1), spent()), Code::exhausted},
      {"exactly, more", Changes().write(kBumpAll, {}, Expect::exactly(1), spent()), Code::exhausted},
      {"at most, more", Changes().write(kBumpAll, {}, Expect::at_most(2), spent()), Code::exhausted},
      {"stale version", Changes().write(kBump, {1, 7}, Expect::exactly(1)), Code::conflict},
      {"unique", Changes().write(kInsertItem, item(1, "other"), Expect::any(), spent()), Code::exhausted},
      {"unique index", Changes().write(kInsertItem, item(9, "item 1"), Expect::exactly(1), spent()),
       Code::exhausted},
      {"foreign key", Changes().write(kInsertPart, {1, 99}, Expect::any(), spent()), Code::exhausted},
      {"on conflict", Changes().write(kInsertOnce, {1, "x"}, Expect::exactly(1), seen()),
       Code::conflict},
      {"guard", Changes().guard(kGuardVersion, {1, 5}, {Code::stale, "stale"}), Code::stale},
      {"returning, none", Changes().write(kBumpReturning, {9}, Expect::exactly(1), spent()),
       Code::exhausted},
      {"returning, more", Changes().write(kBumpReturning, {1}, Expect::at_most(2), spent()),
       Code::exhausted},
      {"bulk sum", Changes().bulk(kBump, {{1, 0}, {2, 0}, {9, 0}}, Expect::exactly(3), spent()),
       Code::exhausted},
      {"bulk duplicate", Changes().bulk(kInsertEvent, {{1, "a"}, {1, "b"}}, Expect::any(), seen()),
       Code::conflict},
      {"the second of three",
       Changes()
           .write(kInsertEvent, {1, "event"}, Expect::exactly(1), seen())
           .write(kBump, {1, 3}, Expect::exactly(1), spent())
           .write(kBump, {1, 4}, Expect::exactly(1), seen()),
       Code::exhausted},
  };

  for (auto& c : cases) {
    c.changes.write(kInsertEvent, {50, "beside"});
    auto done = commit(std::move(c.changes));

    ASSERT_FALSE(done) << c.what;
    EXPECT_EQ(done.error().code, c.code) << c.what << ": " << done.error().text;
    EXPECT_EQ(count(kCountEvents), 0) << c.what;
    EXPECT_EQ(read(kSums)[0].integer(0), 0) << c.what;
  }
}

TEST_P(Contract, an_event_beside_a_failed_write_is_gone) {
  insert(1, 1);

  auto done = commit(Changes()
                         .write(kInsertEvent, {1, "event"}, Expect::exactly(1))
                         .write(kBump, {1, 99}, Expect::exactly(1)));

  EXPECT_FALSE(done);
  EXPECT_EQ(count(kCountEvents), 0);
}

TEST_P(Contract, met_expectations_commit) {
  insert(1, 3);

  auto done = commit(Changes()
                         .guard(kGuardVersion, {1, 0})
                         .write(kBump, {1, 0}, Expect::exactly(1))
                         .write(kBumpAll, {}, Expect::at_most(3))
                         .write(kBump, {9, 0}, Expect::at_most(1))
                         .write(kBump, {9, 0}, Expect::exactly(0))
                         .bulk(kInsertEvent, {{1, "a"}, {2, "b"}}, Expect::exactly(2))
                         .bulk(kInsertEvent, {}, Expect::exactly(0)));

  ASSERT_TRUE(done) << done.error().text;
  EXPECT_EQ(done->returned.size(), 7u);
  EXPECT_EQ(count(kCountEvents), 2);
  EXPECT_EQ(read(kSums)[0].integer(0), 4);
}

TEST_P(Contract, returns_what_was_asked_for) {
  insert(1, 3);

  auto done = commit(Changes()
                         .write(kBump, {1, 0}, Expect::exactly(1))
                         .guard(kGuardVersion, {1, 1})
                         .write(kBumpReturning, {2}, Expect::exactly(2))
                         .write(kBumpReturning, {9}, Expect::exactly(0))
                         .write(kBumpReturning, {3})
                         .bulk(kUpsertItem, {{1, "one"}, {7, "seven"}}, Expect::exactly(2)));

  ASSERT_TRUE(done) << done.error().text;
  auto& returned = done->returned;
  ASSERT_EQ(returned.size(), 6u);
  EXPECT_TRUE(returned[0].empty());
  ASSERT_EQ(returned[1].size(), 1u);
  EXPECT_EQ(returned[1][0].integer(0), 1);
  EXPECT_EQ(returned[1][0].text(1), "item 1");
  ASSERT_EQ(returned[2].size(), 2u);
  EXPECT_EQ(returned[2][0].integer(0) + returned[2][1].integer(0), 5);
  EXPECT_EQ(returned[2].columns(), 3u);
  EXPECT_TRUE(returned[3].empty());
  ASSERT_EQ(returned[4].size(), 1u);
  EXPECT_EQ(returned[4][0].integer(1), 2);
  ASSERT_EQ(returned[5].size(), 2u);
  EXPECT_EQ(returned[5][0].integer(0), 1);
  EXPECT_EQ(returned[5][0].integer(1), 1);
  EXPECT_EQ(returned[5][1].integer(0), 7);
}

TEST_P(Contract, lists_of_every_length_and_type) {
  insert(1, 5'000);
  auto ids = [](std::int64_t from, std::int64_t to) {
    List list;
    for (std::int64_t id = from; id <= to; ++id) list.cells.emplace_back(id);
    return list;
  };

  EXPECT_EQ(read(kListItems, {ids(1, 0)}).size(), 0u);
  EXPECT_EQ(read(kListItems, {ids(7, 7)}).size(), 1u);
  EXPECT_EQ(read(kListItems, {ids(1, 5'000)}).size(), 5'000u);
  EXPECT_EQ(read(kListItems, {ids(4'990, 20'000)}).size(), 11u);
  EXPECT_EQ(read(kListNames, {List{{"item 3", "item 9", "nobody", "it's \"\\{,}", ""}}, 3}).size(), 1u);
  EXPECT_EQ(read(kListNames, {List{}, 3}).size(), 0u);
  EXPECT_EQ(read(kListData, {List{{to_bytes("d1"), to_bytes("d5"), Bytes{}, Bytes{0}}}}).size(), 2u);
}

TEST_P(Contract, refuses_arguments_that_break_a_rule) {
  List mixed{{std::int64_t{1}, "one"}};
  List huge{std::vector<Cell>(20'001, Cell(std::int64_t{1}))};

  struct {
    const Sql& sql;
    Args args;
    Code code;
  } cases[] = {
      {kFindItem, {}, Code::internal},
      {kFindItem, {1, 2}, Code::internal},
      {kListItems, {mixed}, Code::internal},
      {kListItems, {huge}, Code::too_large},
      {kLike, {std::string("a\0b", 3)}, Code::invalid},
      {kLike, {"\xff"}, Code::invalid},
  };

  for (const auto& c : cases) {
    auto rows = context_.run(db_->reader().read(c.sql, c.args));
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, c.code) << rows.error().text;
  }
  auto done = commit(Changes()
                         .write(kInsertEvent, {1, "event"})
                         .write(kInsertEvent, {2, std::string("\0", 1)}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::invalid);
  EXPECT_EQ(count(kCountEvents), 0);
}

TEST_P(Contract, a_statement_that_does_not_fit_is_a_bug_and_hurts_nobody_else) {
  static constexpr Sql kNoTable{"contract.no_table", "select id from nowhere"};
  static constexpr Sql kCast{"contract.cast", "select '1'::bigint"};
  static constexpr Sql kUnknown{"contract.unknown", "select {{integer}}"};
  for (const Sql* sql : {&kNoTable, &kCast, &kUnknown}) {
    auto rows = context_.run(db_->reader().read(*sql, {}));
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, Code::internal) << sql->name;
  }
  auto selected = commit(Changes().write(kCountItems, {}));
  auto guarded = commit(Changes().guard(kInsertOnce, {1, "a"}));
  auto typed = commit(Changes().write(kInsertItem, {"text", {}, {}, {}}));

  for (const auto* done : {&selected, &guarded, &typed}) {
    ASSERT_FALSE(*done);
    EXPECT_EQ(done->error().code, Code::internal) << done->error().text;
  }
  EXPECT_EQ(count(kCountItems), 0);
  EXPECT_TRUE(commit(Changes().write(kInsertItem, item(1, "a"))));
}

TEST_P(Contract, a_reader_cannot_write) {
  auto rows = context_.run(db_->reader().read(kInsertEvent, {1, "event"}));

  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::internal);
  EXPECT_EQ(count(kCountEvents), 0);
}

TEST_P(Contract, a_passed_deadline_answers_unavailable) {
  auto past = std::chrono::steady_clock::now() - std::chrono::seconds(1);

  auto done = commit(Changes().write(kInsertEvent, {1, "event"}), past);

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
}

TEST_P(Contract, a_long_read_ends_at_its_deadline) {
  static constexpr Sql kEndless{"contract.endless",
                                "with recursive n(i) as (select 1 union all select i + 1 from n where "
                                "i < 2000000000) select count(*) from n"};
  auto begun = std::chrono::steady_clock::now();

  auto rows = context_.run(db_->reader().read(kEndless, {}, begun + std::chrono::milliseconds(200)));

  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
}

TEST_P(Contract, neighbours_in_a_group_survive_anothers_failure) {
  insert(1, 1);
  std::vector<Task<Result<Committed>>> tasks;
  for (std::int64_t i = 0; i < 60; ++i) {
    Changes changes;
    if (i % 3 == 0) {
      changes.write(kInsertEvent, {i, "alone"});
    } else if (i % 3 == 1) {
      changes.write(kInsertEvent, {i, "gone"}).write(kBump, {1, 99}, Expect::exactly(1), spent());
    } else {
      changes.write(kInsertEvent, {i, "kept"}).write(kInsertOnce, {i, "n" + std::to_string(i)});
    }
    tasks.push_back(db_.writer().commit(std::move(changes)));
  }

  auto results = context_.run_all(std::move(tasks));

  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].has_value(), i % 3 != 1) << i;
    if (!results[i]) EXPECT_EQ(results[i].error().code, Code::exhausted);
  }
  EXPECT_EQ(count(kCountEvents), 40);
}

TEST_P(Contract, a_failed_member_of_a_joined_group_takes_nobody_along) {
  insert(1, 1);
  std::vector<Task<Result<Committed>>> tasks;
  for (std::int64_t i = 0; i < 50; ++i) {
    Changes changes;
    changes.guard(kGuardVersion, {1, i == 17 ? 5 : 0}, {Code::stale, "stale"});
    changes.write(kInsertEvent, {i == 23 ? 22 : i, "reveal"}, Expect::exactly(1), seen());
    tasks.push_back(db_.writer().commit(std::move(changes)));
  }

  auto results = context_.run_all(std::move(tasks));

  int failed = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i]) continue;
    ++failed;
    EXPECT_TRUE(i == 17 || i == 22 || i == 23) << i;
    EXPECT_EQ(results[i].error().code, i == 17 ? Code::stale : Code::conflict);
  }
  EXPECT_EQ(failed, 2);
  EXPECT_EQ(count(kCountEvents), 48);
}

TEST_P(Contract, a_constraint_that_is_checked_at_commit_fails_only_its_own) {
  std::vector<Task<Result<Committed>>> tasks;
  for (std::int64_t i = 0; i < 20; ++i) {
    std::int64_t other = i % 5 == 4 ? 1'000 : i + 100;
    tasks.push_back(db_.writer().commit(
        Changes().write(kInsertPair, {i, other}).write(kInsertPair, {i + 100, i})));
  }

  auto results = context_.run_all(std::move(tasks));

  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].has_value(), i % 5 != 4) << i;
    if (!results[i]) EXPECT_EQ(results[i].error().code, Code::conflict);
  }
  EXPECT_EQ(count(kCountPairs), 32);
}

TEST_P(Contract, a_write_that_touches_too_much_without_neighbours_undone) {
  insert(1, 3);
  std::vector<Task<Result<Committed>>> tasks;
  tasks.push_back(db_.writer().commit(Changes().write(kInsertEvent, {1, "before"})));
  tasks.push_back(db_.writer().commit(Changes().write(kBumpAll, {}, Expect::exactly(1), spent())));
  tasks.push_back(db_.writer().commit(Changes().write(kInsertEvent, {2, "after"})));

  auto results = context_.run_all(std::move(tasks));

  EXPECT_TRUE(results[0] && results[2]);
  ASSERT_FALSE(results[1]);
  EXPECT_EQ(results[1].error().code, Code::exhausted);
  EXPECT_EQ(count(kCountEvents), 2);
  EXPECT_EQ(read(kSums)[0].integer(0), 0);
}

TEST_P(Contract, threads_lose_nothing) {
  constexpr int kThreads = 8;
  constexpr std::int64_t kEach = 1'000;
  constexpr std::int64_t kTogether = 10;
  insert(1, 1);
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      test::RunContext context;
      for (std::int64_t i = 0; i < kEach; i += kTogether) {
        std::vector<Task<Result<Committed>>> tasks;
        for (std::int64_t k = 0; k < kTogether; ++k)
          tasks.push_back(db_.writer().commit(Changes().guard(kGuardVersion, {1, 0}).write(
              kInsertEvent, {t * kEach + i + k, "event"}, Expect::exactly(1))));
        for (auto& result : context.run_all(std::move(tasks))) failed += !result;
        if (!context.run(db_->reader().read(kFindItem, {1}))) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(failed, 0);
  EXPECT_EQ(count(kCountEvents), kThreads * kEach);
}

TEST_P(Contract, commits_that_lock_the_same_rows_both_ways_all_end) {
  insert(1, 2);
  static constexpr Sql kAdd{"contract.add", "update items set version = version + 1 where id = $1"};
  constexpr int kThreads = 4;
  constexpr int kEach = 10;
  std::atomic<int> committed = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        Changes changes;
        changes.write(kAdd, {t % 2 + 1}, Expect::exactly(1));
        changes.write(kAdd, {(t + 1) % 2 + 1}, Expect::exactly(1));
        committed += test::run(db_.writer().commit(std::move(changes))).has_value();
      }
    });
  }
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(committed, kThreads * kEach);
  EXPECT_EQ(read(kSums)[0].integer(0), 2 * kThreads * kEach);
}

TEST_P(Contract, is_contended_only_when_others_commit) {
  insert(1, 1);
  std::vector<Args> rows;
  for (std::int64_t i = 0; i < 100; ++i) rows.push_back({i, "bulk"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));

  ASSERT_TRUE(commit(Changes().bulk(kInsertEvent, rows)));
  bool alone = db_.writer().contended();
  ASSERT_TRUE(commit(Changes().write(kInsertEvent, {1'000, "somebody else"})));
  bool beside = db_.writer().contended();

  EXPECT_FALSE(alone);
  EXPECT_TRUE(beside);
}

TEST_P(Contract, scratch_has_tables_of_its_own) {
  static constexpr Sql kInsert{"contract.scratch_insert",
                               "insert into seen (id, at_ms) values ($1, $2) on conflict (id) "
                               "do update set at_ms = excluded.at_ms returning id"};
  static constexpr Sql kFind{"contract.scratch_find", "select at_ms from seen where id = $1"};
  Scratch& scratch = db_->scratch();
  ASSERT_TRUE(context_.run(scratch.commit(Changes().script(
      "create table if not exists seen (id {{int}} primary key, at_ms {{int}} not null) {{strict}};"))));

  auto done = context_.run(scratch.commit(Changes().write(kInsert, {1, 5}, Expect::exactly(1))));
  auto rows = context_.run(scratch.read(kFind, {1}));
  auto facts = context_.run(scratch.read(kCountItems, {}));
  auto wrong = context_.run(scratch.commit(Changes().write(kInsertEvent, {1, "event"})));
  auto outside = context_.run(db_->reader().read(kFind, {1}));

  ASSERT_TRUE(done && rows);
  EXPECT_EQ(done->returned[0][0].integer(0), 1);
  EXPECT_EQ((*rows)[0].integer(0), 5);
  EXPECT_FALSE(facts);
  EXPECT_FALSE(wrong);
  EXPECT_FALSE(outside);
}

TEST_P(Contract, facts_outlast_a_restart) {
  insert(1, 10);

  db_.reopen();

  EXPECT_EQ(count(kCountItems), 10);
  EXPECT_TRUE(commit(Changes().write(kInsertEvent, {1, "event"})));
}

TEST_P(Contract, what_was_accepted_before_closing_is_durable) {
  std::vector<Task<Result<Committed>>> tasks;
  for (std::int64_t i = 0; i < 200; ++i)
    tasks.push_back(db_.writer().commit(Changes().write(kInsertEvent, {i, "event"})));
  std::thread closer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    db_->close();
  });

  auto results = context_.run_all(std::move(tasks));

  closer.join();
  auto kept = std::ranges::count_if(results, [](const auto& result) { return result.has_value(); });
  db_.reopen();
  EXPECT_EQ(count(kCountEvents), kept);
}

TEST_P(Contract, a_closed_database_answers_unavailable) {
  db_->close();
  db_->close();

  auto done = commit(Changes().write(kInsertEvent, {1, "event"}));

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
}

TEST_P(Contract, is_healthy) {
  EXPECT_TRUE(db_->health().writable);
  EXPECT_EQ(db_->kind(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Databases, Contract, testing::ValuesIn(test::database_kinds()),
                         [](const auto& param) { return test::kind_name(param.param); });

}  // namespace
}  // namespace holdfast::db
