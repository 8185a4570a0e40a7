// The journal's part in rotating its keys: sealed side rows are sealed anew. (The signing key and
// the afterlog are the Log's: roll_signer, rekey_afterlog.)
#pragma once

#include <map>

#include "base/task.h"
#include "crypto/keyring.h"
#include "db/database.h"

namespace holdfast::journal {

/// A batch of side rows.
struct MovedSides {
  db::Changes changes;
  Bytes after;                   // where the next batch begins
  std::int64_t looked = 0;       // rows
  std::int64_t moved = 0;        // of them sealed anew
  std::vector<Bytes> refused{};  // commitments of rows that do not open; they stay as they are
  bool last = false;
};

/// Looks at the next `limit` rows after `after` (empty: from the beginning) and seals those that
/// are not under the ring's active side key. The same contents stay under the same commitments.
/// Errors: unavailable.
Task<Result<MovedSides>> move_sides(db::Reader& reader, const crypto::Keyring& ring, Bytes after,
                                    std::int64_t limit);

/// Rows under each side key, by its id. Cost: one scan, in pages.
Task<Result<std::map<std::uint32_t, std::int64_t>>> count_sides(db::Reader& reader);

}  // namespace holdfast::journal
