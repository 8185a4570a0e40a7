// The everyday unlock method of a small shop: the root key in a file outside the data directory.
// It protects against a stolen database, not against a stolen disk, VM or whole-host backup.
#pragma once

#include <filesystem>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

/// Makes a key file (mode 0600, parent folder 0700) that holds a new random root key and the
/// store id. Refuses to overwrite.
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

}  // namespace holdfast::crypto
