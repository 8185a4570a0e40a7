// Counts refused callers whose refusal gets no event of its own, by where they come from, and says
// who tries too often.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"

namespace holdfast::access {

/// Threads: safe. Memory: bounded by `prefixes`; who comes after those is counted and throttled
/// together, under an empty prefix.
class Strangers {
 public:
  struct Limits {
    std::size_t prefixes = 10'000;  // a minute
    std::uint32_t tries = 20;       // bad keys a minute before the answer is 429
  };
  /// What one minute left behind.
  struct Count {
    Time minute;
    std::string prefix;  // personal data: goes sealed into the journal
    std::int64_t refused = 0;
  };

  Strangers() : Strangers(Limits{}) {}
  explicit Strangers(Limits limits) : limits_(limits) {}

  /// Counts one bad key. True when this prefix has used up its tries in this minute.
  /// `recorded` means that the caller is known and the refusal gets an event of its own, unless the
  /// tries are used up: then it is in the count.
  bool refused(const std::string& prefix, Time now, bool recorded);

  /// Minutes that are over (or, at the end, also the current one), each to become an event.
  std::vector<Count> take(Time now, bool all);
  /// What could not be recorded comes back and is merged.
  void put_back(std::vector<Count> counts);

 private:
  struct Tally {
    std::uint32_t tries = 0;
    std::int64_t unrecorded = 0;
  };
  void roll(Time minute);
  void keep(Count count);

  const Limits limits_;
  std::mutex mutex_;
  Time minute_{};
  std::map<std::string, Tally, std::less<>> current_;
  std::map<std::pair<Time, std::string>, std::int64_t> finished_;
};

}  // namespace holdfast::access
