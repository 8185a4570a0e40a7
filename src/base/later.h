// A task that runs beside the one that started it, and is waited for later.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <optional>

#include "base/task.h"

namespace holdfast {

/// Threads: make, wait and destroy on the executor that it was given. A task whose Later is
/// destroyed goes on to its end, so what it refers to must outlive it: wait for it.
template <class T>
class Later {
 public:
  Later(boost::asio::any_io_executor executor, Task<T> task)
      : state_(std::make_shared<State>(executor)) {
    boost::asio::co_spawn(executor, keep(state_, std::move(task)),
                          [state = state_](std::exception_ptr thrown) {
                            state->thrown = thrown;
                            state->done = true;
                            state->timer.cancel();
                          });
  }

  /// Once. What the task threw is thrown here.
  Task<T> wait() {
    auto state = state_;
    while (!state->done) {
      boost::system::error_code woken;
      co_await state->timer.async_wait(
          boost::asio::redirect_error(boost::asio::use_awaitable, woken));
    }
    if (state->thrown) std::rethrow_exception(state->thrown);
    co_return std::move(*state->value);
  }

 private:
  struct State {
    explicit State(const boost::asio::any_io_executor& executor)
        : timer(executor, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer timer;
    std::optional<T> value;
    std::exception_ptr thrown;
    bool done = false;
  };

  static Task<void> keep(std::shared_ptr<State> state, Task<T> task) {
    state->value.emplace(co_await std::move(task));
  }

  std::shared_ptr<State> state_;  // shared with the running task
};

}  // namespace holdfast
