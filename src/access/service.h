// Who is asking, and may they: the door that every request passes. Read types.h and policy.h
// first. What changes roles and keys is in admin.h.
// Lifetime: everything in Deps outlives the Service (see app/wiring).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "access/cache.h"
#include "access/strangers.h"
#include "http/gate.h"

namespace holdfast::access {

/// Since the start; for metrics. `tampered` counts authority rows that were found not to count.
struct Counts {
  std::uint64_t strangers = 0;  // bad keys; in the journal by prefix and minute
  std::uint64_t throttled = 0;  // of either, answered 429
  std::uint64_t tampered = 0;
  std::uint64_t last_uses_lost = 0;  // scratch did not take them
};

class Service final : public http::Gate {
 public:
  struct Deps {
    Cache& cache;
    journal::Journal& journal;
    const crypto::HeldKeys& keys;
    const Clock& clock;
  };

  explicit Service(Deps deps, Strangers::Limits limits = {}) : deps_(deps), strangers_(limits) {}

  /// Makes what scratch lacks. Once, before serving.
  Task<Result<void>> prepare();

  /// Finds the key's principal and rights. Unknown, mistyped, wrong, expired, revoked and misplaced
  /// keys get one answer. The first three cost the same work and are counted by prefix; the last
  /// three, where the secret was right, are recorded one by one. Past 20 bad keys a minute from one
  /// address (IPv6: /64) the answer is `exhausted`, only counted; a good key from there still
  /// works. Cost: one SHA-256; once a minute and key also a scratch write. Errors: unauthenticated,
  /// exhausted, locked, unavailable.
  Task<Result<Caller>> authenticate(http::Credentials credentials) override;

  /// Errors: forbidden, recorded before it is returned (or unavailable, when it cannot be).
  Task<Result<void>> allow(const Caller& caller, std::string_view operation) override;

  /// Puts a person behind the call. The key must have that right for that kind; whoever asks
  /// records a refusal with refuse().
  /// Errors: invalid, forbidden; both at `on_behalf_of`.
  Result<Caller> acting_for(Caller caller, std::string_view who) const;

  /// The same caller under the newest policy, to decide again after `stale`. The person behind the
  /// call stays, if the key may still name them.
  /// Errors: unauthenticated when the key has ended, locked, unavailable.
  Task<Result<Caller>> renewed(Caller caller);
  /// Whether the door would let this caller in for `operation` now: for streams, which outlast
  /// keys, before each piece that they give. What this process changed counts at once. Cost: two
  /// atomic reads; the database is asked as rarely as for requests.
  /// Errors: unauthenticated when the key has ended, forbidden, locked, unavailable.
  Task<Result<void>> still(Caller caller, std::string_view operation);

  /// Records a refusal and gives the Error to return: `error`, or why it could not be recorded.
  /// `operation` and `reason` are literals.
  Task<Error> refuse(Caller caller, std::string_view operation, std::string_view reason,
                     Error error);

  /// Turns what strangers did into events: minutes that are over, or all of it.
  Task<Result<void>> flush(bool all);
  /// Flushes and inspects (Cache::inspect) each minute until stop(), then flushes the rest.
  /// Ends within 200 ms of stop().
  Task<void> run();
  void stop() { stopping_.store(true); }

  Counts counts() const;

 private:
  Task<Error> turn_away(http::Credentials credentials, const Principal* known,
                        std::string_view reason);
  Task<void> note_use(std::shared_ptr<const Snapshot> snapshot, const Principal* principal);

  const Deps deps_;
  Strangers strangers_;
  std::atomic<std::uint64_t> strange_ = 0, throttled_ = 0, last_uses_lost_ = 0;
  std::atomic<bool> stopping_ = false;
};

}  // namespace holdfast::access
