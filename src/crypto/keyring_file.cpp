#include <algorithm>

#include "crypto/keyring.h"
#include "crypto/private_file.h"

namespace holdfast::crypto {
namespace {

constexpr std::size_t kLongest = 1 << 20;

Error read_error(FileTrouble trouble) {
  switch (trouble) {
    case FileTrouble::missing:
      return Error(Code::not_found,
                   "the keyring is missing: put back its copy, the file `keyring` in the "
                   "folder of backup.keys, or DIR/keyring.previous; without it nothing sealed can "
                   "be opened");
    case FileTrouble::exposed:
      return Error(Code::forbidden, "the keyring can be read by others: run chmod 600 on it");
    case FileTrouble::foreign:
      return Error(Code::forbidden,
                   "the keyring is not a regular file of the user that the server "
                   "runs as");
    case FileTrouble::not_allowed:
      return Error(Code::forbidden, "the server's user may not read the keyring: run chown on it");
    case FileTrouble::too_large:
      return Error(Code::invalid, "this is not a keyring: it is over 1 MiB");
    default:
      return Error(Code::unavailable, "the keyring cannot be read from the disk");
  }
}

Error write_error(FileTrouble trouble) {
  switch (trouble) {
    case FileTrouble::no_space:
      return Error(Code::unavailable, "the keyring cannot be written: the disk is full");
    case FileTrouble::not_allowed:
      return Error(Code::unavailable,
                   "the keyring cannot be written: the server's user may not "
                   "write to its folder, or the file system is read-only");
    default:
      return Error(Code::unavailable, "the keyring cannot be written to the disk");
  }
}

Error copy_error() {
  return Error(Code::unavailable,
               "the copy of the keyring cannot be written to the folder of backup.keys, and no key "
               "is used before it lies there: see that the folder is there, has room and belongs "
               "to the server's user");
}

/// The keyring in the copy, where it is to stay as it is; nothing where it is to be written.
Result<std::optional<Keyring>> judge_copy(BytesView bytes, const Keyring& keyring,
                                          const Secret& root) {
  auto head = keyring_head(bytes);
  if (!head && head.error().code == Code::corrupt) return std::optional<Keyring>();
  if (!head)
    return Error(Code::conflict,
                 "the file `keyring` in the folder of backup.keys is no keyring that this release "
                 "knows: move it away");
  if (head->store_id != keyring.store_id())
    return Error(Code::conflict,
                 "the folder of backup.keys holds the copy of another store's keyring: give each "
                 "store a folder of its own");
  if (head->generation < keyring.generation()) return std::optional<Keyring>();
  auto there = Keyring::open(bytes, root);
  if (there && keyring.holds_all_of(*there)) {
    const bool same = head->generation == keyring.generation() && there->holds_all_of(keyring);
    return same ? std::optional(std::move(*there)) : std::nullopt;
  }
  if (there && there->is_other_making_of(keyring)) return std::optional(std::move(*there));
  return Error(Code::conflict,
               "the copy of the keyring in the folder of backup.keys is of a later generation "
               "than the one in use. If an older store was restored on purpose, move the copy "
               "away; else stop the server and put it in place of DIR/keyring");
}

/// What lies in the file before a new generation goes there.
enum class Old {
  none,     // no file, or a damaged one: nothing worth keeping
  keep,     // keep it as .previous
  destroy,  // holds a key that the new generation has given up
};

Result<Old> judge(BytesView old, const Keyring& keyring, const Secret& root) {
  auto head = keyring_head(old);
  if (!head) return Old::none;
  if (head->store_id != keyring.store_id())
    return Error(Code::conflict, "the keyring on the disk belongs to another store");
  if (head->generation > keyring.generation())
    return Error(Code::conflict, "the keyring on the disk is of a later generation");
  auto opened = Keyring::open(old, root);
  if (!opened) return Old::keep;  // under an earlier root key
  if (keyring.holds_all_of(*opened)) return Old::keep;
  if (head->generation == keyring.generation())
    return Error(Code::conflict, "the keyring on the disk has this generation and other keys");
  return Old::destroy;
}

}  // namespace

Result<void> write_keyring(const std::filesystem::path& file, const Keyring& keyring,
                           const Secret& root) {
  auto old = read_private(file, kLongest);
  if (!old && old.error() != FileTrouble::missing) return read_error(old.error());
  auto judged = old ? judge(old->expose(), keyring, root) : Result<Old>(Old::none);
  if (!judged) return std::move(judged).error();

  auto previous = file;
  previous += ".previous";
  auto fresh = keyring.sealed(root);
  // The file is replaced last: once it lacks a key, nothing beside it holds that key.
  if (*judged != Old::none) {
    const auto beside = *judged == Old::keep ? old->expose() : BytesView(fresh);
    if (auto wrote = replace_private(previous, beside); !wrote) return write_error(wrote.error());
  }
  if (auto written = replace_private(file, fresh); !written) return write_error(written.error());
  return {};
}

Result<Keyring> copy_keyring(const std::filesystem::path& copy, const Keyring& keyring,
                             const Secret& root, bool known) {
  auto there = read_private(copy, kLongest);
  if (there) {
    auto judged = judge_copy(there->expose(), keyring, root);
    if (!judged) return std::move(judged).error();
    if (*judged) return std::move(**judged);
  } else if (there.error() == FileTrouble::exposed) {
    return Error(Code::forbidden,
                 "the copy of the keyring in the folder of backup.keys can be read by others: run "
                 "chmod 600 on it");
  } else if (there.error() != FileTrouble::missing) {
    return copy_error();
  } else if (known) {
    return Error(
        Code::unavailable,
        "the copy of the keyring in the folder of backup.keys is gone, and no key is used "
        "before it lies there: is the folder mounted? If it was emptied on purpose, remove "
        "DIR/keyring.copied");
  }
  const auto fresh = keyring.sealed(root);
  if (!replace_private(copy, fresh)) return copy_error();
  const auto back = read_private(copy, kLongest);
  if (!back || !std::ranges::equal(back->expose(), fresh)) return copy_error();
  return keyring.copy();
}

Result<Keyring> read_keyring(const std::filesystem::path& file, const Secret& root) {
  auto bytes = read_private(file, kLongest);
  if (!bytes) return read_error(bytes.error());
  return Keyring::open(bytes->expose(), root);
}

Result<Keyring> read_keyring(const std::filesystem::path& file, const Secret& root,
                             BytesView store_id) {
  auto bytes = read_private(file, kLongest);
  if (!bytes) return read_error(bytes.error());
  auto head = keyring_head(bytes->expose());
  if (!head) return std::move(head).error();
  if (!equal_constant_time(head->store_id, store_id))
    return Error(Code::invalid,
                 "this keyring belongs to another store than the root key; look "
                 "whether key file and keyring are from the same server");
  return Keyring::open(bytes->expose(), root);
}

}  // namespace holdfast::crypto
