// Runs coroutines to their end on an io_context of the calling thread, for tests.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <deque>
#include <exception>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/task.h"

namespace holdfast::test {

/// One io_context, driven by the calling thread while something runs on it. What a task refers to
/// (a database, a server) must stay alive until run() returns.
class RunContext {
 public:
  RunContext() = default;
  ~RunContext() { bury(std::move(io_)); }
  RunContext(const RunContext&) = delete;
  RunContext& operator=(const RunContext&) = delete;

  boost::asio::io_context& io() { return *io_; }

  /// Runs one task to its end and returns its value; its exception comes out here.
  template <class T>
  T run(Task<T> task) {
    std::vector<Task<T>> one;
    one.push_back(std::move(task));
    if constexpr (std::is_void_v<T>)
      drive(std::move(one));
    else
      return std::move(drive(std::move(one)).front());
  }

  /// Runs all of them side by side and returns their values in order.
  template <class T>
  std::vector<T> run_all(std::vector<Task<T>> tasks) {
    return drive(std::move(tasks));
  }
  void run_all(std::vector<Task<void>> tasks) { drive(std::move(tasks)); }

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& out) {
    out.emplace(co_await std::move(task));
  }

  template <class T>
  std::vector<T> drive(std::vector<Task<T>> tasks) {
    std::vector<std::optional<T>> values(tasks.size());
    std::vector<Task<void>> keepers;
    for (std::size_t i = 0; i < tasks.size(); ++i)
      keepers.push_back(keep(std::move(tasks[i]), values[i]));
    drive(std::move(keepers));
    std::vector<T> out;
    for (auto& value : values) out.push_back(std::move(*value));
    return out;
  }

  void drive(std::vector<Task<void>> tasks) {
    std::size_t left = tasks.size();
    std::exception_ptr failure;
    for (auto& task : tasks) {
      boost::asio::co_spawn(*io_, std::move(task), [&](std::exception_ptr thrown) {
        --left;
        if (thrown) failure = thrown;
      });
    }
    io_->restart();
    while (left > 0) {
      if (io_->run_one() > 0) continue;
      std::cerr << "a task waits for something that will not come\n";
      std::abort();
    }
    if (failure) std::rethrow_exception(failure);
  }

  struct Context : boost::asio::io_context {
    using boost::asio::io_context::shutdown;  // destroys all that still waits in it
  };

  /// Another thread that has just posted the last answer may still be about to leave post(). So a
  /// context lives on, empty, until some more have been used.
  static void bury(std::unique_ptr<Context> context) {
    static std::mutex mutex;
    static std::deque<std::unique_ptr<Context>> graves;
    context->shutdown();
    std::lock_guard lock(mutex);
    graves.push_back(std::move(context));
    if (graves.size() > 64) graves.pop_front();
  }

  std::unique_ptr<Context> io_ = std::make_unique<Context>();
};

/// For one task without a context of its own.
template <class T>
T run(Task<T> task) {
  RunContext context;
  return context.run(std::move(task));
}

}  // namespace holdfast::test
