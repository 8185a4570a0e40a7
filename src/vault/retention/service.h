// Retention: what goes when, what is held back, and what has gone.
// Lifetime: everything in Deps outlives the Retention (see app/wiring).
#pragma once

#include <atomic>

#include "http/route.h"
#include "journal/journal_time.h"
#include "journal/log.h"
#include "vault/context.h"
#include "vault/retention/holds.h"
#include "vault/retention/messages.h"
#include "vault/retention/sweep.h"

namespace holdfast::vault {

/// Errors: invalid, not_found, conflict, exhausted, locked, corrupt, stale, unavailable.
/// Threads: any io_context thread.
class Retention {
 public:
  struct Deps {
    Context context;
    journal::Log& log;
    journal::JournalTime& time;
    LegalHolds& holds;
    Closings& closings;
    Sweep& sweep;
  };
  explicit Retention(Deps deps) : deps_(std::move(deps)) {}

  /// Counts what is due within some days of journal time. One at a time; recorded.
  /// Cost: about 5 µs a record, in slices. Errors: exhausted (one is running).
  Task<Result<RetentionPreview>> preview(Caller caller, PreviewRetention request);
  /// On a customer or a collection. Noted outside the database before it counts.
  Task<Result<HoldView>> hold(Caller caller, PlaceHold request);
  Task<Result<HoldView>> unhold(Caller caller, LiftHold request);
  /// With their reasons, which are opened for it: recorded.
  Task<Result<HoldList>> holds(Caller caller, ListHolds request);
  /// What the sweep took away, from the journal's events. Recorded.
  Task<Result<RetentionReport>> report(Caller caller, ReportRetention request);
  Task<Result<RetentionStatus>> status(Caller caller, NoRetentionArguments request);
  /// Closes a gap in journal time: see journal/journal_time.h.
  Task<Result<ConfirmedTime>> confirm(Caller caller, ConfirmTime request);

 private:
  Task<Result<RetentionPreview>> count_due(Caller caller, Working work, Millis ahead);
  Task<Result<HoldView>> placed_before(const Working& work, std::string_view id, MonoTime deadline);
  Task<Result<HoldView>> shown(const Working& work, const Hold& hold);

  Deps deps_;
  std::atomic<bool> previewing_ = false;
};

/// nullptr only to be described.
std::vector<http::Route> retention_routes(Retention* retention);

}  // namespace holdfast::vault
