// Authority rows: what in the database gives rights. Each row carries an HMAC over its kind, id,
// version and content, under a key of the keyring; one more row, the manifest, lists every row
// with its current version. So a row that somebody wrote into the database, an older version put
// back, and a row taken out are each found when the rows are read, and give nothing. All rows and
// the manifest put back together are an older manifest than the one that was in force: the process
// knows its version, and the witness beside the database tells the next one. Pure; no storage.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crypto/key_set.h"
#include "journal/event.h"

namespace holdfast::access {

// Kinds of rows; also the kinds of the journal's touches.
inline constexpr std::string_view kKeys = "api_keys";
inline constexpr std::string_view kRoles = "roles";
inline constexpr std::string_view kManifest = "access_manifest";

struct Row {
  std::string kind, id;
  std::int64_t version = 0;
  std::string content;
  std::uint32_t mac_key = 0;
  Bytes mac;
};

/// What was found wrong with a row: `changed` (the MAC does not fit), `unlisted` (not in the
/// manifest), `replaced` (another version than listed), `missing`; for the manifest: `changed`,
/// `missing`, `rolled_back` (older than one that was in force).
struct Finding {
  std::string kind, id;
  std::string_view what;
  friend auto operator<=>(const Finding&, const Finding&) = default;
};

/// The rows that count, and what is wrong with the rest.
struct Authority {
  std::vector<Row> rows;  // intact and current; sorted by kind and id; without the manifest
  /// Kind and id to version, as the manifest lists them.
  std::map<std::pair<std::string, std::string>, std::int64_t> listed;
  std::int64_t version = 0;     // the manifest's; 0 in a fresh database
  std::int64_t highest = 0;     // of all versions seen: in any row, intact or not, or in force
  bool manifest_intact = true;  // false: no row counts, and nothing can be changed but by recover
  std::vector<Finding> findings;
};

/// `rows` as stored; `at_least` is the highest manifest version that is known to have been in
/// force.
Authority check(std::vector<Row> rows, const crypto::Keyring& keys, std::int64_t at_least);

/// Keyed digest of a row, as events leave it behind.
crypto::Digest digest_of(const Row& row, const crypto::KeySet& keys);

/// One change of authority rows, with the manifest that goes with it.
class Edit {
 public:
  /// `before` and `keys` must outlive it.
  Edit(const Authority& before, const crypto::KeySet& keys)
      : before_(before), keys_(keys), listed_(before.listed) {}

  /// The version that every row of this edit has.
  std::int64_t version() const { return before_.version + 1; }
  void put(std::string_view kind, std::string id, std::string content);
  void remove(std::string_view kind, std::string id);
  /// The same row, version included, under the active keys.
  void remake(const Row& row);

  struct Done {
    std::vector<Row> put;
    std::vector<std::pair<std::string, std::string>> removed;  // kind and id
    Row manifest;
    std::int64_t old_version = 0;  // of the manifest; 0: there was none
    std::vector<journal::Touch> touches;
  };
  Done done() &&;

 private:
  Row sealed(std::string_view kind, std::string id, std::string content) const;
  void touch(std::string_view kind, std::string_view id, crypto::Digest left);

  const Authority& before_;
  const crypto::KeySet& keys_;
  std::map<std::pair<std::string, std::string>, std::int64_t> listed_;
  Done done_;
};

/// For when the manifest is lost or damaged: nothing listed, and versions that were never used.
Authority start_over(const Authority& broken);

}  // namespace holdfast::access
