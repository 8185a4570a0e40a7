#include "base/task.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast {

Task<void> give_way() {
  auto here = co_await boost::asio::this_coro::executor;
  co_await boost::asio::post(here, boost::asio::use_awaitable);
}

}  // namespace holdfast
