// The keyring: every key that the server uses, sealed under the root key in one file of its own
// outside the database. Its generations are numbered; a change writes a new generation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

/// What a key is for. The number is on disk: never reuse one.
enum class KeyUse : std::uint8_t {
  epoch = 1,         // wraps subject keys; its id is the epoch
  index = 2,         // blind indexes
  external = 3,      // the unique index over external ids
  authority = 4,     // MACs over keys, roles, grants, collections
  digest = 5,        // keyed digests of rows that events leave behind
  journal = 6,       // Ed25519 seed of the journal
  side = 7,          // seals the journal's side table
  afterlog = 8,      // MACs the afterlog
  cursor = 9,        // seals paging cursors
  idempotency = 10,  // fingerprints of requests
  token = 11,        // terms under which tokens are found, and the shape of their texts
  pseudonym = 12,    // names of people in the journal: stays, since entries bear them for ever
  sealing = 13,      // gives the key pair of pending tokens (hpke.h)
};

/// "epoch", "index", ...: for people and the journal, as in the file format's documentation.
std::string_view use_name(KeyUse use);

struct KeyInfo {
  KeyUse use;
  std::uint32_t id;
  Time created;
  bool active;  // the one that new work uses; exactly one per use
};

/// An immutable set of keys, 32 bytes each: for every use exactly one active key, whose id is the
/// highest of that use, so that an id never comes back. A keyring of an earlier version lacks the
/// uses that came later (`missing`), and one of a later version holds uses that this one does not
/// know: they are carried along. Threads: safe. Held by shared_ptr because a
/// rotation replaces it while requests still use the old one. One that was default-constructed or
/// moved from holds nothing, and `active` on it is a bug (std::out_of_range).
class Keyring {
 public:
  /// 16 random bytes, the same in the database, the key file and the recovery shares: a keyring
  /// of another store is refused by name.
  const Bytes& store_id() const { return store_id_; }
  std::uint64_t generation() const { return generation_; }

  /// The active key of that use.
  const Secret& active(KeyUse use) const;
  std::uint32_t active_id(KeyUse use) const;
  /// nullptr when this keyring does not hold it (destroyed, or of another store).
  const Secret* find(KeyUse use, std::uint32_t id) const;
  std::vector<KeyInfo> list() const;

  /// A first keyring: one active key of each use, random store id, generation 1.
  static Keyring make(Time now);
  /// The next generation with a fresh active key of that use; the old ones stay.
  Keyring with_new(KeyUse use, Time now) const;
  /// The next generation without that key, which it must hold and which must not be active
  /// (std::invalid_argument).
  Keyring without(KeyUse use, std::uint32_t id) const;

  /// The same keys again, for a second KeySet over them.
  Keyring copy() const { return clone(); }
  /// Ids held of that use, highest (active) first.
  std::vector<std::uint32_t> ids(KeyUse use) const;

  /// Known uses of which this keyring holds no key, because an earlier version made it.
  std::vector<KeyUse> missing() const;
  /// The next generation with a first key of each missing use. These are derived (HKDF-Expand)
  /// from the active authority key, so that every node and every backup of this generation comes to
  /// the same ones; a rotation replaces them by random ones.
  Keyring with_missing(Time now) const;
  /// The same keys under the next number: for another root key.
  Keyring next_generation() const;

  /// True when this keyring holds every key that `other` holds, with the same bytes.
  bool holds_all_of(const Keyring& other) const;
  /// True when both are of one generation and the same but for one active key: two makings of it.
  bool is_other_making_of(const Keyring& other) const;

  /// Sealed under the root key: magic, version, store id, generation (all in the clear and bound),
  /// then AES-256-GCM, then SHA-256 over all of it, so that damage and a wrong key are told apart.
  /// README.md has the layout byte by byte.
  Bytes sealed(const Secret& root) const;
  /// Errors: invalid (not a keyring, or of a newer version), corrupt (checksum: damaged file; or
  /// does not open: wrong key), each with what to do.
  static Result<Keyring> open(BytesView file, const Secret& root);

 private:
  struct Entry {
    Time created;
    bool active;
    Secret key;
  };

  Keyring clone() const;
  bool one_active_each() const;

  Bytes store_id_;
  std::uint64_t generation_ = 0;
  std::map<std::pair<KeyUse, std::uint32_t>, Entry> keys_;
};

/// What a keyring file says in the clear; not authenticated until it is opened.
struct KeyringHead {
  Bytes store_id;
  std::uint64_t generation = 0;
};
/// Errors as Keyring::open, short of a wrong key.
Result<KeyringHead> keyring_head(BytesView file);

/// Writes a temporary file in the same folder, fsyncs, renames, fsyncs the folder. Mode 0600.
/// The previous generation stays beside it as `<file>.previous`, unless it holds a key that the
/// new one does not: what was destroyed must not lie beside, so the new one is written there too,
/// and first.
/// Errors: conflict (the file is of another store, or of a later or another generation of this
/// one), unavailable (disk). Blocking: 2 to 4 fsyncs.
Result<void> write_keyring(const std::filesystem::path& file, const Keyring& keyring,
                           const Secret& root);
/// Brings the copy of the keyring that lies in another place (backup.keys) in line: written, read
/// back and compared before it returns, so that a key which only this keyring holds is never used.
/// Does nothing where the copy is the same already. Gives the keyring that lies there now: this
/// one, or one that differs by another new key alone, whose rotation was cut off before it used
/// that. A copy is never replaced that holds a key which a keyring of its generation lacks.
/// `known`: there was a copy before; that it is missing means that its place is not there.
/// Errors: conflict (the copy is of another store, of a later generation, or nothing that this
/// release knows), unavailable (missing, or the place cannot be written or read back), forbidden
/// (others can read it). Blocking: up to 2 fsyncs.
Result<Keyring> copy_keyring(const std::filesystem::path& copy, const Keyring& keyring,
                             const Secret& root, bool known);
/// Refuses a file that others can read (names the chmod), a missing one, a damaged one.
/// Errors: not_found, forbidden (mode or owner), and those of Keyring::open.
Result<Keyring> read_keyring(const std::filesystem::path& file, const Secret& root);
/// The same, and refuses the keyring of another store by name (invalid) instead of as a wrong key.
Result<Keyring> read_keyring(const std::filesystem::path& file, const Secret& root,
                             BytesView store_id);

}  // namespace holdfast::crypto
