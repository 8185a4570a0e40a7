// From what people and machines have to the root key, and from the root key to the opened keyring;
// and the changes of either that survive a crash at any moment.
//
// A change is staged beside (`unlock.next`, `<key file>.next`), read back, and takes effect with
// one rename: of the keyring when the root key changes, of the unlock file when only the method
// does. What was staged and never took effect is cleared at the next start; what took effect is
// finished.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "crypto/keyring.h"
#include "crypto/unlock/pkcs11.h"
#include "crypto/unlock/record.h"

namespace holdfast::crypto {

struct RootFiles {
  std::filesystem::path record;    // DIR/unlock; without one the method is `file`
  std::filesystem::path keyring;   // DIR/keyring
  std::filesystem::path key_file;  // method file
  HsmPlace hsm;                    // method pkcs11
};

/// What people brought. Shares open a store of every method: the recovery set's do.
struct Means {
  std::optional<Secret> passphrase;
  std::vector<Share> shares;
};

struct OpenedStore {
  Keyring ring;
  Secret root;
  UnlockRecord record;          // that is in force; made up where there is no file
  bool by_next_record = false;  // the staged one opened: its change took effect
};

/// Blocking: an Argon2id or an HSM call where the method has one; use the pool.
/// Errors: locked (the method needs people and they brought nothing), forbidden (wrong passphrase,
/// PIN), invalid (shares: which is wrong, of another store or of another set), and
/// those of read_key_file, read_record, read_keyring and Hsm.
Result<OpenedStore> open_store(const RootFiles& files, const Means& means);

/// The record in force; a store without the file has method `file` and the keyring's store id.
/// Errors: those of read_record and of keyring_head.
Result<UnlockRecord> current_record(const RootFiles& files);
/// Why a share of this store is refused whose set the unlock file does not name. It may be older
/// than that file, or newer, as after a restore.
inline constexpr Literal kOtherSet =
    "this share is of another set than the files here know. One that was replaced opens nothing "
    "any more: use the newest. If it is newer than these files, put the newest keyring (the copy "
    "in backup.keys) here first: docs/keys.md, \"A backup from before a reshare\"";
/// The sets whose shares may open the store: of the record in force, then of a staged one.
Result<std::vector<ShareSet>> known_sets(const RootFiles& files);

/// Finishes or clears what a crash left staged. After open_store, before serving, and only for who
/// holds the store's lock: what another server has staged is its own. Blocking.
/// Errors: conflict (the keyring is not the one that was opened any more), unavailable.
Result<void> finish_staged(const RootFiles& files, const OpenedStore& opened);

// ── staging: nothing takes effect before the functions below

/// A record of that method for this root key: wraps it where the method wraps.
/// `passphrase` for method passphrase, `hsm_key` for pkcs11, `everyday` for shamir; `recovery` is
/// kept as given. Errors: those of stretch and Hsm, invalid (something of these is missing).
struct NewMethod {
  Method method = Method::file;
  const Secret* passphrase = nullptr;
  PassphraseCost cost{};
  HsmKey hsm_key{};
  std::optional<ShareSet> everyday{};
  std::optional<ShareSet> recovery{};
};
Result<UnlockRecord> make_record(const RootFiles& files, BytesView store_id, const Secret& root,
                                 const NewMethod& wanted);

/// The root key that this record gives (for shamir: `means.shares`).
Result<Secret> root_of(const RootFiles& files, const UnlockRecord& record, const Means& means,
                       bool next_key_file = false);

/// Writes `unlock.next`, reads it back and proves with `means` that it gives `root`.
Result<void> stage_record(const RootFiles& files, const UnlockRecord& record, const Secret& root,
                          const Means& means);
/// Writes the key file (or `<key file>.next` where there is one) and reads it back.
Result<void> stage_key_file(const RootFiles& files, BytesView store_id, const Secret& root);
/// The staged record takes effect; before its key file where there is one. After an error it may
/// be in place all the same: read it before anything of before is removed.
Result<void> put_staged_record(const RootFiles& files);
Result<void> put_staged_key_file(const RootFiles& files);
void drop_staged(const RootFiles& files);
/// Takes the key file away, when it holds this root key. Errors: unavailable.
Result<void> remove_key_file(const RootFiles& files, const Secret& root);

/// The same keys as the next generation, sealed under another root key. The file before and
/// `.previous` are both replaced: what the old root key opened must not lie beside.
/// After an error the file is either as it was, or sealed under `root`: read it before `root` or
/// what is staged for it is dropped.
/// Errors: conflict (the file is of another store or a later generation), unavailable.
Result<Keyring> reseal_keyring(const std::filesystem::path& file, const Keyring& keyring,
                               const Secret& root);

}  // namespace holdfast::crypto
