// Which customers are invented. Nothing in the database, in a read or in an answer tells them from
// others: their ids lie sealed, and the server knows them by heart.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "base/described.h"
#include "base/task.h"
#include "crypto/key_set.h"
#include "db/changes.h"
#include "db/database.h"
#include "vault/types.h"

namespace holdfast::vault {

/// What is sealed in a row of vault_canaries.
struct Canary {
  SubjectId subject;
  std::string external_id;  // of the shop
  std::string locale;
  Time planted{};
  static std::span<const Member> described();
};

/// A row's content. `mark` is random.
Bytes seal_canary(const crypto::KeySet& keys, BytesView mark, const Canary& canary);
/// nullopt for a row that Holdfast did not write.
std::optional<Canary> open_canary(const crypto::KeySet& keys, BytesView mark, BytesView sealed);
crypto::Digest canary_digest(const crypto::KeySet& keys, BytesView mark, BytesView sealed);

/// All canaries by generation of the policy, which planting raises. Threads: safe.
class CanaryCache {
 public:
  using Known = std::set<SubjectId>;

  CanaryCache(db::Reader& reader, const crypto::HeldKeys& keys) : reader_(reader), keys_(keys) {}

  /// Without I/O while the generation stays. Rows that do not open are left out: `journal verify
  /// --state` names them. Errors: locked, unavailable.
  Task<Result<std::shared_ptr<const Known>>> get(std::uint64_t generation, MonoTime deadline);

 private:
  db::Reader& reader_;
  const crypto::HeldKeys& keys_;
  std::mutex mutex_;
  std::uint64_t generation_ = 0;
  std::shared_ptr<const Known> known_;  // shared with requests under way
};

inline constexpr db::Sql kListCanaries{"vault.list_canaries",
                                       "select mark, sealed from vault_canaries order by mark"};

}  // namespace holdfast::vault
