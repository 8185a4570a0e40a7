// How many requests of each key are between finding out that it may still try and counting what its
// try told: see records/unique_tries.h.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace holdfast::vault {

enum class TryPlace : std::uint8_t { outside, deciding, under_way };

/// Threads: safe. Of one process, which is the only one that writes.
class TriesUnderWay {
 public:
  /// Of one key one request at a time finds out what is left. Gives how many are under way; nullopt
  /// while another one decides.
  std::optional<int> decide(const std::string& principal);
  void move(const std::string& principal, TryPlace from, TryPlace to);

 private:
  struct OfKey {
    bool deciding = false;
    int under_way = 0;
  };
  std::mutex mutex_;
  std::map<std::string, OfKey> keys_;
};

}  // namespace holdfast::vault
