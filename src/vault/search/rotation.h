// The terms and postings of indexes, moved from one index key to another (vault/rotations.h).
#pragma once

#include "vault/context.h"
#include "vault/rotations.h"
#include "vault/search/rebuild.h"

namespace holdfast::vault {

/// From the moment that a new key is active Rebuild declares a fresh index under it beside each old
/// one; writers write both, and the old one answers until the fresh one is whole. So moving is
/// building, a piece a batch, after which the values and the terms of exact and unique indexes are
/// read back: a record whose value does not open, or whose term is not there, is refused, and the
/// old key stays.
class IndexTerms final : public KeyedRows {
 public:
  IndexTerms(Context context, Rebuild& rebuild) : context_(context), rebuild_(rebuild) {}
  std::string_view name() const override { return "index_terms"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  /// Indexes that have terms under the old key, those that are about to go included.
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;
  Task<Result<std::int64_t>> total(MoveJob job) override;

 private:
  Task<Result<MovedRows>> build(MoveJob job);
  Task<Result<MovedRows>> read_back(MoveJob job, Bytes after, std::int64_t limit);

  Context context_;
  Rebuild& rebuild_;
};

std::span<const db::Sql* const> index_rotation_statements();

}  // namespace holdfast::vault
