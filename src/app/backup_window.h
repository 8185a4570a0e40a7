// Which data files a keys file opens. A keys file says how new it is and which keys were gone by
// then; a data file says which keys its rows are under. Compared before anything is put in place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/clock.h"
#include "base/described.h"
#include "base/result.h"
#include "crypto/keyring.h"
#include "journal/left_origins.h"
#include "journal/log.h"
#include "journal/outside.h"
#include "vault/rotations.h"

namespace holdfast::app {

/// The part `window` of a keys file.
struct KeysWindow {
  Time made{};
  std::int64_t journal_size = 0;      // at least as many entries as the data of that moment
  std::int64_t subject_begun = 0;     // the last rotation of subject keys that had begun
  std::int64_t subject_finished = 0;  // and the last whose old keys were destroyed
  /// How far the afterlog had come; nothing in a keys file of an earlier version.
  std::optional<std::int64_t> afterlog_lines{};
  std::optional<std::string> afterlog_digest{};  // hex
  /// The log's history: its name, and those that it left. No name in a keys file of an earlier
  /// version.
  std::optional<std::string> origin{};
  std::vector<journal::LeftOrigin> left{};
  static std::span<const Member> described();
};
/// Errors: corrupt.
Result<KeysWindow> read_window(std::string_view json);
void put_afterlog(KeysWindow& window, const journal::AfterlogEnd& end);
/// Nothing where the window says nothing. Errors: corrupt.
Result<std::optional<journal::AfterlogEnd>> afterlog_of(const KeysWindow& window);
KeysWindow window_of(Time made, std::int64_t journal_size,
                     const std::vector<vault::Rotation>& rotations);

/// The schema of a PostgreSQL database; empty for SQLite.
std::string schema_of(const Config& config);

/// The file `replay.pending` of a store's folder: a database of before is put in place, or gone on
/// with, and the afterlog is not replayed into it yet. A start that finds it, since a restore was
/// cut off, takes the database for what it is; on PostgreSQL only that of the same schema.
struct PendingReplay {
  bool restored = false;  // out of a backup; else a roll-back that was accepted
  std::optional<journal::LogOptions::KnownEnd> afterlog_known{};  // by the backup
};
std::filesystem::path pending_replay_file(const std::filesystem::path& dir);

inline constexpr std::size_t kLongestNote = 1u << 20;  // of that file

/// The whole store, wrapped keys and all, while a restore puts it together. One that was cut off
/// leaves it: whoever has the folder's lock removes it.
std::filesystem::path joined_file(const std::filesystem::path& dir);
void remove_joined(const std::filesystem::path& dir);
/// Durable when it returns. `window`: of the backup; nothing for a roll-back, which leaves what a
/// restore has noted. Errors: unavailable.
Result<void> note_replay(const std::filesystem::path& dir, const std::string& schema,
                         const std::optional<KeysWindow>& window);
/// Errors: corrupt, unavailable.
Result<std::optional<PendingReplay>> pending_replay(const std::filesystem::path& dir,
                                                    const std::string& schema);
/// Errors: unavailable.
Result<void> end_replay(const std::filesystem::path& dir);

/// What a data file says of itself.
struct DataState {
  std::string origin;
  std::int64_t journal_size = 0;  // also entries that are not in order yet
  Time newest{};                  // when its newest entry was made; 1970 without one
  /// The names that its log left. None in a data file of an earlier version.
  std::vector<journal::LeftOrigin> left{};
  std::vector<vault::Rotation> rotations;
};
/// Errors: corrupt, not_found, unavailable.
Result<DataState> read_data_state(const std::filesystem::path& data, const Clock& clock);

/// The epochs under which a keys file wraps customers' keys. Errors: as above.
Result<std::vector<std::uint32_t>> read_epochs(const std::filesystem::path& keys,
                                               const Clock& clock);

/// Whether the keys of all that is in the data are in the keys file, as far as both say. Errors:
/// conflict, with what to take instead.
Result<void> of_one_history(const DataState& data, const KeysWindow& window);

/// Notes in a data file, which the keys file is to be joined to, up to where it then holds the keys
/// of other histories. One of an earlier version takes no such note. Errors: corrupt, unavailable.
Result<void> note_histories(const std::filesystem::path& data, const KeysWindow& window,
                            const Clock& clock);

/// Whether this keyring and keys file open what is in the data. Errors: conflict, each with what to
/// take instead: the data is of a history that the log of the keys file left, the keys file is
/// older than the data, the data is older than keys that were destroyed since, or the keys file is
/// past its window.
Result<void> fits(const DataState& data, const KeysWindow& window,
                  const std::vector<std::uint32_t>& epochs, const crypto::Keyring& ring);

}  // namespace holdfast::app
