// Backups: two files to two places, consistent while serving. The way back is restore.cpp.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/backup_files.h"
#include "app/backup_window.h"
#include "base/described.h"
#include "base/task.h"
#include "http/route.h"

namespace holdfast::app {

class Instance;

struct BackupRequest {
  static std::span<const Member> described() { return {}; }
};
struct BackupMade {
  std::string data;
  std::string keys;
  std::int64_t journal_size = 0;
  std::int64_t keys_files_destroyed = 0;
  std::optional<Time> copies_dead_before;
  EventId event;
  static std::span<const Member> described();
};

/// The keys files of a folder, and unfinished ones, whose names say that they were made before that
/// time. None where there is no folder. Errors: unavailable. Blocking.
Result<std::vector<std::filesystem::path>> keys_files(const std::filesystem::path& dir,
                                                      Time before);
/// Removes the keys files of a folder, and unfinished ones, whose names say that they were made
/// before that time, and gives how many there were. Errors: unavailable. Blocking.
Result<std::int64_t> destroy_keys_files(const std::filesystem::path& dir, Time before);

/// Threads: any io_context thread; the work runs on the pool.
class Backups {
 public:
  explicit Backups(Instance& instance) : instance_(instance) {}

  /// Writes holdfast-data-TIME.db into backup.data and holdfast-keys-TIME.db into backup.keys, then
  /// destroys keys files older than backup.keep_keys. One at a time (exhausted). Until the keys are
  /// split from the data both are in backup.keys, as `.part`; what a backup left that was cut off
  /// is removed by the next.
  /// Errors: unavailable (disk, pool), locked, conflict (a change of the keyring runs, or destroyed
  /// a key that the copy is under).
  Task<Result<BackupMade>> create(Caller caller, BackupRequest request);

  /// nullptr only to be described.
  static std::vector<http::Route> rows(Backups* backups);

 private:
  Task<Result<BackupMade>> make(Caller caller);
  Task<Result<std::map<std::string, Bytes>>> keys_for(const BackupFiles& files, KeysWindow window);
  Task<Result<std::int64_t>> add_keys(BackupFiles files, Time now);

  Instance& instance_;
  std::atomic<bool> running_ = false;
};

}  // namespace holdfast::app
