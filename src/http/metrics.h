// What the server counts about itself, as Prometheus text. Names of operations and numbers only:
// no ids, no addresses, no personal data. Safe to use from every thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::http {

class Metrics {
 public:
  Metrics();
  ~Metrics();

  /// Adds a value that is read at each scrape, on the thread that answers it; it must be quick.
  /// `name` such as `holdfast_pool_load`; counters end in `_total`.
  void gauge(std::string name, std::string help, std::function<double()> read);
  void counter(std::string name, std::string help, std::function<double()> read);

  /// One operation's requests by status, and how long they took.
  class Operation {
   public:
    virtual ~Operation() = default;
    virtual void served(int status, std::chrono::nanoseconds took) = 0;
  };
  /// The same object for the same id; lives as long as the Metrics.
  Operation& operation(std::string_view id);

  // Counted by the server; the first is a level, the others only rise.
  std::atomic<std::int64_t> connections = 0;
  std::atomic<std::uint64_t> accepted = 0, refused = 0, failed_handshakes = 0, timed_out = 0;

  /// Text format 0.0.4.
  std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::http
