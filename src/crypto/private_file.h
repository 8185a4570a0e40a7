// Small files that only the server's own user may read: keyring, key file, recovery shares.
// Blocking; at most a few times in the life of a process.
#pragma once

#include <expected>
#include <filesystem>

#include "base/bytes.h"
#include "base/secret.h"

namespace holdfast::crypto {

enum class FileTrouble {
  missing,      //
  exists,       //
  exposed,      // group or others have some right to it
  foreign,      // not a regular file, or owned by another user than us or root
  too_large,    //
  no_space,     //
  not_allowed,  // permission denied, read-only file system
  failed,       // any other error of the disk
};

/// Reads a whole file of at most `limit` bytes, refusing what others can read or change. Root's own
/// with mode 0440 and root's group is taken: so lies what systemd passes as a credential.
std::expected<Secret, FileTrouble> read_private(const std::filesystem::path& file,
                                                std::size_t limit);

/// Makes the file with mode 0600; durable on return (file and folder are fsynced). Missing parent
/// folders are made with mode 0700. `exists` when there is something of that name; nothing is left
/// behind on failure.
std::expected<void, FileTrouble> create_private(const std::filesystem::path& file, BytesView bytes);

/// The same, but replaces: writes `<file>.new`, fsyncs, renames, fsyncs the folder. After a crash
/// at any moment the file holds all of the old bytes or all of the new.
std::expected<void, FileTrouble> replace_private(const std::filesystem::path& file,
                                                 BytesView bytes);

/// Renames within one file system; durable on return. Replaces what is at `to`.
std::expected<void, FileTrouble> move_private(const std::filesystem::path& from,
                                              const std::filesystem::path& to);
/// Durable on return. A missing one is fine.
std::expected<void, FileTrouble> remove_private(const std::filesystem::path& file);

}  // namespace holdfast::crypto
