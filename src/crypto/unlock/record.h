// The unlock file: by which method the root key comes, and what that method needs beside people's
// secrets. It lies in the data directory, mode 0600, and is no secret by itself: a wrapped root key
// opens only with the passphrase or inside the HSM. README.md has the layout line by line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/unlock/passphrase.h"
#include "crypto/unlock/shamir.h"

namespace holdfast::crypto {

/// Where the root key comes from each day. The names are in the file: never reuse one.
enum class Method : std::uint8_t { file, passphrase, shamir, pkcs11 };
std::span<const std::string_view> enum_names(Method);
std::string_view method_name(Method method);
std::optional<Method> method_of(std::string_view name);
/// True when somebody has to come for each start (a passphrase file does that too).
inline bool needs_people(Method method) {
  return method == Method::passphrase || method == Method::shamir;
}

/// One split of the root key: what tells its shares from those of an earlier one.
struct ShareSet {
  Bytes id;  // 8 bytes
  std::uint8_t needed = 0;
  std::uint8_t total = 0;
  Digest commitment{};
  /// What tells each of its shares from a forged one: 8 bytes each, in order; empty where nobody
  /// had all of them.
  Bytes marks{};
  /// The same split, whatever is known of its shares.
  friend bool operator==(const ShareSet& a, const ShareSet& b) {
    return a.id == b.id && a.needed == b.needed && a.total == b.total &&
           a.commitment == b.commitment;
  }
};
/// As one share says.
ShareSet set_of(const Share& share);
/// Of all of them, in order.
ShareSet set_of(std::span<const Share> all);
/// False when the set knows its shares, and this is none of them. The set is the share's own.
bool is_of(const Share& share, const ShareSet& set);

struct UnlockRecord {
  Bytes store_id;  // 16 bytes
  Method method = Method::file;
  std::optional<ShareSet> recovery;     // absent when it was never stated
  std::optional<ShareSet> everyday;     // method shamir
  PassphraseCost cost{};                // method passphrase
  Bytes salt;                           // method passphrase: 16 bytes
  std::string token_serial, token_key;  // method pkcs11: serial of the token, label of its key
  Bytes wrapped;                        // methods passphrase and pkcs11: the root key
  friend bool operator==(const UnlockRecord&, const UnlockRecord&) = default;
};

/// What a wrapped root key is bound to: the store, the method and its public parameters.
Bytes wrap_binding(const UnlockRecord& record);

std::string format_record(const UnlockRecord& record);
/// Strict: exactly as written. Errors: invalid (not such a file, or of a newer version), corrupt
/// (its checksum, or parts that do not fit each other).
Result<UnlockRecord> parse_record(std::string_view text);

/// Errors: not_found, and those of parse_record. Blocking.
Result<UnlockRecord> read_record(const std::filesystem::path& file);

}  // namespace holdfast::crypto
