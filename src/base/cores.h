// One io_context per core, each run by one thread. Coroutines stay on the core that took them, so
// what belongs to one core needs no lock.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/task.h"

namespace holdfast {

class Cores {
 public:
  /// `count` 0: as many as the machine has. The threads run from here on.
  explicit Cores(std::size_t count = 0);
  /// Stops and joins. Coroutines that still wait are destroyed.
  ~Cores();
  Cores(const Cores&) = delete;
  Cores& operator=(const Cores&) = delete;

  std::size_t size() const { return contexts_.size(); }
  boost::asio::io_context& at(std::size_t core) { return *contexts_[core]; }

  /// Runs a task on a core and waits for it: for start-up and shut-down, never from a core's own
  /// thread. What the task throws is thrown here.
  template <class T>
  T wait(Task<T> task, std::size_t core = 0) {
    std::optional<T> out;
    boost::asio::co_spawn(at(core), keep(std::move(task), &out), boost::asio::use_future).get();
    return std::move(*out);
  }
  void wait(Task<void> task, std::size_t core = 0) {
    boost::asio::co_spawn(at(core), std::move(task), boost::asio::use_future).get();
  }

 private:
  using Guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>* out) {
    out->emplace(co_await std::move(task));
  }

  std::vector<std::unique_ptr<boost::asio::io_context>> contexts_;
  std::vector<Guard> guards_;
  std::vector<std::jthread> threads_;
};

}  // namespace holdfast
