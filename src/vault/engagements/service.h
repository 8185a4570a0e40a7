// Engagements: opened for one customer and one reference of the shop's, closed by hand or by
// themselves. What they allow is decided where values are opened (vault/admission.h).
#pragma once

#include "http/route.h"
#include "vault/admission.h"
#include "vault/context.h"
#include "vault/engagements/messages.h"
#include "vault/ports.h"

namespace holdfast::vault {

/// Errors of all verbs: invalid, not_found, gone (the customer was erased), conflict, forbidden,
/// stale, locked, corrupt (a row that Holdfast did not write), unavailable.
/// Threads: any io_context thread.
class Engagements final : public Follows {
 public:
  Engagements(Context context, Admission& admission) : context_(context), admission_(admission) {}

  /// One reference of a kind is open once. Counts against the opener's budgets.
  /// Errors besides: exhausted (a budget), conflict (the reference is open).
  Task<Result<EngagementView>> open(Caller caller, OpenEngagement request);
  /// Closing what is closed changes nothing.
  Task<Result<EngagementView>> close(Caller caller, CloseEngagement request);
  Task<Result<EngagementPage>> list(Caller caller, ListEngagements request);
  /// By the shop's reference, which stays out of paths and logs.
  Task<Result<EngagementPage>> find(Caller caller, FindEngagements request);

  /// Declares a kind or changes it; holds on every core before the reply, also for what is open.
  Task<Result<EngagementKind>> put_kind(Caller caller, EngagementKind kind);
  Task<Result<KindList>> list_kinds(Caller caller, ListKinds request);
  /// A built-in kind of that name stands again; under others nothing opens any more.
  Task<Result<DeletedKind>> delete_kind(Caller caller, KindRef request);

  /// Closes what is past its deadline; gives how many. Rows that do not authenticate stay as they
  /// are. The retention sweep forgets what was closed long ago.
  Task<Result<std::int64_t>> sweep(MonoTime deadline);

  Task<Result<void>> follow(const Working& work, SubjectKeys& from, SubjectKeys& into,
                            db::Changes& changes, journal::Event& event,
                            MonoTime deadline) override;

 private:
  Task<Result<EngagementPage>> shown(Working work, Caller caller, std::vector<Engagement> rows);
  Result<EngagementView> view(const Working& work, const Engagement& one, SubjectKeys& keys) const;

  Context context_;
  Admission& admission_;
};

/// nullptr only to be described.
std::vector<http::Route> engagement_routes(Engagements* engagements);
std::span<const db::Sql* const> engagement_statements();

}  // namespace holdfast::vault
