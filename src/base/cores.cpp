#include "base/cores.h"

#include <algorithm>

namespace holdfast {

Cores::Cores(std::size_t count) {
  if (count == 0) count = std::max(1u, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < count; ++i) {
    contexts_.push_back(std::make_unique<boost::asio::io_context>(1));
    guards_.emplace_back(contexts_.back()->get_executor());
  }
  for (auto& context : contexts_)
    threads_.emplace_back([context = context.get()] { context->run(); });
}

Cores::~Cores() {
  for (auto& context : contexts_) context->stop();
  threads_.clear();
}

}  // namespace holdfast
