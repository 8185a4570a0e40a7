// SIGKILL at any moment loses nothing that was acknowledged, and leaves nothing torn.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <set>
#include <thread>

#include "db/shop.h"

namespace holdfast::db::shop {
namespace {

constexpr int kRounds = 12;
constexpr std::size_t kLeast = 10;  // commits of a round before it is killed

using Kind = Database::Kind;
using namespace std::chrono_literals;

/// In one snapshot: a PostgreSQL server may still be at the last commit of a client that is gone.
constexpr Sql kCounts{"test.counts",
                      "select (select count(*) from orders), (select count(*) from lines), "
                      "(select value from counters where id = 1)"};

Result<std::unique_ptr<Database>> open(Kind kind, const std::filesystem::path& dir,
                                       const std::string& schema) {
  static const SystemClock clock;
  if (kind == Kind::sqlite) return open_sqlite({.dir = dir, .known = kKnown}, clock);
  return open_postgres({.url = test::shared_postgres()->url(), .schema = schema, .known = kKnown},
                       clock);
}

/// Commits an order, its line and a count together, and tells the pipe once that is acknowledged.
Task<void> commit_on(Writer& writer, std::int64_t from, int pipe) {
  for (std::int64_t id = from;; ++id) {
    auto changes = insert(id, 2'000);
    changes.write(kInsertLine, {id, 1}, Expect::exactly(1)).write(kAdd, {1}, Expect::exactly(1));
    auto done = co_await writer.commit(std::move(changes));
    if (done && ::write(pipe, &id, sizeof id) != sizeof id) ::_exit(1);
  }
}

[[noreturn]] void commit_until_killed(Kind kind, const std::filesystem::path& dir,
                                      const std::string& schema, std::int64_t from, int pipe) {
  auto database = open(kind, dir, schema);
  if (!database) ::_exit(2);
  auto writer = (*database)->take_writer();
  std::vector<Task<void>> tasks;
  for (std::int64_t i = 0; i < 5; ++i)
    tasks.push_back(commit_on(*writer, from + i * 100'000, pipe));
  test::RunContext context;
  context.run_all(std::move(tasks));
  ::_exit(3);
}

/// What the child acknowledged before it was killed.
std::set<std::int64_t> killed_while_committing(Kind kind, const std::filesystem::path& dir,
                                               const std::string& schema, std::int64_t from,
                                               std::chrono::milliseconds after) {
  int pipe[2];
  if (::pipe(pipe) != 0) return {};
  pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    commit_until_killed(kind, dir, schema, from, pipe[1]);
  }
  ::close(pipe[1]);
  std::set<std::int64_t> out;
  std::int64_t id = 0;
  // Some at least, however slow the machine is.
  while (out.size() < kLeast && ::read(pipe[0], &id, sizeof id) == sizeof id) out.insert(id);
  std::this_thread::sleep_for(after);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  while (::read(pipe[0], &id, sizeof id) == sizeof id) out.insert(id);
  ::close(pipe[0]);
  return out;
}

class Crash : public testing::TestWithParam<Kind> {};

TEST_P(Crash, loses_nothing_that_was_acknowledged) {
  test::TempDir dir;
  auto schema = test::fresh_schema();
  {
    auto database = open(GetParam(), dir.path(), schema);
    ASSERT_TRUE(database) << database.error().text;
    auto writer = (*database)->take_writer();
    for (const auto& migration : kKnown)
      ASSERT_TRUE(test::run(writer->commit(apply(migration, 1))));
    (*database)->close();
  }
  std::minstd_rand random(7);
  std::set<std::int64_t> acknowledged;

  for (int round = 0; round < kRounds; ++round) {
    auto told = killed_while_committing(GetParam(), dir.path(), schema, round * 1'000'000,
                                        std::chrono::milliseconds(60 + random() % 60));
    acknowledged.merge(told);

    auto database = open(GetParam(), dir.path(), schema);
    ASSERT_TRUE(database) << database.error().text;
    auto orders = test::run((*database)->reader().read(kListIds, {}));
    auto counts = test::run((*database)->reader().read(kCounts, {}));
    ASSERT_TRUE(orders && counts);
    std::set<std::int64_t> found;
    for (std::size_t i = 0; i < orders->size(); ++i) found.insert((*orders)[i].integer(0));
    for (auto id : acknowledged) ASSERT_TRUE(found.contains(id)) << "round " << round << ", " << id;
    EXPECT_EQ((*counts)[0].integer(1), (*counts)[0].integer(0));
    EXPECT_EQ((*counts)[0].integer(2), (*counts)[0].integer(0));
    (*database)->close();
  }
  EXPECT_GE(acknowledged.size(), kRounds * kLeast);
}

INSTANTIATE_TEST_SUITE_P(Databases, Crash, testing::ValuesIn(test::database_kinds()),
                         [](const auto& param) { return test::kind_name(param.param); });

}  // namespace
}  // namespace holdfast::db::shop
