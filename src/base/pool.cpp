#include "base/pool.h"

namespace holdfast {

Pool::~Pool() {
  threads_.stop();
  threads_.join();
}

bool Pool::enter() {
  if (load_.fetch_add(1, std::memory_order_relaxed) < most_) return true;
  leave();
  refused_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

}  // namespace holdfast
