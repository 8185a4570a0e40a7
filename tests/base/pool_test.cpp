#include "base/pool.h"

#include <gtest/gtest.h>

#include <latch>
#include <stdexcept>
#include <thread>

#include <boost/asio/detached.hpp>

#include "base/cores.h"

namespace holdfast {
namespace {

Task<std::thread::id> home_after(Pool* pool) {
  auto done = co_await pool->run([] { return Result<int>(1); });
  co_return done ? std::this_thread::get_id() : std::thread::id();
}
Task<std::thread::id> home() {
  co_return std::this_thread::get_id();
}

TEST(Pool, runs_work_elsewhere_and_comes_back_to_the_core) {
  Cores cores(2);
  Pool pool(2, 4);

  auto worker =
      cores.wait(pool.run([] { return Result<std::thread::id>(std::this_thread::get_id()); }));

  ASSERT_TRUE(worker);
  EXPECT_NE(*worker, cores.wait(home()));
  EXPECT_EQ(cores.wait(home_after(&pool)), cores.wait(home()));
  EXPECT_EQ(cores.wait(home_after(&pool), 1), cores.wait(home(), 1));
}

TEST(Pool, turns_work_away_at_once_when_it_is_full) {
  Cores cores(1);
  Pool pool(1, 1);
  std::latch go(1);
  std::atomic<int> done = 0;
  auto blocked = [&] {
    go.wait();
    ++done;
    return Result<void>();
  };
  for (int i = 0; i < 2; ++i)
    boost::asio::co_spawn(
        cores.at(0),
        [](Pool* p, decltype(blocked) work) -> Task<void> { (void)co_await p->run(work); }(&pool,
                                                                                           blocked),
        boost::asio::detached);
  while (pool.load() < 2) std::this_thread::yield();

  auto refused = cores.wait(pool.run([] { return Result<int>(1); }));

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(pool.refused(), 1u);
  go.count_down();
  while (pool.load() > 0) std::this_thread::yield();
  EXPECT_TRUE(cores.wait(pool.run([] { return Result<int>(1); })));
  EXPECT_EQ(done, 2);
}

TEST(Pool, passes_errors_and_exceptions_on) {
  Cores cores(1);
  Pool pool(1, 1);

  auto failed =
      cores.wait(pool.run([]() -> Result<int> { return Error(Code::corrupt, "broken"); }));

  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::corrupt);
  EXPECT_THROW((void)cores.wait(pool.run([]() -> Result<int> { throw std::runtime_error("x"); })),
               std::runtime_error);
  EXPECT_EQ(pool.load(), 0u);
}

}  // namespace
}  // namespace holdfast
