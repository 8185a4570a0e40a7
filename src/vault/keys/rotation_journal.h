// The journal's keys as rotations see them, and rows that a new digest key only tells anew.
#pragma once

#include <set>

#include "journal/log.h"
#include "journal/state_check.h"
#include "vault/rotations.h"

namespace holdfast::vault {

/// Sealed addresses, user agents and notes.
class SideRows final : public KeyedRows {
 public:
  explicit SideRows(journal::Log& log) : log_(log) {}
  std::string_view name() const override { return "sides"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  journal::Log& log_;
};

/// The key that signs checkpoints, and the one of the afterlog: each is one thing, not rows.
class LogKeys final : public KeyedRows {
 public:
  explicit LogKeys(journal::Log& log) : log_(log) {}
  std::string_view name() const override { return "log"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  journal::Log& log_;
};

/// Every row that events leave digests of, whatever room it is of. Nothing is written but events:
/// each tells a batch of rows with their digests under the new key and under the old one.
/// Memory: about 250 bytes a row while it runs.
class RestatedRows final : public KeyedRows {
 public:
  RestatedRows(journal::Log& log, std::vector<journal::StateSource*> sources)
      : log_(log), sources_(std::move(sources)) {}
  std::string_view name() const override { return "digests"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  Task<Result<void>> gather(MoveJob job);

  journal::Log& log_;
  std::vector<journal::StateSource*> sources_;
  std::set<std::string> kinds_;  // what the touches' kinds view into
  std::vector<journal::Touch> gathered_;
  std::optional<std::int64_t> as_of_;
};

}  // namespace holdfast::vault
