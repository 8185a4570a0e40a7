// Disk space kept back beside the database, so that what matters most can still be recorded when
// the disk runs full: a file that is given up then, and made again when there is room.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>

namespace holdfast::db::sqlite {

/// Threads: safe.
class Reserve {
 public:
  /// Without bytes there is none; nor on a disk that holds less than sixteen times as much.
  Reserve(std::filesystem::path file, std::uint64_t bytes);

  /// Makes the file when it is missing. Without room for twice as much it counts as given. Cost:
  /// two system calls, where there is none to be made.
  void keep();
  /// Frees the space; true when there was any. From now on it is given, until keep() makes it anew.
  bool give();
  bool given() const { return given_; }

 private:
  std::filesystem::path file_;
  std::uint64_t bytes_;
  std::mutex mutex_;
  bool held_ = false;  // guarded by mutex_
  std::atomic<bool> given_ = false;
};

}  // namespace holdfast::db::sqlite
