#include "vault/keys/rotation_journal.h"

#include <algorithm>
#include <unordered_map>

#include "journal/rekey.h"

namespace holdfast::vault {
namespace {

Bytes cursor_of(const journal::Touch& touch) {
  Bytes out;
  put_part(out, touch.kind);
  put_part(out, touch.row);
  return out;
}

}  // namespace

// ── the side table

bool SideRows::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::side && pass == Pass::move;
}

Task<Result<MovedRows>> SideRows::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  auto sides = co_await journal::move_sides(log_.reader(), job.keys->ring, std::move(after), limit);
  if (!sides) co_return std::move(sides).error();
  MovedRows out{.changes = std::move(sides->changes),
                .after = std::move(sides->after),
                .looked = sides->looked,
                .moved = sides->moved,
                .last = sides->last};
  for (const auto& commitment : sides->refused) out.refused.push_back("sides " + hex(commitment));
  co_return out;
}

Task<Result<std::int64_t>> SideRows::left(MoveJob job, Pass) {
  auto counts = co_await journal::count_sides(log_.reader());
  if (!counts) co_return std::move(counts).error();
  std::int64_t out = 0;
  for (const auto& [key, rows] : *counts)
    if (key != job.to) out += rows;
  co_return out;
}

// ── the log's own keys

bool LogKeys::takes_part(KeyKind kind, Pass pass) const {
  return pass == Pass::move && (kind == KeyKind::journal || kind == KeyKind::afterlog);
}

Task<Result<MovedRows>> LogKeys::move(MoveJob job, Pass, Bytes, std::int64_t) {
  auto done = job.kind == KeyKind::journal ? co_await log_.roll_signer(Caller{})
                                           : co_await log_.rekey_afterlog();
  if (!done) co_return std::move(done).error();
  co_return MovedRows{.looked = 1, .moved = *done, .last = true};
}

/// Both are all of one key or the other, which doing it again tells.
Task<Result<std::int64_t>> LogKeys::left(MoveJob job, Pass) {
  auto again = job.kind == KeyKind::journal ? co_await log_.roll_signer(Caller{})
                                            : co_await log_.rekey_afterlog();
  if (!again) co_return std::move(again).error();
  co_return 0;
}

// ── digests

bool RestatedRows::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::digest && pass == Pass::move;
}

Task<Result<void>> RestatedRows::gather(MoveJob job) {
  gathered_.clear();
  as_of_.reset();
  // Everything that was committed under the old key has its number below this.
  if (auto done = co_await log_.sequence(); !done) co_return std::move(done).error();
  const auto as_of = log_.size();
  const auto before = job.keys->with_digest(job.from);
  if (!before) co_return Error(Code::corrupt, "the old digest key is not in the keyring");
  std::unordered_map<std::string, std::size_t> places;
  auto name_of = [](std::string_view kind, BytesView row) {
    return std::string(kind) + '\0' + std::string(as_text(row));
  };
  auto take_new = [&](std::string_view kind, BytesView row, const crypto::Digest& now) {
    if (!places.emplace(name_of(kind, row), gathered_.size()).second) return;
    gathered_.push_back({.kind = *kinds_.emplace(kind).first, .row = to_bytes(row), .left = now});
  };
  auto take_old = [&](std::string_view kind, BytesView row, const crypto::Digest& then) {
    if (auto at = places.find(name_of(kind, row)); at != places.end())
      gathered_[at->second].was = then;
  };
  for (auto* source : sources_) {
    if (auto told = co_await source->rows_under(job.keys, take_new); !told) co_return told;
    if (auto told = co_await source->rows_under(before, take_old); !told) co_return told;
  }
  // A row that went between the two readings was touched since.
  std::erase_if(gathered_, [](const journal::Touch& touch) { return !touch.was; });
  std::ranges::sort(gathered_, {}, cursor_of);
  as_of_ = as_of;
  co_return Result<void>();
}

/// The cursor is the kind and key of the last row told. After a restart rows are gathered anew, and
/// those up to it are left out: whatever touched them since did so under the new key.
Task<Result<MovedRows>> RestatedRows::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  if (!as_of_ || after.empty())
    if (auto done = co_await gather(std::move(job)); !done) co_return std::move(done).error();
  auto at = std::ranges::upper_bound(gathered_, after, {}, cursor_of);
  MovedRows out{.after = std::move(after), .as_of = as_of_};
  for (; at != gathered_.end() && out.looked < limit; ++at, ++out.looked)
    out.touches.push_back(*at);
  out.moved = out.looked;
  if (!out.touches.empty()) out.after = cursor_of(out.touches.back());
  out.last = at == gathered_.end();
  if (out.last) {
    gathered_.clear();
    as_of_.reset();
  }
  co_return out;
}

Task<Result<std::int64_t>> RestatedRows::left(MoveJob, Pass) {
  co_return 0;
}

}  // namespace holdfast::vault
