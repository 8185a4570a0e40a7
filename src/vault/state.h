// The vault's rows as `journal verify --state` compares them with what events left behind.
#pragma once

#include "journal/state_check.h"
#include "vault/context.h"

namespace holdfast::vault {

/// Records, customers, keys of erased ones, tokens, decisions, requests, rotations, collections,
/// purposes and switches. Reads in pages of 1,000; gives way between them. While the digest key is
/// rotated each row is told under each of the keys. Errors: locked, unavailable.
class VaultState final : public journal::StateSource {
 public:
  explicit VaultState(Context context) : context_(context) {}
  Task<Result<void>> rows(Report report) override;
  /// With the digests that `keys` make.
  Task<Result<void>> rows_under(std::shared_ptr<const crypto::KeySet> keys, Report report) override;
  /// Opens one value of each keep group of each record, each customer's external id and each text
  /// of a request. Cost: about 8 µs a record.
  Task<Result<void>> closed(Closed report) override;

 private:
  /// Wrapped keys of erased customers, which erasing deletes.
  Task<Result<void>> keys_put_back(const Report& report);
  Task<Result<void>> closed_records(const Closed& report);
  Task<Result<void>> closed_subjects(const Closed& report);
  Task<Result<void>> closed_requests(const Closed& report);

  Context context_;
};

std::span<const db::Sql* const> state_statements();

}  // namespace holdfast::vault
