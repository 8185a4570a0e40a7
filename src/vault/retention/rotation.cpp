#include "vault/retention/rotation.h"

#include "crypto/aead.h"
#include "vault/retention/hold_row.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kMoveHold{
    "vault.move_hold",
    "update vault_holds set sealed = $3, version = $4, mac_key = $5, mac = $6 "
    "where id = $1 and version = $2"};

constexpr std::int64_t kCountPage = 1'000;

/// Whether the row is under the active key of that kind.
bool under_active(const MoveJob& job, const db::Rows::Row& row) {
  if (job.kind == KeyKind::authority)
    return row.integer(10) == std::int64_t{job.keys->ring.active_id(crypto::KeyUse::authority)};
  return crypto::sealed_key_id(row.bytes(8)) == job.keys->ring.active_id(crypto::KeyUse::side);
}

std::string name_of(const db::Rows::Row& row) {
  auto id = HoldId::from(row.bytes(0));
  return id ? id->text() : hex(row.bytes(0));
}

}  // namespace

bool HoldRows::takes_part(KeyKind kind, Pass pass) const {
  return pass == Pass::move && (kind == KeyKind::authority || kind == KeyKind::side);
}

Task<Result<MovedRows>> HoldRows::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  auto rows = co_await context_.journal.reader().read(kAllHolds, {after, limit});
  if (!rows) co_return std::move(rows).error();
  MovedRows out{.after = std::move(after),
                .looked = static_cast<std::int64_t>(rows->size()),
                .last = rows->size() < static_cast<std::size_t>(limit)};
  const auto key = std::int64_t{job.keys->ring.active_id(crypto::KeyUse::authority)};
  std::vector<db::Args> puts;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    out.after = to_bytes(row.bytes(0));
    if (under_active(job, row)) continue;
    auto hold = authentic_hold(*job.keys, row);
    if (!hold) {
      out.refused.push_back("holds " + name_of(row));
      continue;
    }
    const auto was = hold_digest(*job.keys, *hold);
    const auto before = hold->version++;
    if (job.kind == KeyKind::side) {
      auto reason = open_reason(*job.keys, *hold);
      if (!reason) {
        out.refused.push_back("holds " + name_of(row));
        continue;
      }
      hold->sealed = seal_reason(*job.keys, hold->id, reason->expose_text());
    }
    out.touches.push_back({hold->subject, "holds", out.after, hold_digest(*job.keys, *hold), was});
    puts.push_back(
        {out.after, before, hold->sealed, hold->version, key, hold_mac(*job.keys, key, *hold)});
  }
  out.moved = std::ssize(puts);
  out.changes.bulk(kMoveHold, std::move(puts), db::Expect::exactly(out.moved));
  co_return out;
}

Task<Result<std::int64_t>> HoldRows::left(MoveJob job, Pass) {
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto rows = co_await context_.journal.reader().read(kAllHolds, {after, kCountPage});
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i) out += !under_active(job, (*rows)[i]);
    if (rows->size() < static_cast<std::size_t>(kCountPage)) co_return out;
    after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  }
}

bool TimeRow::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::authority && pass == Pass::move;
}

/// Written down again it is under the active key.
Task<Result<MovedRows>> TimeRow::move(MoveJob, Pass, Bytes, std::int64_t) {
  auto done = co_await time_.save();
  if (!done) co_return std::move(done).error();
  co_return MovedRows{.looked = 1, .moved = 1, .last = true};
}

Task<Result<std::int64_t>> TimeRow::left(MoveJob, Pass) {
  auto done = co_await time_.save();
  if (!done) co_return std::move(done).error();
  co_return 0;
}

std::span<const db::Sql* const> hold_row_statements() {
  static constexpr const db::Sql* kAll[] = {&kMoveHold};
  return kAll;
}

}  // namespace holdfast::vault
