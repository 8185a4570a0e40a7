#include "base/keep_running.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <typeinfo>

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kStep{100};

Task<void> rest(const KeepRunning& how) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  for (std::chrono::milliseconds left = how.pause; left.count() > 0 && !how.stop; left -= kStep) {
    timer.expires_after(std::min(left, kStep));
    co_await timer.async_wait(boost::asio::use_awaitable);
  }
}

void tell(const KeepRunning& how, std::string_view type) noexcept {
  try {
    how.tell(how.name, type);
  } catch (const std::exception&) {
    // No memory even for that; the task goes on.
  }
}

}  // namespace

Task<void> keep_running(KeepRunning how, std::function<Task<void>()> make) {
  for (bool again = false;; again = true) {
    const bool last = how.stop;
    try {
      if (again) co_await rest(how);
      co_await make();
      co_return;
    } catch (const std::exception& error) {
      tell(how, typeid(error).name());
    }
    if (last) co_return;
  }
}

}  // namespace holdfast
