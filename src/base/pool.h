// A fixed number of threads for work that takes more than a millisecond (scans, exports, password
// hashing), with a bounded queue: a full pool answers at once instead of making everyone wait.
// Lifetime: the cores whose tasks use it outlive it; the server is stopped before it ends.
#pragma once

#include <atomic>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>

#include "base/result.h"
#include "base/task.h"

namespace holdfast {

class Pool {
 public:
  /// At most `threads` run and `queue` wait.
  Pool(std::size_t threads, std::size_t queue) : most_(threads + queue), threads_(threads) {}
  /// Finishes what runs; what waits is dropped with its coroutine.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Runs `work`, a function that returns Result<T>, on a thread of the pool, and continues on the
  /// caller's core. Errors: unavailable (the pool is full), else what `work` returns; what it
  /// throws is thrown here. Cost: two thread hops, about 10 µs.
  template <class Work>
  Task<std::invoke_result_t<Work&>> run(Work work) {
    using Out = std::invoke_result_t<Work&>;
    if (!enter()) co_return Error(Code::unavailable, "busy; try again shortly");
    std::optional<Out> out;
    std::exception_ptr thrown;
    auto start = [&](auto handler) {
      auto home = boost::asio::prefer(boost::asio::get_associated_executor(handler),
                                      boost::asio::execution::outstanding_work.tracked);
      boost::asio::post(threads_, [&, home, handler = std::move(handler)]() mutable {
        try {
          out.emplace(work());
        } catch (...) {
          thrown = std::current_exception();
        }
        leave();
        boost::asio::post(home, std::move(handler));
      });
    };
    co_await boost::asio::async_initiate<decltype(boost::asio::use_awaitable), void()>(
        start, boost::asio::use_awaitable);
    if (thrown) std::rethrow_exception(thrown);
    co_return std::move(*out);
  }

  /// Running and waiting now, and how many were turned away so far: for metrics.
  std::size_t load() const { return load_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  bool enter();
  void leave() { load_.fetch_sub(1, std::memory_order_relaxed); }

  const std::size_t most_;
  std::atomic<std::size_t> load_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
  boost::asio::thread_pool threads_;
};

}  // namespace holdfast
