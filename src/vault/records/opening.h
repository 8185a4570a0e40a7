// Sealed values opened for a purpose: revealed, compared.
//
// The record of an opening is durable before the plaintext leaves: what cannot be recorded is not
// shown. A value past its keep time is gone for everyone, swept or not.
#pragma once

#include <map>

#include "vault/context.h"
#include "vault/records/messages.h"

namespace holdfast::vault {

/// What was opened for one request, not yet recorded.
struct Opened {
  std::vector<OpenedRecord> records;
  std::vector<RecordId> missing;
  journal::Event event;
  bool any = false;  // at least one value or mask to show
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
  explicit Opening(Context context) : context_(context) {}

  /// Cost: one read, about 4 µs a field, one share of a group commit.
  Task<Result<RevealedRecord>> reveal(Caller caller, RevealRecord request);
  /// Gives way to other requests every 64 records.
  Task<Result<RevealedRecords>> reveal_batch(Caller caller, RevealRecords request);
  /// 5 wrong values per customer, field and day over all callers, then exhausted.
  Task<Result<Verified>> verify(Caller caller, VerifyValue request);

  /// For other rooms (tokens, search): opens, but does not record. Commit `event` before showing
  /// anything.
  Task<Result<Opened>> open(const Working& work, const Caller& caller, std::string_view operation,
                            std::vector<OpenItem> items, std::string purpose);
  /// The caller with its person set, after the purpose was found to be declared. A refusal is
  /// recorded; `operation` is a literal.
  Task<Result<Caller>> prepare(const Working& work, Caller caller, std::string_view operation,
                               std::string_view purpose,
                               const std::optional<std::string>& on_behalf_of);
  /// Records that nothing was shown, and says so.
  Task<Error> refused(Caller caller, journal::Event event, Error error);
  /// Under self_service the one customer whose data may be opened (nobody's id when the call is
  /// for no customer); nullopt for other purposes.
  Task<Result<std::optional<SubjectId>>> own_subject(const Working& work, const Caller& caller,
                                                     std::string_view purpose);

 private:
  Result<OpenedRecord> open_one(const Working& work, const Caller& caller,
                                std::string_view operation, const Openable& openable,
                                const std::vector<std::string>& wanted, std::string_view purpose,
                                bool allowed, bool& cleared);

  Context context_;
};

std::span<const db::Sql* const> record_statements();

}  // namespace holdfast::vault
