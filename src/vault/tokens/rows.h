// Tokens as rotations see them.
#pragma once

#include <vector>

#include "vault/context.h"
#include "vault/rotations.h"
#include "vault/token_row.h"

namespace holdfast::vault {

/// Rows of vault_tokens: their MACs (digest), their texts sealed under customers' keys (subject,
/// and the epoch where it renews groups), and what texts and equal values are found by (token).
/// While the token key is rotated rows are found under each of its keys, so nothing has to be
/// switched. A row whose record has another value by then is found by no value any more.
class TokenRows final : public KeyedRows {
 public:
  explicit TokenRows(Context context) : context_(context) {}
  std::string_view name() const override { return "tokens"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;
  Task<Result<std::int64_t>> total(MoveJob job) override;

 private:
  struct Page;
  Task<Result<Page>> page(const MoveJob& job, Bytes after, std::int64_t limit);

  Context context_;
};

std::span<const db::Sql* const> token_row_statements();

}  // namespace holdfast::vault
