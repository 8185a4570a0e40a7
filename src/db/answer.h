// How a coroutine waits for a database thread, and how that thread wakes it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"

namespace holdfast::db {

/// Answers that are ready, posted to the executors of those who wait: one wake-up per executor for
/// however many of them. Threads: one at a time.
class Mail {
 public:
  void add(boost::asio::any_io_executor to, std::move_only_function<void()> wake) {
    for (auto& [executor, wakes] : bags_) {
      if (executor != to) continue;
      wakes.push_back(std::move(wake));
      return;
    }
    bags_.emplace_back(std::move(to), Wakes{}).second.push_back(std::move(wake));
  }

  /// The executors must still run: whoever owns them closes the database first.
  void send() {
    for (auto& [executor, wakes] : bags_) {
      boost::asio::post(executor, [all = std::move(wakes)]() mutable {
        for (auto& wake : all) wake();
      });
    }
    bags_.clear();
  }

 private:
  using Wakes = std::vector<std::move_only_function<void()>>;
  std::vector<std::pair<boost::asio::any_io_executor, Wakes>> bags_;
};

/// One coroutine that waits for one Result<T>. Answered once; later answers are dropped, so that
/// whoever finds a deadline passed may answer before the database does.
template <class T>
class Waiter {
 public:
  using Token = boost::asio::use_awaitable_t<>;
  using Handler = typename boost::asio::async_result<Token, void(Result<T>)>::handler_type;

  explicit Waiter(Handler handler) : handler_(std::move(handler)) {}

  bool answered() const { return !handler_; }

  void answer(Result<T> result, Mail& mail) {
    if (!handler_) return;
    auto executor = handler_->get_executor();
    mail.add(std::move(executor),
             [handler = std::move(*handler_), value = std::move(result)]() mutable {
               handler(std::move(value));
             });
    handler_.reset();
  }

 private:
  std::optional<Handler> handler_;
};

/// Suspends the calling coroutine and hands its Waiter to `start`, which sees to it that it is
/// answered, from any thread.
template <class T, class Start>
Task<Result<T>> wait_for(Start start) {
  using Token = typename Waiter<T>::Token;
  co_return co_await boost::asio::async_initiate<const Token&, void(Result<T>)>(
      [](typename Waiter<T>::Handler handler, Start begin) {
        begin(Waiter<T>(std::move(handler)));
      },
      boost::asio::use_awaitable, std::move(start));
}

}  // namespace holdfast::db
