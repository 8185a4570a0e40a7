// The bytes of request bodies that all connections of a server hold in memory together. Without one
// many callers at once, each within its own limit, would fill the machine.
#pragma once

#include <atomic>
#include <cstddef>

namespace holdfast::http {

/// From any thread.
class BodyBudget {
 public:
  explicit BodyBudget(std::size_t bytes) : bytes_(bytes) {}

  /// A body of up to this size always has room, so that large ones cannot lock out the daily work.
  static constexpr std::size_t kSmall = 64 * 1024;

  std::size_t held() const { return held_; }

  /// What one request holds of it, given back when that ends. Of one thread.
  class Share {
   public:
    explicit Share(BodyBudget& budget) : budget_(budget) {}
    ~Share() { budget_.held_ -= mine_; }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    /// Holds `bytes` in all. False, and as much as before, where the budget has less.
    bool grow_to(std::size_t bytes) {
      if (bytes <= mine_) return true;
      const auto more = bytes - mine_;
      if (budget_.held_.fetch_add(more) + more > budget_.bytes_) {
        budget_.held_ -= more;
        return false;
      }
      mine_ = bytes;
      return true;
    }

   private:
    BodyBudget& budget_;
    std::size_t mine_ = 0;
  };

 private:
  const std::size_t bytes_;
  std::atomic<std::size_t> held_ = 0;
};

}  // namespace holdfast::http
