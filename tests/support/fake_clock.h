// A clock that stands still until a test moves it.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace holdfast::test {

/// Threads: safe; a test may move it while a server reads it.
class FakeClock final : public Clock {
 public:
  /// Starts at 2026-11-23T09:30:00.000Z.
  explicit FakeClock(Time now = from_ms(1'795'426'200'000)) : now_ms_(to_ms(now)) {}

  Time now() const override { return from_ms(now_ms_); }
  MonoTime mono() const override { return MonoTime(MonoTime::duration(mono_)); }

  void set_now(Time now) { now_ms_ = to_ms(now); }
  void set_mono(MonoTime mono) { mono_ = mono.time_since_epoch().count(); }
  /// Moves both.
  void advance(Millis by) {
    now_ms_ += by.count();
    mono_ += std::chrono::duration_cast<MonoTime::duration>(by).count();
  }

 private:
  std::atomic<std::int64_t> now_ms_;
  std::atomic<MonoTime::rep> mono_ = 1'000'000'000'000;
};

}  // namespace holdfast::test
