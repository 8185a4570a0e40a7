// The declared collections and purposes as one immutable snapshot, cached under the policy
// generation: what a request was decided under is what its commit guards.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/caller.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/key_set.h"
#include "journal/journal.h"
#include "vault/types.h"

namespace holdfast::vault {

struct Schema {
  std::uint64_t generation = 0;
  std::map<std::string, Collection, std::less<>> collections;
  std::map<std::uint32_t, const Collection*> by_id;
  std::map<std::string, Purpose, std::less<>> purposes;
  std::set<std::string, std::less<>> removed_purposes;
  bool cards = false;  // card data is switched on (cards.h)

  const Collection* find(std::string_view name) const;
  const Collection* find(std::uint32_t id) const;
};

/// What is declared of a purpose that was removed. Its row stays, so that its name never comes back
/// for something else: consents and objections are kept by name.
inline constexpr std::string_view kRemovedPurpose = R"({"removed":true})";
/// Why nothing is done for a purpose that is not in `schema.purposes`: invalid, at `purpose`.
Error no_such_purpose(const Schema& schema, std::string_view name);

/// Built in: order_fulfilment, support, fraud_check, marketing, accounting, self_service,
/// subject_request, legal_claims.
std::span<const Purpose> builtin_purposes();

CollectionView view_of(const Collection& collection);
Collection collection_from(const CollectionView& view, bool cards = false);

/// MAC over a row of vault_collections, vault_purposes or vault_switches (KeyUse::authority).
Bytes authority_mac(const crypto::KeySet& keys, std::string_view table, std::string_view name,
                    std::int64_t version, std::string_view declared);
/// Whether it is the row's, under the active key or, while that is rotated, an older one.
bool authority_mac_fits(const crypto::KeySet& keys, std::string_view table, std::string_view name,
                        std::int64_t version, std::string_view declared, BytesView mac);
/// The digest that events leave behind for such a row.
crypto::Digest declared_digest(const crypto::KeySet& keys, std::string_view table,
                               std::string_view name, std::string_view declared, BytesView mac);

/// Threads: safe. Reads only when the generation moved.
class SchemaCache {
 public:
  SchemaCache(journal::Journal& journal, const crypto::HeldKeys& keys)
      : journal_(journal), keys_(keys) {}

  /// The schema under which `caller` is served. Shared: a change replaces it while requests
  /// still use the old one. Errors: corrupt (a row that Holdfast did not write), locked,
  /// unavailable.
  Task<Result<std::shared_ptr<const Schema>>> get(const Caller& caller);

 private:
  Task<Result<std::shared_ptr<const Schema>>> load(std::uint64_t generation, MonoTime deadline);

  journal::Journal& journal_;
  const crypto::HeldKeys& keys_;
  std::mutex mutex_;
  std::shared_ptr<const Schema> current_;
};

}  // namespace holdfast::vault
