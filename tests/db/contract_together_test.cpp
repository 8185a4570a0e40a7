// Many at once, in groups, against deadlines, and until the end.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "db/contract.h"

namespace holdfast::db::contract {
namespace {

class ContractTogether : public Contract {};

TEST_P(ContractTogether, a_passed_deadline_answers_unavailable) {
  auto past = std::chrono::steady_clock::now() - std::chrono::seconds(1);

  auto done = commit(Changes().write(kInsertEvent, {1, "event"}), past);

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
}

TEST_P(ContractTogether, a_long_read_ends_at_its_deadline) {
  static constexpr Sql kEndless{
      "contract.endless",
      "with recursive n(i) as (select 1 union all select i + 1 from n where "
      "i < 2000000000) select count(*) from n"};
  auto begun = std::chrono::steady_clock::now();

  auto rows =
      context_.run(db_->reader().read(kEndless, {}, begun + std::chrono::milliseconds(200)));

  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
}

TEST_P(ContractTogether, neighbours_in_a_group_survive_anothers_failure) {
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

TEST_P(ContractTogether, a_failed_member_of_a_joined_group_takes_nobody_along) {
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
    if (results[i]) {
      ASSERT_EQ(results[i]->returned[0].size(), 1u) << i;
      EXPECT_EQ(results[i]->returned[0][0].text(1), "item 1") << i;
      continue;
    }
    ++failed;
    EXPECT_TRUE(i == 17 || i == 22 || i == 23) << i;
    EXPECT_EQ(results[i].error().code, i == 17 ? Code::stale : Code::conflict);
  }
  EXPECT_EQ(failed, 2);
  EXPECT_EQ(count(kCountEvents), 48);
}

TEST_P(ContractTogether, nulls_of_some_are_not_those_of_others) {
  std::vector<Task<Result<Committed>>> tasks;
  for (std::int64_t i = 0; i < 30; ++i) {
    Args args{i, {}, {}, {}};
    if (i % 2 == 0) args[1] = "n" + std::to_string(i);
    if (i % 3 == 0) args[2] = Bytes{static_cast<std::uint8_t>(i)};
    tasks.push_back(db_.writer().commit(Changes().write(kInsertItem, args, Expect::exactly(1))));
  }

  for (const auto& result : context_.run_all(std::move(tasks))) EXPECT_TRUE(result);

  for (std::int64_t i = 0; i < 30; ++i) {
    auto rows = read(kFindItem, {i});
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].text(1), i % 2 == 0 ? "n" + std::to_string(i) : "") << i;
    EXPECT_EQ(rows[0].null(2), i % 3 != 0) << i;
  }
}

TEST_P(ContractTogether, reads_that_wait_together_are_all_answered) {
  insert(1, 3);
  std::vector<Task<Result<Rows>>> tasks;
  for (int i = 0; i < 40; ++i)
    tasks.push_back(i % 4 == 3 ? db_->reader().read(kFindItem, {i % 3 + 1})
                               : db_->reader().read(kCountItems, {}));

  auto results = context_.run_all(std::move(tasks));

  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i]) << i;
    EXPECT_EQ((*results[i])[0].integer(0), i % 4 == 3 ? std::int64_t(i % 3 + 1) : 3) << i;
  }
}

TEST_P(ContractTogether, a_constraint_that_is_checked_at_commit_fails_only_its_own) {
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

TEST_P(ContractTogether, a_write_that_touches_too_much_without_neighbours_undone) {
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

TEST_P(ContractTogether, threads_lose_nothing) {
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
          tasks.push_back(db_.writer().commit(
              Changes()
                  .guard(kGuardVersion, {1, 0})
                  .write(kInsertEvent, {t * kEach + i + k, "event"}, Expect::exactly(1))));
        for (auto& result : context.run_all(std::move(tasks))) failed += !result;
        if (!context.run(db_->reader().read(kFindItem, {1}))) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(failed, 0);
  EXPECT_EQ(count(kCountEvents), kThreads * kEach);
}

TEST_P(ContractTogether, commits_that_lock_the_same_rows_both_ways_all_end) {
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

TEST_P(ContractTogether, tells_a_bulk_load_from_others_and_from_the_background) {
  insert(1, 1);
  std::vector<Args> rows;
  for (std::int64_t i = 0; i < 100; ++i) rows.push_back({i, "bulk"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));

  Changes own;
  own.write(kInsertEvent, {2'000, "the server itself"}).in_background();
  ASSERT_TRUE(commit(std::move(own)));
  auto background = db_.writer().load();
  ASSERT_TRUE(commit(Changes().bulk(kInsertEvent, rows)));
  auto alone = db_.writer().load();
  ASSERT_TRUE(commit(Changes().write(kInsertEvent, {1'000, "somebody else"})));
  auto beside = db_.writer().load();

  EXPECT_EQ(background, Load::none);
  EXPECT_EQ(alone, Load::bulk);
  EXPECT_EQ(beside, Load::others);
}

TEST_P(ContractTogether, scratch_has_tables_of_its_own) {
  static constexpr Sql kInsert{"contract.scratch_insert",
                               "insert into seen (id, at_ms) values ($1, $2) on conflict (id) "
                               "do update set at_ms = excluded.at_ms returning id"};
  static constexpr Sql kFind{"contract.scratch_find", "select at_ms from seen where id = $1"};
  Scratch& scratch = db_->scratch();
  ASSERT_TRUE(context_.run(
      scratch.commit(Changes().script("create table if not exists seen (id {{int}} primary key, "
                                      "at_ms {{int}} not null) {{strict}};"))));

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

TEST_P(ContractTogether, facts_outlast_a_restart) {
  insert(1, 10);

  db_.reopen();

  EXPECT_EQ(count(kCountItems), 10);
  EXPECT_TRUE(commit(Changes().write(kInsertEvent, {1, "event"})));
}

TEST_P(ContractTogether, what_was_accepted_before_closing_is_durable) {
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

TEST_P(ContractTogether, a_closed_database_answers_unavailable) {
  db_->close();
  db_->close();

  auto done = commit(Changes().write(kInsertEvent, {1, "event"}));

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
}

TEST_P(ContractTogether, is_healthy) {
  EXPECT_TRUE(db_->health().writable);
  EXPECT_EQ(db_->kind(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Databases, ContractTogether, testing::ValuesIn(test::database_kinds()),
                         [](const auto& param) { return test::kind_name(param.param); });

}  // namespace
}  // namespace holdfast::db::contract
