// Task<T> is the coroutine that every verb returns. It runs on the io_context of the core that
// took the request. Parameters are taken by value; what they refer to must outlive the task.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace holdfast {

template <class T>
using Task = boost::asio::awaitable<T>;

/// Lets others on this core have their turn: within work that would hold it for long.
Task<void> give_way();

}  // namespace holdfast
