#include "base/keep_running.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/cores.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

/// Throws until it has been begun `bad` times, then ends.
struct Faulty {
  int bad = 0, begun = 0;
  std::vector<std::string> told{};

  Task<void> run() {
    co_await give_way();
    if (begun++ < bad) throw std::bad_alloc();
  }
  Task<void> kept(const std::atomic<bool>& stop, std::chrono::milliseconds pause) {
    return keep_running({.name = "faulty",
                         .stop = stop,
                         .tell =
                             [this](std::string_view name, std::string_view type) {
                               told.push_back(std::string(name) + ' ' + std::string(type));
                             },
                         .pause = pause},
                        [this] { return run(); });
  }
};

TEST(KeepRunning, begins_again_what_throws_and_tells_each_time) {
  Cores cores(1);
  std::atomic<bool> stop = false;
  Faulty faulty{.bad = 2};

  auto began = MonoTime::clock::now();
  cores.wait(faulty.kept(stop, 20ms));

  EXPECT_EQ(faulty.begun, 3);
  EXPECT_EQ(faulty.told, (std::vector<std::string>(2, "faulty St9bad_alloc")));
  EXPECT_GE(MonoTime::clock::now() - began, 40ms);
}

TEST(KeepRunning, goes_on_when_it_cannot_tell) {
  Cores cores(1);
  std::atomic<bool> stop = false;
  Faulty faulty{.bad = 1};

  cores.wait(keep_running({.name = "faulty",
                           .stop = stop,
                           .tell = [](auto, auto) { throw std::bad_alloc(); },
                           .pause = 1ms},
                          [&] { return faulty.run(); }));

  EXPECT_EQ(faulty.begun, 2);
}

TEST(KeepRunning, ends_soon_after_it_is_stopped_and_lets_the_task_do_its_last_work) {
  Cores cores(1);
  std::atomic<bool> stop = false;
  Faulty faulty{.bad = 1};
  auto task = boost::asio::co_spawn(cores.at(0), faulty.kept(stop, 1h), boost::asio::use_future);
  EXPECT_EQ(task.wait_for(50ms), std::future_status::timeout);

  stop = true;

  EXPECT_EQ(task.wait_for(5s), std::future_status::ready);
  EXPECT_EQ(faulty.begun, 2);
}

TEST(KeepRunning, does_not_begin_again_what_throws_after_it_is_stopped) {
  Cores cores(1);
  std::atomic<bool> stop = true;
  Faulty faulty{.bad = 9};

  cores.wait(faulty.kept(stop, 1h));

  EXPECT_EQ(faulty.begun, 1);
  EXPECT_EQ(faulty.told.size(), 1u);
}

}  // namespace
}  // namespace holdfast
