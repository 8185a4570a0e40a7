// The everyday unlock method of a small shop: the root key in a file outside the data directory.
// It protects against a stolen database, not against a stolen disk, VM or whole-host backup.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

/// Makes a key file (mode 0600, missing parent folders 0700) that holds a new random root key and
/// the store id (16 bytes). Durable on return. Blocking.
/// Errors: conflict (there is one; never overwritten), unavailable (disk).
Result<Secret> make_key_file(const std::filesystem::path& file, BytesView store_id);
/// The same for a given root key: recovery from shares.
Result<void> write_key_file(const std::filesystem::path& file, BytesView store_id,
                            const Secret& root);

struct KeyFile {
  Bytes store_id;
  Secret root;
};
/// Errors: not_found (names the two ways on: put it back, or recover from shares), invalid (mode
/// others can read, or not a key file), corrupt (checksum).
Result<KeyFile> read_key_file(const std::filesystem::path& file);
/// The text of such a file: title, advice, `store:`, `key:` and `check:` in lower-case hex. Strict:
/// exactly as written, to the last line feed. Errors: invalid, corrupt.
Result<KeyFile> parse_key_file(std::string_view text);

}  // namespace holdfast::crypto
