// Bytes into one HTTP/1 request (RFC 9112), strictly: what two programs could read differently is
// refused. Beast's parser does the grammar of the head; this adds what it lets through.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "http/chunks.h"
#include "http/limits.h"
#include "http/problem.h"

namespace holdfast::http {

/// The fields that the server looks at; all others are checked for form and dropped.
struct RequestHead {
  std::string method, target, host;
  std::string authorization, content_type, user_agent, idempotency_key, if_match, traceparent;
  std::string forwarded_for;  // the last X-Forwarded-For
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool expect_continue = false;
  bool keep_alive = false;
  bool http11 = false;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

/// Lifetime: the views handed out point into the bytes handed in.
class RequestParser {
 public:
  explicit RequestParser(const ServerLimits& limits) : limits_(limits) {}
  ~RequestParser();

  /// Forgets the last request, wiping what it held.
  void reset();

  /// `bytes` is all that has arrived of this request. Gives how many of them the header took, or 0
  /// when it is not complete yet.
  std::expected<std::size_t, Fault> parse_head(std::string_view bytes);

  /// One step into the body, as ChunkReader::step. nullopt: malformed.
  std::optional<BodyStep> parse_body(std::string_view bytes);

  const RequestHead& head() const { return head_; }
  /// The whole request was read.
  bool done() const { return head_done_ && (head_.chunked ? chunks_.done() : left_ == 0); }

 private:
  class Head;

  const ServerLimits& limits_;
  RequestHead head_;
  ChunkReader chunks_;
  std::uint64_t left_ = 0;  // of a body of known length
  bool head_done_ = false, broken_ = false;
};

}  // namespace holdfast::http
