// Long work on an io thread, cut into slices so that other requests go on between them.
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/task.h"

namespace holdfast::journal {

/// One per piece of work. Threads: as the coroutine that uses it.
class Slices {
 public:
  /// True when this slice has lasted half a millisecond. Cost: one look at the time in 64 calls.
  bool due() {
    if (++calls_ % 64 != 0) return false;
    return std::chrono::steady_clock::now() - since_ > std::chrono::microseconds(500);
  }
  /// Lets others run, then begins the next slice.
  Task<void> pause() {
    auto executor = co_await boost::asio::this_coro::executor;
    co_await boost::asio::post(executor, boost::asio::use_awaitable);
    since_ = std::chrono::steady_clock::now();
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  unsigned calls_ = 0;
};

inline Task<void> pause_for(std::chrono::milliseconds time) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace holdfast::journal
