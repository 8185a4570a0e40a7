// What one server, one connection and one request may take. Bodies and handler times are limited
// per route (route.h).
#pragma once

#include <chrono>
#include <cstddef>

namespace holdfast::http {

struct ServerLimits {
  using ms = std::chrono::milliseconds;

  std::size_t header_bytes = 16 * 1024;  // request line and header fields together
  std::size_t target_bytes = 8 * 1024;   // path and query
  std::size_t connections = 10'000;
  std::size_t connections_per_address = 256;  // IPv6: per /64; does not hold for proxies
  std::size_t requests_per_connection = 100'000;
  std::size_t body_rate = 1024;  // bytes a second that an upload must reach on average
  /// Bodies that all connections together hold in memory, in bytes of the room that they take;
  /// those up to BodyBudget::kSmall do not count. What goes above is answered with 503.
  std::size_t bodies_together = std::size_t{256} << 20;

  ms handshake_time{10'000};
  ms header_time{10'000};         // from the first byte of a request to the end of its header
  ms idle_time{60'000};           // between requests
  ms body_patience{10'000};       // what a body may wait beyond its rate
  ms write_time{30'000};          // for a client to take a response, and more for a large one
  ms overrun_time{5'000};         // a handler this far over its time loses its connection
  ms stream_time{12 * 3600'000};  // uploads, downloads and event streams as a whole
  ms heartbeat{15'000};           // between comments on a quiet event stream
  ms stop_time{10'000};           // for requests in flight when the server stops
  ms end_time{10'000};            // then for handlers to end whose connections were cut
};

}  // namespace holdfast::http
