#include "crypto/unlock/root.h"

#include <algorithm>

#include "crypto/aead.h"
#include "crypto/private_file.h"
#include "crypto/unlock/file.h"

namespace holdfast::crypto {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRootBytes = 32;
constexpr std::uint32_t kWrapKeyId = 0;

fs::path next_of(fs::path file) {
  file += ".next";
  return file;
}

Error cannot_write() {
  return Error(Code::unavailable,
               "the unlock file cannot be written: look for room on the disk and for the rights on "
               "the store's folder");
}

HsmKey hsm_key_of(const UnlockRecord& record) {
  return {.serial = record.token_serial, .token_label = {}, .key_label = record.token_key};
}

Result<Secret> unwrap_passphrase(const UnlockRecord& record, const Means& means) {
  if (!means.passphrase)
    return Error(Code::locked,
                 "the store opens with a passphrase: give it with --passphrase-file FILE, or "
                 "name a systemd credential in keys.passphrase_file; a server that runs is "
                 "unlocked with `holdfast unlock --dir DIR`");
  auto key = stretch(*means.passphrase, record.salt, record.cost);
  if (!key) return std::move(key).error();
  auto root = open(key->expose(), record.wrapped, wrap_binding(record));
  if (!root || root->size() != kRootBytes)
    return Error(Code::forbidden,
                 "the passphrase is wrong, or the unlock file was changed: try again, or unlock "
                 "with recovery shares");
  return root;
}

Result<Secret> combine_known(const UnlockRecord& record, const Means& means) {
  if (means.shares.empty())
    return Error(Code::locked,
                 "the store opens with shares: each holder runs `holdfast unlock --dir DIR --share "
                 "FILE`");
  for (const auto& share : means.shares) {
    if (!equal_constant_time(share.store_id, record.store_id))
      return Error(Code::invalid, "this share is of another store")
          .at(FieldPath("share")[share.number]);
    auto set = set_of(share);
    // A store whose record never stated a set takes what its commitment proves.
    bool known =
        set == record.recovery || set == record.everyday || (!record.recovery && !record.everyday);
    if (!known) return Error(Code::invalid, kOtherSet).at(FieldPath("share")[share.number]);
    for (const auto* said : {&record.recovery, &record.everyday})
      if (*said && **said == set && !is_of(share, **said))
        return Error(Code::invalid, "this share is wrong: leave it out and replace it")
            .at(FieldPath("share")[share.number]);
  }
  return combine(means.shares);
}

struct Candidate {
  UnlockRecord record;
  bool next_record = false;
  bool next_key_file = false;
};

Result<std::vector<Candidate>> candidates(const RootFiles& files) {
  std::vector<Candidate> out;
  auto add = [&](const UnlockRecord& record, bool next) {
    out.push_back({record, next, false});
    if (record.method == Method::file && fs::exists(next_of(files.key_file)))
      out.push_back({record, next, true});
  };
  auto staged = read_record(next_of(files.record));
  auto record = current_record(files);
  if (!record && !staged) return std::move(record).error();
  if (record) add(*record, false);
  // A staged file that cannot be read was cut off while it was written: it never counted.
  if (staged) add(*staged, true);
  return out;
}

}  // namespace

Result<UnlockRecord> current_record(const RootFiles& files) {
  auto record = read_record(files.record);
  if (record || record.error().code != Code::not_found) return record;
  auto key = read_key_file(files.key_file);
  if (key) return UnlockRecord{.store_id = std::move(key->store_id)};
  auto bytes = read_private(files.keyring, 1 << 20);
  if (!bytes) return UnlockRecord{.store_id = Bytes(16, 0)};
  auto head = keyring_head(bytes->expose());
  if (!head) return std::move(head).error();
  return UnlockRecord{.store_id = std::move(head->store_id)};
}

Result<std::vector<ShareSet>> known_sets(const RootFiles& files) {
  auto all = candidates(files);
  if (!all) return std::move(all).error();
  std::vector<ShareSet> out;
  for (const auto& one : *all)
    for (const auto* set : {&one.record.everyday, &one.record.recovery})
      if (*set && std::ranges::find(out, **set) == out.end()) out.push_back(**set);
  return out;
}

Result<Secret> root_of(const RootFiles& files, const UnlockRecord& record, const Means& means,
                       bool next_key_file) {
  if (!means.shares.empty()) return combine_known(record, means);
  switch (record.method) {
    case Method::passphrase:
      return unwrap_passphrase(record, means);
    case Method::shamir:
      return combine_known(record, means);
    case Method::pkcs11: {
      auto hsm = Hsm::load(files.hsm);
      if (!hsm) return std::move(hsm).error();
      return (*hsm)->unwrap(hsm_key_of(record), record.wrapped, wrap_binding(record));
    }
    case Method::file:
      break;
  }
  auto key = read_key_file(next_key_file ? next_of(files.key_file) : files.key_file);
  if (!key) return std::move(key).error();
  if (!equal_constant_time(key->store_id, record.store_id))
    return Error(Code::invalid,
                 "this key file belongs to another store than the unlock file: look whether "
                 "keys.file names the right one");
  return std::move(key->root);
}

Result<OpenedStore> open_store(const RootFiles& files, const Means& means) {
  auto all = candidates(files);
  if (!all) return std::move(all).error();
  std::optional<Error> first;
  for (auto& one : *all) {
    auto root = root_of(files, one.record, means, one.next_key_file);
    auto ring = root ? read_keyring(files.keyring, *root, one.record.store_id)
                     : Result<Keyring>(root.error());
    if (!ring) {
      if (!first) first = std::move(ring).error();
      continue;
    }
    return OpenedStore{std::move(*ring), std::move(*root), std::move(one.record), one.next_record};
  }
  return std::move(*first);
}

Result<void> finish_staged(const RootFiles& files, const OpenedStore& opened) {
  // Another process may have come between: what it staged is then no longer for this root key.
  auto now = read_keyring(files.keyring, opened.root, opened.record.store_id);
  if (!now || now->generation() != opened.ring.generation())
    return Error(Code::conflict, "the keyring was changed while this started: start it again");
  bool next_record = opened.by_next_record;
  auto next_key = read_key_file(next_of(files.key_file));
  bool next_key_file = next_key && next_key->root.matches(opened.root.expose());
  // A key file is staged only with its record, for a new root key.
  if (next_key_file && !next_record) {
    auto staged = read_record(next_of(files.record));
    next_record = staged && staged->method == Method::file;
  }
  if (next_record)
    if (auto done = put_staged_record(files); !done) return done;
  if (next_key_file)
    if (auto done = put_staged_key_file(files); !done) return done;
  drop_staged(files);
  return {};
}

Result<UnlockRecord> make_record(const RootFiles& files, BytesView store_id, const Secret& root,
                                 const NewMethod& wanted) {
  UnlockRecord out{
      .store_id = to_bytes(store_id), .method = wanted.method, .recovery = wanted.recovery};
  switch (wanted.method) {
    case Method::file:
      break;
    case Method::shamir:
      if (!wanted.everyday) return Error(Code::invalid, "this method takes a set of shares");
      out.everyday = wanted.everyday;
      break;
    case Method::passphrase: {
      if (!wanted.passphrase)
        return Error(Code::invalid, "this method takes a passphrase").at("passphrase");
      out.cost = wanted.cost;
      out.salt = random_bytes(kSaltBytes);
      auto key = stretch(*wanted.passphrase, out.salt, out.cost);
      if (!key) return std::move(key).error();
      out.wrapped = seal(key->expose(), kWrapKeyId, root.expose(), wrap_binding(out));
      break;
    }
    case Method::pkcs11: {
      auto hsm = Hsm::load(files.hsm);
      if (!hsm) return std::move(hsm).error();
      auto key = (*hsm)->find(wanted.hsm_key);
      if (!key) return std::move(key).error();
      out.token_serial = key->serial;
      out.token_key = key->key_label;
      auto wrapped = (*hsm)->wrap(*key, root, wrap_binding(out));
      if (!wrapped) return std::move(wrapped).error();
      out.wrapped = std::move(*wrapped);
      break;
    }
  }
  return out;
}

Result<void> stage_record(const RootFiles& files, const UnlockRecord& record, const Secret& root,
                          const Means& means) {
  const auto staged = next_of(files.record);
  if (!replace_private(staged, as_bytes(format_record(record)))) return cannot_write();
  auto back = read_record(staged);
  if (!back) return std::move(back).error();
  bool next_key_file = record.method == Method::file && fs::exists(next_of(files.key_file));
  auto again = root_of(files, *back, means, next_key_file);
  if (!again) return std::move(again).error();
  if (!again->matches(root.expose()))
    return Error(Code::corrupt,
                 "the new way to unlock was written and does not give the root key back: nothing "
                 "was changed; try again");
  return {};
}

Result<void> stage_key_file(const RootFiles& files, BytesView store_id, const Secret& root) {
  auto to = files.key_file;
  if (auto there = read_key_file(to)) {
    if (there->root.matches(root.expose()) && there->store_id == to_bytes(store_id)) return {};
    to = next_of(to);
    if (!remove_private(to)) return cannot_write();
  }
  if (auto wrote = write_key_file(to, store_id, root); !wrote) return wrote;
  auto back = read_key_file(to);
  if (!back) return std::move(back).error();
  if (!back->root.matches(root.expose()))
    return Error(Code::corrupt, "the key file was written and reads differently: try again");
  return {};
}

Result<void> put_staged_record(const RootFiles& files) {
  if (!move_private(next_of(files.record), files.record)) return cannot_write();
  return {};
}

Result<void> put_staged_key_file(const RootFiles& files) {
  if (!fs::exists(next_of(files.key_file))) return {};
  if (!move_private(next_of(files.key_file), files.key_file))
    return Error(Code::unavailable,
                 "the new key file cannot be put in place: look for the rights on its folder");
  return {};
}

void drop_staged(const RootFiles& files) {
  // What cannot be removed now is tried again at the next start, and never takes effect.
  (void)remove_private(next_of(files.record));
  (void)remove_private(next_of(files.key_file));
}

Result<void> remove_key_file(const RootFiles& files, const Secret& root) {
  auto there = read_key_file(files.key_file);
  if (!there && there.error().code == Code::not_found) return {};
  if (!there || !there->root.matches(root.expose()))
    return Error(Code::conflict,
                 "the file in keys.file is not this store's key file any more: look at it, and "
                 "remove it yourself");
  if (!remove_private(files.key_file))
    return Error(
        Code::unavailable,
        "the old key file cannot be removed: remove it yourself, it still opens the store");
  return {};
}

Result<Keyring> reseal_keyring(const fs::path& file, const Keyring& keyring, const Secret& root) {
  if (auto old = read_private(file, 1 << 20)) {
    auto head = keyring_head(old->expose());
    if (head && (head->store_id != keyring.store_id() || head->generation != keyring.generation()))
      return Error(Code::conflict,
                   "the keyring on the disk is not the one that the server holds: restart the "
                   "server before this");
  }
  auto next = keyring.next_generation();
  auto bytes = next.sealed(root);
  auto previous = file;
  previous += ".previous";
  // The file is replaced last: until then nothing has happened, and then nothing that the old root
  // key opens lies beside it.
  if (!replace_private(previous, bytes))
    return Error(Code::unavailable,
                 "DIR/keyring.previous cannot be written to the disk: nothing was changed");
  const auto wrote = replace_private(file, bytes);
  auto back = read_keyring(file, root, keyring.store_id());
  if (back || wrote) return back;  // in force, also where only the folder could not be made durable
  return Error(Code::unavailable, "the keyring cannot be written to the disk");
}

}  // namespace holdfast::crypto
