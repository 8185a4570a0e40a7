// Fill: tokens in a stream of text are replaced by the values that they stand for, for one purpose:
// labels, letters, accounting. What may not be shown stays as it stands, and is listed.
#pragma once

#include <deque>
#include <mutex>

#include "http/route.h"
#include "vault/context.h"
#include "vault/fill/pieces.h"
#include "vault/records/opening.h"

namespace holdfast::vault {

struct FillStream {
  std::string purpose;
  std::optional<FillFormat> format;
  std::optional<std::string> on_behalf_of;
  std::optional<std::string> engagement;
  static std::span<const Member> described();
};
struct FillRequest {
  FillId fill;
  static std::span<const Member> described();
};
struct FillRefusal {
  std::string token;
  std::int64_t line = 0;
  std::string reason;
  static std::span<const Member> described();
};
struct FillReason {
  std::string reason;
  std::int64_t count = 0;
  static std::span<const Member> described();
};
enum class FillState : std::uint8_t { running, done, failed };
std::span<const std::string_view> enum_names(FillState);

struct FillReport {
  FillId fill;
  FillState state = FillState::running;
  FillFormat format = FillFormat::csv;
  std::int64_t bytes_in = 0;
  std::int64_t bytes_out = 0;
  std::int64_t filled = 0;
  std::int64_t refused = 0;
  std::vector<FillReason> reasons;
  std::vector<FillRefusal> refusals;
  std::string failure;
  static std::span<const Member> described();
};

/// Threads: any io_context thread.
class Fills {
 public:
  Fills(Context context, Opening& opening, TokenTargets& tokens)
      : context_(context), opening_(opening), tokens_(tokens) {}

  /// Answers with the same text while it reads it, window by window: the values of a window are
  /// opened and recorded as one event, durable before its bytes leave. The trailer says what was
  /// refused; an error behind the first bytes leaves the body without its end.
  ///
  /// Memory: a window (at most about 1,000 tokens and their values, or 256 KiB) and one unit of the
  /// format (64 KiB), whatever the length. Cost: that of the format, and per token that of
  /// Opening::open. Errors: invalid (purpose, format, broken text), forbidden (also: an
  /// engagement), unauthenticated (the key ended meanwhile), unavailable, corrupt, locked, and
  /// those of the body.
  Task<Result<void>> fill(Caller caller, FillStream request, http::BodyReader& body,
                          http::BodyWriter& out);
  /// The report of one of the caller's own fills: the last 100 of this process.
  Task<Result<FillReport>> get(Caller caller, FillRequest request);

 private:
  friend class FillRun;
  struct Kept {
    std::string principal;
    FillReport report;
  };
  void publish(const std::string& principal, const FillReport& report);

  Context context_;
  Opening& opening_;
  TokenTargets& tokens_;
  std::mutex mutex_;
  std::deque<Kept> reports_;
};

/// nullptr only to be described.
std::vector<http::Route> fill_routes(Fills* fills);

}  // namespace holdfast::vault
