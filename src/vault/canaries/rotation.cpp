#include "vault/canaries/rotation.h"

#include "crypto/aead.h"
#include "vault/canary.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kMoveCanary{
    "vault.move_canary", "update vault_canaries set sealed = $3 where mark = $1 and sealed = $2"};

bool under_active(const crypto::KeySet& keys, BytesView sealed) {
  return crypto::sealed_key_id(sealed) == keys.ring.active_id(crypto::KeyUse::authority);
}

}  // namespace

bool CanaryRows::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::authority && pass == Pass::move;
}

Task<Result<MovedRows>> CanaryRows::move(MoveJob job, Pass, Bytes, std::int64_t) {
  auto rows = co_await context_.journal.reader().read(kListCanaries, {});
  if (!rows) co_return std::move(rows).error();
  MovedRows out{.looked = static_cast<std::int64_t>(rows->size()), .last = true};
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto row = (*rows)[i];
    if (under_active(*job.keys, row.bytes(1))) continue;
    auto canary = open_canary(*job.keys, row.bytes(0), row.bytes(1));
    if (!canary) {
      out.refused.push_back("canaries " + hex(row.bytes(0)));
      continue;
    }
    auto sealed = seal_canary(*job.keys, row.bytes(0), *canary);
    out.touches.push_back({.kind = "canaries",
                           .row = to_bytes(row.bytes(0)),
                           .left = canary_digest(*job.keys, row.bytes(0), sealed),
                           .was = canary_digest(*job.keys, row.bytes(0), row.bytes(1))});
    out.changes.write(kMoveCanary,
                      {to_bytes(row.bytes(0)), to_bytes(row.bytes(1)), std::move(sealed)},
                      db::Expect::exactly(1));
    ++out.moved;
  }
  co_return out;
}

Task<Result<std::int64_t>> CanaryRows::left(MoveJob job, Pass) {
  auto rows = co_await context_.journal.reader().read(kListCanaries, {});
  if (!rows) co_return std::move(rows).error();
  std::int64_t out = 0;
  for (std::size_t i = 0; i < rows->size(); ++i)
    out += !under_active(*job.keys, (*rows)[i].bytes(1));
  co_return out;
}

std::span<const db::Sql* const> canary_rotation_statements() {
  static constexpr const db::Sql* kAll[] = {&kMoveCanary};
  return kAll;
}

}  // namespace holdfast::vault
