// The root key under an AES key that never leaves an HSM (PKCS #11 v2.40, CKM_AES_GCM with a nonce
// made here). The vendor's module is loaded from a path and stays loaded.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

/// Where the HSM is. `pin_file` is read at each login and must be private (mode 0600).
struct HsmPlace {
  std::filesystem::path module;
  std::filesystem::path pin_file;
};
/// Which key in it: the token by its serial number, or by its label where `serial` is empty; the
/// key by its label.
struct HsmKey {
  std::string serial;
  std::string token_label;
  std::string key_label;
};

/// Each call opens a session of its own, logs in, and ends it. A PIN that was refused is not tried
/// again by this process. Threads: safe, one call at a time in the whole process.
/// Blocking: a network HSM may take seconds; use the pool.
class Hsm {
 public:
  /// Loads the module. Errors: invalid (no such module, or it is none), unavailable (it does not
  /// start).
  static Result<std::shared_ptr<Hsm>> load(const HsmPlace& place);
  ~Hsm();
  Hsm(const Hsm&) = delete;
  Hsm& operator=(const Hsm&) = delete;

  /// The same key with the serial number filled in. Errors of all: not_found (no such token or
  /// key), forbidden (PIN wrong, locked or missing), unavailable (the HSM does not answer).
  Result<HsmKey> find(HsmKey key);
  /// nonce (12) | ciphertext | tag (16).
  Result<Bytes> wrap(const HsmKey& key, const Secret& root, BytesView binding);
  /// Further errors: corrupt (does not authenticate: another key, or a changed unlock file).
  Result<Secret> unwrap(const HsmKey& key, BytesView wrapped, BytesView binding);
  /// Makes a non-extractable AES-256 key for this use, for `holdfast init`. Errors: conflict (there
  /// is one of that label).
  Result<HsmKey> make_key(HsmKey key);

 private:
  struct Impl;
  explicit Hsm(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::crypto
