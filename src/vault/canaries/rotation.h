// What is sealed of canaries, moved from one authority key to another (vault/rotations.h).
#pragma once

#include "vault/context.h"
#include "vault/rotations.h"

namespace holdfast::vault {

class CanaryRows final : public KeyedRows {
 public:
  explicit CanaryRows(Context context) : context_(context) {}
  std::string_view name() const override { return "canaries"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  Context context_;
};

std::span<const db::Sql* const> canary_rotation_statements();

}  // namespace holdfast::vault
