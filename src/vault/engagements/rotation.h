// Engagements and their kinds, moved from one key to another (vault/rotations.h).
#pragma once

#include "vault/context.h"
#include "vault/rotations.h"

namespace holdfast::vault {

/// MACs of engagements (authority), and what is sealed in them under the customer's key (subject,
/// and epoch where a keep group got a further key).
class EngagementRows final : public KeyedRows {
 public:
  explicit EngagementRows(Context context) : context_(context) {}
  std::string_view name() const override { return "engagements"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  struct Page;
  Task<Result<Page>> page(const MoveJob& job, Bytes after, std::int64_t limit);

  Context context_;
};

/// MACs of the shop's own kinds (authority).
class EngagementKindRows final : public KeyedRows {
 public:
  explicit EngagementKindRows(Context context) : context_(context) {}
  std::string_view name() const override { return "engagement_kinds"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  Context context_;
};

std::span<const db::Sql* const> engagement_rotation_statements();

}  // namespace holdfast::vault
