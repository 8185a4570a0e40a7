// The vault's own rows, moved from one key to another. Each is a KeyedRows (vault/rotations.h).
#pragma once

#include "vault/context.h"
#include "vault/rotations.h"

namespace holdfast::vault {

/// Wrapped subject keys, for the epoch. Dropping takes out those that are retired with it.
class WrappedKeys final : public KeyedRows {
 public:
  explicit WrappedKeys(Context context) : context_(context) {}
  std::string_view name() const override { return "subject_keys"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;
  Task<Result<std::int64_t>> total(MoveJob job) override;

 private:
  Context context_;
};

/// Further keys: for all customers (subject), or for keep groups that lost single values (epoch).
class RenewedKeys final : public KeyedRows {
 public:
  explicit RenewedKeys(Context context) : context_(context) {}
  std::string_view name() const override { return "new_keys"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;
  Task<Result<std::int64_t>> total(MoveJob job) override;

 private:
  Task<Result<MovedRows>> renew_lost(MoveJob job, Bytes after, std::int64_t limit);
  Task<Result<MovedRows>> renew_all(MoveJob job, Bytes after, std::int64_t limit);

  Context context_;
};

/// Sealed values of customers who have a newer key than their values, and the texts beside them
/// (rotation_rights.h): sealed again under it.
/// Cleaning marks the older keys as retired, dropping removes them (subject).
class SealedValues final : public KeyedRows {
 public:
  explicit SealedValues(Context context) : context_(context) {}
  std::string_view name() const override { return "values"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;
  Task<Result<std::int64_t>> total(MoveJob job) override;

 private:
  struct Page;
  Task<Result<Page>> page(Bytes after, std::int64_t limit);
  Task<Result<MovedRows>> reseal(MoveJob job, Page page);

  Context context_;
};

/// Terms of external ids.
class ExternalTerms final : public KeyedRows {
 public:
  explicit ExternalTerms(Context context) : context_(context) {}
  std::string_view name() const override { return "external_ids"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;
  Task<Result<std::int64_t>> total(MoveJob job) override;

 private:
  Context context_;
};

/// MACs of collections, purposes and switches.
class DeclaredRows final : public KeyedRows {
 public:
  explicit DeclaredRows(Context context) : context_(context) {}
  std::string_view name() const override { return "declarations"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  Context context_;
};

/// Subject keys under each epoch, those that are retired left out: exact, one scan in pages.
Task<Result<std::map<std::uint32_t, std::int64_t>>> keys_per_epoch(db::Reader& reader);

std::span<const db::Sql* const> rotation_statements();
std::span<const db::Sql* const> rotation_value_statements();

}  // namespace holdfast::vault
