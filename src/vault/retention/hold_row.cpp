#include "vault/retention/hold_row.h"

#include "crypto/aead.h"
#include "crypto/hash.h"

namespace holdfast::vault {
namespace {

/// All of the row but its MAC.
Bytes content(const Hold& hold) {
  Bytes out;
  put_part(out, std::string_view("holdfast hold"));
  put_part(out, hold.id.bytes());
  put_part(out, hold.subject ? BytesView(hold.subject->bytes()) : BytesView());
  put_u64(out, hold.collection ? std::uint64_t{*hold.collection} + 1 : 0);
  put_part(out, hold.placed_by);
  put_u64(out, static_cast<std::uint64_t>(to_ms(hold.placed)));
  for (const auto& time : {hold.until, hold.released}) {
    put_u8(out, time ? 1 : 0);
    put_u64(out, time ? static_cast<std::uint64_t>(to_ms(*time)) : 0);
  }
  put_part(out, hold.released_by);
  put_part(out, hold.sealed);
  put_u64(out, static_cast<std::uint64_t>(hold.version));
  return out;
}

Bytes reason_binding(HoldId id) {
  Bytes out;
  put_part(out, std::string_view("holdfast hold reason"));
  put_part(out, id.bytes());
  return out;
}

}  // namespace

std::optional<Hold> hold_from(const db::Rows::Row& row) {
  auto id = HoldId::from(row.bytes(0));
  if (!id) return std::nullopt;
  Hold out{.id = *id,
           .subject = {},
           .collection = {},
           .placed_by = std::string(row.text(3)),
           .placed = from_ms(row.integer(4)),
           .until = {},
           .released_by = std::string(row.text(6)),
           .released = {},
           .sealed = to_bytes(row.bytes(8)),
           .version = row.integer(9)};
  if (!row.null(1)) {
    out.subject = SubjectId::from(row.bytes(1));
    if (!out.subject) return std::nullopt;
  }
  if (!row.null(2)) out.collection = static_cast<std::uint32_t>(row.integer(2));
  if (!row.null(5)) out.until = from_ms(row.integer(5));
  if (!row.null(7)) out.released = from_ms(row.integer(7));
  return out;
}

std::optional<Hold> authentic_hold(const crypto::KeySet& keys, const db::Rows::Row& row) {
  auto hold = hold_from(row);
  if (!hold) return std::nullopt;
  auto mac = hold_mac(keys, row.integer(10), *hold);
  if (mac.empty() || !equal_constant_time(mac, row.bytes(11))) return std::nullopt;
  return hold;
}

std::optional<Hold> hold_as_it_is(const crypto::KeySet& keys, const db::Rows::Row& row) {
  if (auto hold = authentic_hold(keys, row)) return hold;
  auto hold = hold_from(row);
  if (!hold) return std::nullopt;
  hold->damaged = true;
  hold->released_by.clear();
  hold->released.reset();
  if (!open_reason(keys, *hold)) hold->sealed = seal_reason(keys, hold->id, "");
  return hold;
}

Bytes hold_mac(const crypto::KeySet& keys, std::int64_t key, const Hold& hold) {
  if (key < 0 || key > UINT32_MAX) return {};
  const auto* secret = keys.ring.find(crypto::KeyUse::authority, static_cast<std::uint32_t>(key));
  if (!secret) return {};
  crypto::Hmac mac(secret->expose());
  return to_bytes(BytesView(mac.mac(content(hold))));
}

crypto::Digest hold_digest(const crypto::KeySet& keys, const Hold& hold) {
  return keys.digest.mac(content(hold));
}

Bytes seal_reason(const crypto::KeySet& keys, HoldId id, std::string_view reason) {
  return crypto::seal(keys.ring.active(crypto::KeyUse::side).expose(),
                      keys.ring.active_id(crypto::KeyUse::side), as_bytes(reason),
                      reason_binding(id));
}

Result<Secret> open_reason(const crypto::KeySet& keys, const Hold& hold) {
  auto id = crypto::sealed_key_id(hold.sealed);
  const auto* key = id ? keys.ring.find(crypto::KeyUse::side, *id) : nullptr;
  if (!key) return Error(Code::corrupt, "a legal hold's reason cannot be opened");
  return crypto::open(key->expose(), hold.sealed, reason_binding(hold.id));
}

}  // namespace holdfast::vault
