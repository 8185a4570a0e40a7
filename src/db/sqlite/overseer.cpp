#include "db/sqlite/overseer.h"

#include <chrono>
#include <utility>

namespace holdfast::db::sqlite {

Overseer::Overseer(std::function<bool()> look)
    : look_(std::move(look)), thread_([this] { serve(); }) {}

Overseer::~Overseer() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Overseer::watch() {
  if (watching_.exchange(true)) return;
  std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void Overseer::serve() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    wake_.wait(lock, [this] { return closing_ || watching_; });
    wake_.wait_for(lock, std::chrono::milliseconds(20), [this] { return closing_; });
    lock.unlock();
    // Cleared before the look: who starts to wait after it sets it again.
    watching_ = false;
    if (look_()) watching_ = true;
    lock.lock();
  }
}

}  // namespace holdfast::db::sqlite
