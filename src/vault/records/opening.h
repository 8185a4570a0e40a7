// Sealed values opened for a purpose: revealed, compared.
//
// The record of an opening is durable before the plaintext leaves: what cannot be recorded is not
// shown. A value past its keep time is gone for everyone, swept or not. What the customer decided
// (standing.h) is read with the record and closes it for everyone.
#pragma once

#include <map>

#include "vault/admission.h"
#include "vault/records/messages.h"

namespace holdfast::vault {

/// What was opened for one request, not yet recorded: show nothing of it before record().
struct Opened {
  std::vector<OpenedRecord> records;
  std::vector<RecordId> missing;
  journal::Event event;
  Showing showing;
  bool any = false;  // at least one value or mask to show
  /// Why nothing may be shown whatever was asked for: a literal reason.
  std::string_view barred{};
};

/// Which fields of which record.
struct OpenItem {
  RecordId record;
  std::vector<std::string> fields;
};

/// Errors of all verbs: forbidden (nothing may be shown: recorded before it is returned),
/// invalid (unknown purpose or field), not_found, gone, stale, locked, corrupt, unavailable.
/// Threads: any io_context thread.
class Opening {
 public:
  Opening(Context context, Admission& admission) : context_(context), admission_(admission) {}

  /// Cost: one read, about 4 µs a field, one share of a group commit.
  Task<Result<RevealedRecord>> reveal(Caller caller, RevealRecord request);
  /// Gives way to other requests every 64 records.
  Task<Result<RevealedRecords>> reveal_batch(Caller caller, RevealRecords request);
  /// 5 wrong values per customer, field and day over all callers, then exhausted. Card numbers are
  /// compared for no person, nor are they searched for one.
  Task<Result<Verified>> verify(Caller caller, VerifyValue request);

  /// For other rooms: opens, but does not record. Hand what it gives to record() before showing
  /// anything; `engaged` is what engage() gave.
  Task<Result<Opened>> open(const Working& work, const Caller& caller, std::string_view operation,
                            std::vector<OpenItem> items, std::string purpose,
                            std::optional<Engaged> engaged = {});
  /// Admits and records: the commit holds the entry, the budgets' charges and what the engagement
  /// demands. Takes `event` and `showing` out of `opened`. Where nothing may be shown that is
  /// recorded, and `not_open` (or the reason) returned. Errors: those of Admission::record.
  Task<Result<EventId>> record(const Working& work, const Caller& caller, Opened& opened,
                               Error not_open);
  /// The caller with its person set, after the purpose was found to be declared. A refusal is
  /// recorded; `operation` is a literal.
  Task<Result<Caller>> prepare(const Working& work, Caller caller, std::string_view operation,
                               std::string_view purpose,
                               const std::optional<std::string>& on_behalf_of);
  /// The engagement that the request names, if any. A refusal is recorded.
  Task<Result<std::optional<Engaged>>> engage(const Working& work, const Caller& caller,
                                              std::string_view operation, std::string purpose,
                                              std::optional<std::string> named);
  /// Records that nothing was shown, and says so.
  Task<Error> refused(Caller caller, journal::Event event, Error error);
  /// The same where a field did not open: whoever named an engagement that did not help is told
  /// that, and whoever named none where a grant demands one. `missing` is Permitted's.
  Task<Error> refused_under(Caller caller, journal::Event event, bool engaged,
                            std::string_view missing, Error error);
  /// What the caller may see of a field of a customer, as open() decides it; what record() has to
  /// know of it goes into `opened`. For values that lie in no record, whose caller asks
  /// closed_for() too. Under self_service `own` is whose they must be.
  Permitted permitted(const Caller& caller, const Collection& collection, const Field& field,
                      SubjectId subject, std::optional<SubjectId> own, Opened& opened) const;
  /// Under self_service the one customer whose data may be opened (nobody's id when the shop does
  /// not know them, or nobody is behind the call); nothing for other purposes.
  Task<Result<std::optional<SubjectId>>> own_only(const Working& work, const Caller& caller,
                                                  std::string_view purpose);

 private:
  Result<OpenedRecord> open_one(const Working& work, const Caller& caller, const Openable& openable,
                                const std::vector<std::string>& wanted, const Purpose& purpose,
                                bool allowed, Opened& opened);

  Context context_;
  Admission& admission_;
};

/// What a caller is told whom the customer's own decisions keep from everything.
Error closed_by_customer(std::string_view reason);

}  // namespace holdfast::vault
