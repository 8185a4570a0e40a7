// How values are sealed: one random key per subject and keep group, one derived key per field, and
// associated data that binds a value to its place. Pure but for randomness.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "crypto/key_set.h"
#include "db/changes.h"
#include "vault/types.h"

namespace holdfast::vault {

/// Where a value lives: what its associated data binds.
struct Binding {
  SubjectId subject;
  RecordId record;
  std::uint32_t collection = 0;
  std::uint16_t field = 0;
  std::uint32_t since = 0;  // schema version that declared the field's shape
};

/// The keys of one subject. Unwraps a key when it is first used.
/// Threads: not safe; made per request.
class SubjectKeys {
 public:
  explicit SubjectKeys(SubjectId subject) : subject_(subject) {}

  SubjectId subject() const { return subject_; }
  /// A row of vault_subject_keys.
  void add_wrapped(std::string_view group, std::uint32_t id, std::uint32_t epoch,
                   BytesView wrapped);
  bool has(std::string_view group) const;
  /// The id of the group's newest key; nothing without one.
  std::optional<std::uint32_t> newest_id(std::string_view group) const;
  std::vector<std::string> groups() const;

  /// The id of the group's newest key. Makes one when there is none and adds its row to `rows`
  /// (the arguments of vault.add_key). Errors: corrupt, gone (its epoch key was destroyed).
  Result<std::uint32_t> ensure(const crypto::KeySet& keys, std::string_view group,
                               std::vector<db::Args>& rows);
  /// A further key for a group that has one, under which values are sealed from then on; its row
  /// goes to `rows` as with ensure. Errors: internal (the group has none).
  Result<std::uint32_t> renew(const crypto::KeySet& keys, std::string_view group,
                              std::vector<db::Args>& rows);
  /// The same value under the group's newest key; nothing when it is already. Errors: as open.
  Result<std::optional<Bytes>> resealed(const crypto::KeySet& keys, std::string_view group,
                                        const Binding& place, BytesView sealed);
  /// Under the group's newest key, which must be there (ensure it). Cost: about 3 µs.
  Result<Bytes> seal(const crypto::KeySet& keys, std::string_view group, const Binding& place,
                     BytesView plain);
  /// Errors: gone (the key was destroyed: erased), corrupt (tampered or damaged).
  Result<Secret> open(const crypto::KeySet& keys, std::string_view group, const Binding& place,
                      BytesView sealed);

 private:
  struct Held {
    std::string group;
    std::uint32_t id;
    std::uint32_t epoch;
    Bytes wrapped;
    std::optional<crypto::Hmac> prk;
  };
  Held* newest(std::string_view group);
  void make(const crypto::KeySet& keys, std::string_view group, std::uint32_t id,
            std::vector<db::Args>& rows);
  Result<const crypto::Hmac*> unwrap(const crypto::KeySet& keys, Held& held);

  SubjectId subject_;
  std::vector<Held> held_;
};

/// One value inside a record's row.
struct SealedField {
  std::uint16_t field = 0;
  std::uint32_t since = 0;
  Bytes sealed;
};
/// version (1) | count (2) | count times: field (2), since (4), length (4), sealed value
Bytes pack(std::span<const SealedField> fields);
/// Errors: corrupt.
Result<std::vector<SealedField>> unpack(BytesView row);

/// A wrapped subject key under the ring's active epoch key. Errors: gone (its epoch key was
/// destroyed), corrupt.
Result<Bytes> rewrapped(const crypto::Keyring& ring, SubjectId subject, std::string_view group,
                        std::uint32_t id, std::uint32_t epoch, BytesView wrapped);

/// The external id is bound like a field of a record that no record is.
Binding external_binding(SubjectId subject);

/// The full-length keyed term of the shop's own id of a customer.
Bytes external_term(const crypto::KeySet& keys, std::string_view external_id);
/// The same under the other key while the key is rotated; empty otherwise.
Bytes external_term_also(const crypto::KeySet& keys, std::string_view external_id);
/// Under one key, for rotation.
Bytes external_term(const crypto::Hmac& key, std::string_view external_id);

}  // namespace holdfast::vault
