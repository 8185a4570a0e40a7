// Answers those whose deadline passes while a writer is busy or the disk hangs. One thread that
// looks every 20 ms while anyone waits under a deadline, and sleeps otherwise.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace holdfast::db::sqlite {

class Overseer {
 public:
  /// `look` answers who is late and says whether anyone still waits under a deadline.
  explicit Overseer(std::function<bool()> look);
  ~Overseer();

  /// Somebody waits under a deadline, and `look` can see it. Cost: one atomic exchange while the
  /// thread is awake.
  void watch();

 private:
  void serve();

  std::function<bool()> look_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> watching_ = false;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace holdfast::db::sqlite
