// Where a store's keys lie by its configuration, and what this machine and whoever typed the
// command bring to open them.
#pragma once

#include "app/config.h"
#include "app/local.h"
#include "crypto/unlock/root.h"
#include "vault/keys/unlocking.h"

namespace holdfast::app {

inline constexpr std::size_t kLongestSecret = 64 << 10;

crypto::RootFiles root_files(const Config& config);
/// Errors: invalid (a number of days that is none).
Result<vault::UnlockPlaces> unlock_places(const Config& config);

/// DIR/locked: while it is there the store stays locked.
std::filesystem::path latch_file(const Config& config);
struct Latch {
  std::optional<Time> at;
  std::string by;
};
/// nullopt when there is none. One that cannot be read is one.
std::optional<Latch> read_latch(const std::filesystem::path& file);

/// What opens the store without anybody: a passphrase file or systemd's credential.
/// Errors: forbidden (others can read the file), invalid (no passphrase in it), unavailable.
Result<crypto::Means> own_means(const Config& config);
/// The same, then the shares and the passphrase file that were named, then a question on the
/// terminal where the method is passphrase. Errors: those above; invalid (a share that is none).
Result<crypto::Means> means_of(const LocalOptions& options, const Config& config);

/// From standard input or a question on the terminal, twice where it is a new one.
/// Errors: invalid.
Result<Secret> ask_passphrase(const char* what, bool twice);
/// The text of a file, or of standard input for `-`. Errors: not_found, too_large, unavailable.
Result<Secret> read_secret(const std::string& file, std::size_t longest = kLongestSecret);

/// Opens the keyring for a command on this machine.
/// Errors: locked (on purpose: `holdfast unlock` first), and those of crypto::open_store.
Result<crypto::OpenedStore> unlock(const Config& config, const crypto::Means& means);

/// `holdfast unlock`: gives a locked server what it needs, or takes the latch off a stopped one.
int unlock_command(const LocalOptions& options);

}  // namespace holdfast::app
