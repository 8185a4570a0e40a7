// Legal holds and journal time, moved from one key to another (vault/rotations.h).
#pragma once

#include "journal/journal_time.h"
#include "vault/context.h"
#include "vault/rotations.h"

namespace holdfast::vault {

/// MACs of holds (authority), and their reasons (side). Each row that moves gets another version,
/// so that a hold that is lifted meanwhile is moved again and keeps a MAC that fits.
class HoldRows final : public KeyedRows {
 public:
  explicit HoldRows(Context context) : context_(context) {}
  std::string_view name() const override { return "holds"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  Context context_;
};

/// Journal time's one row.
class TimeRow final : public KeyedRows {
 public:
  explicit TimeRow(journal::JournalTime& time) : time_(time) {}
  std::string_view name() const override { return "journal_time"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  journal::JournalTime& time_;
};

std::span<const db::Sql* const> hold_row_statements();

}  // namespace holdfast::vault
