// A blocking HTTPS client for the command line and for tests: one server, one connection that is
// kept between requests, names and certificates always verified.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace holdfast::http {

struct ClientOptions {
  std::string url;                // "https://vault.example:8443"
  std::filesystem::path ca_file;  // whom to trust; empty: the authorities of this machine
  Secret api_key;                 // sent as a bearer token when not empty
  std::string user_agent = "holdfast";
  std::chrono::milliseconds connect_time{10'000};  // to the end of the TLS handshake
  std::chrono::milliseconds quiet_time{60'000};    // without a byte either way
  std::size_t body_bytes = 64 << 20;               // of a response that is not streamed
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, percent-encoded
  std::string body{};
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers{};

  /// For an upload in place of `body`: fills the span and says how much, 0 at the end. The server
  /// is asked first whether it wants it.
  std::function<Result<std::size_t>(std::span<char>)> source{};
  std::optional<std::uint64_t> source_bytes{};    // when known
  std::function<void(std::uint64_t)> progress{};  // bytes sent so far

  /// For a download or events: takes the body of a 2xx answer piece by piece; false ends it. With a
  /// `source` too the answer is taken while the request is sent.
  std::function<bool(std::string_view)> sink{};
};

struct ClientResponse {
  int status = 0;
  std::string type, etag, request_id;
  std::vector<std::pair<std::string, std::string>> trailer;  // what came behind a chunked body
  std::string body;  // empty where a sink took it; wiped when destroyed

  bool good() const { return status >= 200 && status < 300; }
  ClientResponse() = default;
  ClientResponse(ClientResponse&&) = default;
  ClientResponse& operator=(ClientResponse&&) = default;
  ~ClientResponse() { wipe(body); }
};

/// Not safe to use from several threads at once.
class Client {
 public:
  /// Errors: invalid (a URL that is not https, or a CA file that is not PEM).
  static Result<Client> make(ClientOptions options);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// Any status is an answer. Never sends a request twice: after an error in between, an
  /// idempotency key tells whether it was done.
  /// Errors: unavailable (no connection, cut off, too slow), unauthenticated (the server's
  /// certificate is not trusted or names another host), corrupt (not HTTP), too_large, invalid (a
  /// control character in a header), or what `source` gave.
  Result<ClientResponse> send(const ClientRequest& request);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Splits a text/event-stream (WHATWG HTML section 9.2) into events, as a sink for send().
class EventLines {
 public:
  struct Event {
    std::string event = "message", id, data;
  };
  explicit EventLines(std::function<bool(const Event&)> on_event)
      : on_event_(std::move(on_event)) {}
  /// False when the callback wants no more, or a line is over 1 MiB.
  bool operator()(std::string_view bytes);

 private:
  bool line(std::string_view text);

  std::function<bool(const Event&)> on_event_;
  std::string rest_;
  Event event_;
  bool has_data_ = false;
};

/// Percent-encodes all but unreserved characters (RFC 3986): one segment, name or value.
std::string percent_encoded(std::string_view text);

}  // namespace holdfast::http
