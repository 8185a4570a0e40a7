// What only PostgreSQL can do to us: going away, coming back, being configured otherwise.
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <signal.h>

#include <mutex>
#include <set>
#include <thread>

#include "db/pooler.h"
#include "db/shop.h"

namespace holdfast::db::shop {
namespace {

using namespace std::chrono_literals;

const SystemClock& system_clock() {
  static const SystemClock clock;
  return clock;
}

template <class Condition>
bool within(std::chrono::milliseconds time, Condition condition) {
  auto end = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

/// A plain connection of somebody else.
class Plain {
 public:
  explicit Plain(const std::string& url) : pg_(PQconnectdb(url.c_str())) {}
  ~Plain() { PQfinish(pg_); }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;

  bool run(const std::string& text) {
    PGresult* result = PQexec(pg_, text.c_str());
    auto status = PQresultStatus(result);
    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
  }

 private:
  PGconn* pg_;
};

class Postgres : public testing::Test {
 protected:
  void SetUp() override {
    if (test::PostgresServer::binaries().empty()) GTEST_SKIP() << "PostgreSQL is not installed";
  }
  std::unique_ptr<Database> open(const std::string& url, Millis timeout = 10s) {
    auto opened = open_postgres(
        {.url = url, .schema = schema_, .statement_timeout = timeout, .known = kKnown},
        system_clock());
    EXPECT_TRUE(opened) << opened.error().text;
    return opened ? std::move(*opened) : nullptr;
  }
  void migrate(Writer& writer) {
    for (const auto& migration : kKnown)
      ASSERT_TRUE(context_.run(writer.commit(apply(migration, 1))));
  }

  std::string schema_ = test::fresh_schema();
  test::RunContext context_;
};

TEST_F(Postgres, keeps_a_second_server_off_its_schema_until_the_first_has_closed) {
  PostgresOptions options{
      .url = test::shared_postgres()->url(), .schema = schema_, .known = kKnown};
  auto first = open(options.url);
  ASSERT_TRUE(first);

  auto second = open_postgres(options, system_clock());
  first->close();
  auto third = open_postgres(options, system_clock());

  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  EXPECT_TRUE(third);
}

TEST_F(Postgres, keeps_a_second_server_off_its_schema_also_after_a_restart_of_PostgreSQL) {
  test::PostgresServer server;
  auto first = open(server.url());
  ASSERT_TRUE(first);
  auto writer = first->take_writer();
  migrate(*writer);
  auto writes = [&] {
    return context_.run(writer->commit(Changes().write(kAdd, {1}))).has_value();
  };

  server.kill();
  server.start();
  ASSERT_TRUE(within(15s, writes));
  auto second =
      open_postgres({.url = server.url(), .schema = schema_, .known = kKnown}, system_clock());

  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  EXPECT_TRUE(writes());
  first->close();
}

TEST_F(Postgres, a_server_whose_schema_another_one_has_taken_writes_no_more) {
  static constexpr Sql kOne{"test.one", "select 1"};
  test::PostgresServer server;
  Plain admin(server.url());
  ASSERT_TRUE(admin.run("create role early superuser login"));
  auto early = open(server.url() + " user=early");
  ASSERT_TRUE(early);
  auto writer = early->take_writer();
  migrate(*writer);
  // As a restart: all of its sessions are gone, and another server comes before they are back.
  ASSERT_TRUE(admin.run("alter role early nologin") &&
              admin.run("select pg_terminate_backend(pid) from pg_stat_activity "
                        "where usename = 'early'"));

  auto late = open(server.url());
  ASSERT_TRUE(late);
  ASSERT_TRUE(admin.run("alter role early login"));
  auto refused = [&] {
    auto done = context_.run(writer->commit(Changes().write(kAdd, {1})));
    EXPECT_FALSE(done);
    return !done && done.error().code == Code::unavailable &&
           done.error().text.contains("another Holdfast server");
  };

  EXPECT_TRUE(within(15s, refused));
  EXPECT_TRUE(within(1s, [&] { return early->health().reason.contains("another Holdfast"); }));
  EXPECT_FALSE(early->health().writable);
  EXPECT_FALSE(context_.run(early->scratch().commit(Changes().guard(kOne, {}))));
  EXPECT_TRUE(context_.run(late->take_writer()->commit(Changes().write(kAdd, {1}))));
  late->close();
  EXPECT_TRUE(refused()) << "what it knows is older than what the other one wrote";
  early->close();
}

TEST_F(Postgres, names_what_is_wrong_when_it_cannot_be_opened) {
  std::string good = test::shared_postgres()->url();
  struct {
    const char* what;
    PostgresOptions options;
    Code code;
  } cases[] = {
      {"nobody there", {.url = "host=127.0.0.1 port=1 user=x dbname=x"}, Code::unavailable},
      {"no such database", {.url = good + " dbname=nowhere"}, Code::unavailable},
      {"no such user", {.url = good + " user=nobody"}, Code::unavailable},
      {"not a URL", {.url = "postgres=="}, Code::invalid},
      {"schema name", {.url = good, .schema = "a; drop"}, Code::invalid},
  };

  for (auto& c : cases) {
    auto opened = open_postgres(c.options, system_clock());
    ASSERT_FALSE(opened) << c.what;
    EXPECT_EQ(opened.error().code, c.code) << c.what << ": " << opened.error().text;
  }
}

TEST_F(Postgres, several_nodes_may_open_a_new_schema_at_once) {
  std::vector<std::thread> nodes;
  std::atomic<int> opened = 0;
  for (int i = 0; i < 4; ++i)
    nodes.emplace_back([&] {
      if (auto database = open(test::shared_postgres()->url())) ++opened;
    });
  for (auto& node : nodes) node.join();

  EXPECT_EQ(opened, 4);
}

TEST_F(Postgres, commits_are_durable_even_where_the_server_says_otherwise) {
  test::PostgresServer server({.settings = "synchronous_commit = off"});
  static constexpr Sql kSetting{"test.setting", "select current_setting('synchronous_commit')"};
  auto database = open(server.url());
  ASSERT_TRUE(database);
  auto writer = database->take_writer();

  auto facts = context_.run(writer->commit(Changes().guard(kSetting, {})));
  auto scratch = context_.run(database->scratch().commit(Changes().guard(kSetting, {})));

  ASSERT_TRUE(facts && scratch);
  EXPECT_EQ(facts->returned[0][0].text(0), "on");
  EXPECT_EQ(scratch->returned[0][0].text(0), "off");
  database->close();
}

TEST_F(Postgres, a_statement_that_waits_too_long_is_unavailable) {
  auto database = open(test::shared_postgres()->url(), 300ms);
  ASSERT_TRUE(database);
  auto writer = database->take_writer();
  migrate(*writer);
  Plain other(test::shared_postgres()->url() + " options='-c search_path=" + schema_ + "'");
  ASSERT_TRUE(other.run("begin") && other.run("update counters set value = 7"));

  auto blocked = context_.run(writer->commit(insert(1).write(kAdd, {1})));
  ASSERT_TRUE(other.run("commit"));
  auto done = context_.run(writer->commit(insert(1).write(kAdd, {1})));

  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().code, Code::unavailable);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->returned[1][0].integer(0), 8);
  database->close();
}

TEST_F(Postgres, a_deadline_passes_while_a_row_is_locked) {
  auto database = open(test::shared_postgres()->url());
  ASSERT_TRUE(database);
  auto writer = database->take_writer();
  migrate(*writer);
  Plain other(test::shared_postgres()->url() + " options='-c search_path=" + schema_ + "'");
  ASSERT_TRUE(other.run("begin") && other.run("update counters set value = 7"));
  auto begun = std::chrono::steady_clock::now();

  auto late = context_.run(writer->commit(Changes().write(kAdd, {1}), begun + 100ms));
  auto took = std::chrono::steady_clock::now() - begun;
  other.run("rollback");

  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::unavailable);
  EXPECT_LT(took, 2s);
  database->close();
}

TEST_F(Postgres, connections_that_the_server_ends_are_opened_again) {
  auto database = open(test::shared_postgres()->url());
  ASSERT_TRUE(database);
  auto writer = database->take_writer();
  migrate(*writer);
  ASSERT_TRUE(context_.run(database->reader().read(kCountOrders, {})));
  Plain other(test::shared_postgres()->url());

  ASSERT_TRUE(
      other.run("select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'holdfast'"));

  EXPECT_TRUE(context_.run(database->reader().read(kCountOrders, {})));
  EXPECT_TRUE(within(
      5s, [&] { return context_.run(writer->commit(Changes().write(kAdd, {1}))).has_value(); }));
  database->close();
}

TEST_F(Postgres, killed_under_load_acknowledges_nothing_falsely_and_comes_back) {
  test::PostgresServer server;
  auto database = open(server.url());
  ASSERT_TRUE(database);
  auto writer = database->take_writer();
  migrate(*writer);
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::set<std::int64_t> acknowledged;
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (std::int64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      test::RunContext context;
      for (std::int64_t id = t * 1'000'000; !stop; ++id) {
        auto changes = insert(id);
        if (id % 2 == 0) changes.write(kAdd, {1}, Expect::exactly(1));
        auto deadline = std::chrono::steady_clock::now() + 1s;
        auto done = context.run(writer->commit(std::move(changes), deadline));
        if (!done) EXPECT_EQ(done.error().code, Code::unavailable);
        refused += !done;
        std::lock_guard lock(mutex);
        if (done) acknowledged.insert(id);
      }
    });

  std::size_t known = 0;
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(300ms);
    server.kill();
    EXPECT_TRUE(within(5s, [&] { return !database->health().writable; }));
    std::this_thread::sleep_for(100ms);
    server.start();
    std::unique_lock lock(mutex);
    known = acknowledged.size();
    lock.unlock();
    EXPECT_TRUE(within(15s, [&] {
      std::lock_guard again(mutex);
      return acknowledged.size() > known + 10;
    }));
  }
  stop = true;
  for (auto& thread : threads) thread.join();

  EXPECT_TRUE(database->health().writable);
  EXPECT_GT(refused, 0);
  auto rows = context_.run(database->reader().read(kListIds, {}));
  ASSERT_TRUE(rows);
  std::set<std::int64_t> found;
  std::int64_t even = 0;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    found.insert((*rows)[i].integer(0));
    even += (*rows)[i].integer(0) % 2 == 0;
  }
  for (auto id : acknowledged) EXPECT_TRUE(found.contains(id)) << id;
  EXPECT_EQ((*context_.run(database->reader().read(kValue, {})))[0].integer(0), even);
  database->close();
}

TEST_F(Postgres, without_a_server_answers_unavailable_in_time) {
  auto server = std::make_unique<test::PostgresServer>();
  auto database = open(server->url());
  ASSERT_TRUE(database);
  auto writer = database->take_writer();
  migrate(*writer);
  server->stop();
  auto begun = std::chrono::steady_clock::now();

  auto read = context_.run(database->reader().read(kCountOrders, {}, begun + 200ms));
  auto done = context_.run(writer->commit(insert(1), begun + 200ms));
  auto patient = context_.run(writer->commit(insert(2)));

  for (auto code : {read.error().code, done.error().code, patient.error().code})
    EXPECT_EQ(code, Code::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  EXPECT_FALSE(database->health().writable);
  begun = std::chrono::steady_clock::now();
  database->close();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s);
}

TEST_F(Postgres, a_commit_that_a_pooler_broke_off_may_be_made_and_is_not_sent_again) {
  test::PostgresServer server;
  Pooler pooler(server.port(), "order 4711");
  auto database =
      open(server.url() + " port=" + std::to_string(pooler.port()) + " sslmode=disable");
  ASSERT_TRUE(database);
  auto writer = database->take_writer();
  migrate(*writer);

  auto done = context_.run(writer->commit(insert(4711)));

  EXPECT_TRUE(pooler.spoke());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable) << "a conflict would say that it is not made";
  EXPECT_TRUE(within(10s, [&] { return context_.run(writer->commit(insert(1))).has_value(); }));
  EXPECT_EQ((*context_.run(database->reader().read(kCountOrders, {})))[0].integer(0), 2);
  database->close();
}

TEST_F(Postgres, a_commit_that_the_standby_may_not_have_is_told_from_other_warnings) {
  test::PostgresServer server({.settings = "synchronous_standby_names = 'away'\n"});
  Plain admin(server.url() + " options='-c synchronous_commit=local'");
  auto local = open(server.url() + " options='-c synchronous_commit=local'");
  ASSERT_TRUE(local);
  auto writer = local->take_writer();
  migrate(*writer);
  ASSERT_TRUE(admin.run("set search_path to " + schema_) &&
              admin.run("create function grumble() returns trigger language plpgsql as "
                        "$$ begin raise warning 'a database like any other'; return new; end $$") &&
              admin.run("create trigger grumbling before insert on orders for each row "
                        "execute function grumble()"));

  EXPECT_TRUE(context_.run(writer->commit(insert(1)))) << "a warning about something else";
  local->close();

  std::jthread impatient([&admin](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      admin.run("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
      std::this_thread::sleep_for(20ms);
    }
  });
  auto waiting = open(server.url());
  ASSERT_TRUE(waiting);
  auto doubted = context_.run(waiting->take_writer()->commit(insert(2)));

  ASSERT_FALSE(doubted);
  EXPECT_EQ(doubted.error().code, Code::unavailable);
  EXPECT_EQ((*context_.run(waiting->reader().read(kCountOrders, {})))[0].integer(0), 2);
  waiting->close();
}

TEST_F(Postgres, bulk_rows_of_every_size_are_counted_before_they_are_committed) {
  auto database = open(test::shared_postgres()->url());
  ASSERT_TRUE(database);
  auto writer = database->take_writer();
  migrate(*writer);
  std::vector<Args> rows;
  for (std::int64_t id = 0; id < 20'000; ++id) rows.push_back(order(id, 300));

  auto wrong = context_.run(
      writer->commit(Changes().write(kAdd, {1}).bulk(kInsertOrder, rows, Expect::exactly(19'999))));
  auto none = (*context_.run(database->reader().read(kCountOrders, {})))[0].integer(0);
  auto right = context_.run(
      writer->commit(Changes().write(kAdd, {1}).bulk(kInsertOrder, rows, Expect::exactly(20'000))));

  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::conflict);
  EXPECT_EQ(none, 0);
  ASSERT_TRUE(right);
  EXPECT_EQ(right->returned[0][0].integer(0), 1);
  database->close();
}

}  // namespace
}  // namespace holdfast::db::shop
