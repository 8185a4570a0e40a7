// Records: made, shown masked, changed and taken away.
// Read types.h and sealing.h first. Lifetime: everything in Context outlives the service.
#pragma once

#include "vault/context.h"
#include "vault/records/messages.h"

namespace holdfast::vault {

/// Errors of all verbs: not_found, invalid (values, ids, cursors; the field is named), forbidden,
/// conflict (version, slot, unique value, idempotency key), stale, locked, corrupt, unavailable.
/// Threads: any io_context thread.
class Records {
 public:
  Records(Context context, Holds& holds) : context_(context), holds_(holds) {}

  /// One record or up to 1,000, with the customers that do not exist yet. All or none.
  /// Cost: about 5 µs a value, one share of a group commit.
  Task<Result<CreatedRecords>> create(Caller caller, CreateRecords request);
  /// Masked values. Recorded as a look, not as an opening.
  Task<Result<MaskedRecord>> get(Caller caller, RecordRequest request);
  /// A page of masked records, oldest first. One entry for the page.
  Task<Result<RecordPage>> list(Caller caller, ListRecords request);
  /// Replaces or takes out the named values; the rest stays sealed as it is.
  Task<Result<MaskedRecord>> update(Caller caller, UpdateRecord request);
  /// Takes the record away with its index terms and tokens. Errors: conflict under a legal hold,
  /// gone of an erased customer.
  Task<Result<DeletedRows>> remove(Caller caller, DeleteRecord request);

 private:
  Context context_;
  Holds& holds_;
};

/// Masks of all fields of a record that the caller may see so; adds the names of others to
/// `hidden`. Values that are past their keep time or erased are left out. Of a customer whose data
/// is restricted, or whose rest only a duty holds, nothing is shown.
Result<MaskedRecord> mask_record(const Context& context, const Working& work, const Caller& caller,
                                 std::string_view operation, const Openable& openable);

}  // namespace holdfast::vault
