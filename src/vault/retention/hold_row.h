// A legal hold as it is stored. What holds do is holds.h.
#pragma once

#include <optional>
#include <string>

#include "base/secret.h"
#include "crypto/key_set.h"
#include "db/database.h"
#include "vault/types.h"

namespace holdfast::vault {

using HoldId = Id<"hold">;

struct Hold {
  HoldId id;
  std::optional<SubjectId> subject;         // of one customer
  std::optional<std::uint32_t> collection;  // or of one collection
  std::string placed_by;
  Time placed{};
  std::optional<Time> until;  // lifted by the sweep when journal time reaches it
  std::string released_by;    // `system`: its time ended
  std::optional<Time> released;
  Bytes sealed;  // the reason
  std::int64_t version = 1;
  bool damaged = false;  // the row is not as Holdfast wrote it: believe the id alone
};

/// With the columns of vault.all_holds, unchecked; nothing when an id has not its length.
std::optional<Hold> hold_from(const db::Rows::Row& row);
/// The same; nothing for a row whose MAC is of no authority key that the keyring holds.
std::optional<Hold> authentic_hold(const crypto::KeySet& keys, const db::Rows::Row& row);
/// The same; a row without its MAC comes `damaged`, as one that nobody lifted, and with an empty
/// reason where that does not open. Nothing when an id has not its length.
std::optional<Hold> hold_as_it_is(const crypto::KeySet& keys, const db::Rows::Row& row);
/// Under that authority key, over the whole row; empty when the keyring does not hold it.
Bytes hold_mac(const crypto::KeySet& keys, std::int64_t key, const Hold& hold);
/// What events leave behind of the row.
crypto::Digest hold_digest(const crypto::KeySet& keys, const Hold& hold);

/// The reason, sealed for the row under the active side key; and opened. Errors: corrupt.
Bytes seal_reason(const crypto::KeySet& keys, HoldId id, std::string_view reason);
Result<Secret> open_reason(const crypto::KeySet& keys, const Hold& hold);

/// By id, behind $1.
inline constexpr db::Sql kAllHolds{
    "vault.all_holds",
    "select id, subject, collection, placed_by, placed_ms, until_ms, released_by, released_ms, "
    "sealed, version, mac_key, mac from vault_holds where id > $1 order by id limit $2"};

}  // namespace holdfast::vault
