// What customers ask for under GDPR art. 15 to 21: received, identity checked, due in one calendar
// month (art. 12(3)), answered. What was done for it is the other rooms'; a request links to it.
#pragma once

#include <atomic>

#include "http/route.h"
#include "vault/admission.h"
#include "vault/context.h"
#include "vault/requests/messages.h"
#include "vault/retention/holds.h"

namespace holdfast::vault {

/// Errors: invalid, not_found, forbidden (for another customer; recorded), conflict (answered
/// before, a version, identity not checked), stale, locked, corrupt, unavailable.
/// Threads: any io_context thread.
class Requests final : public Remains {
 public:
  Requests(Context context, Admission& admission, Proofs& proofs, LegalHolds& holds)
      : context_(context), admission_(admission), proofs_(proofs), holds_(holds) {}

  Task<Result<RequestView>> open(Caller caller, OpenRequest request);
  /// Without texts. Of all that are open, or of one customer.
  Task<Result<RequestPage>> list(Caller caller, ListRequests request);
  /// With texts: an opening, counted and recorded as one. Errors: also exhausted.
  Task<Result<RequestView>> get(Caller caller, GetRequest request);
  Task<Result<RequestView>> update(Caller caller, UpdateRequest request);
  /// A refusal needs a text; anything else a checked identity. The event must be of this customer.
  Task<Result<RequestView>> answer(Caller caller, AnswerRequest request);

  /// Records each request that became overdue, once, and counts those that are.
  Task<Result<void>> look();
  /// Looks each minute until `stop`. What fails comes again with the next minute.
  Task<void> watch(const std::atomic<bool>& stop);
  std::string_view what() const override { return "requests"; }
  /// Those answered three years before `now`, and the keys of customers of whom none is left. Those
  /// of held customers stay, under any of their names, and of who has a record in a held
  /// collection.
  Task<Result<std::int64_t>> forget(Time now, std::int64_t most) override;
  /// As of the last look. Threads: any.
  std::int64_t overdue() const { return overdue_.load(std::memory_order_relaxed); }

 private:
  Task<Result<Demand>> find(DemandId id, MonoTime deadline);
  Task<Result<RequestView>> put(Caller caller, Demand demand, journal::Event event);
  Task<Result<Bytes>> sealed(const Demand& demand, std::uint16_t field, const Secret& text,
                             db::Changes& changes, MonoTime deadline);
  Task<Result<std::int64_t>> count_overdue(Time now, MonoTime deadline);
  Task<Result<bool>> is_of(EventId event, SubjectId subject, MonoTime deadline);

  Context context_;
  Admission& admission_;
  Proofs& proofs_;
  LegalHolds& holds_;
  std::atomic<std::int64_t> overdue_{0};
};

/// nullptr only to be described.
std::vector<http::Route> request_routes(Requests* requests);
std::span<const db::Sql* const> request_statements();

}  // namespace holdfast::vault
