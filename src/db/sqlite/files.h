// The files of a data directory: made with mode 0600, refused when others can read them, and held
// by one server at a time.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace holdfast::db::sqlite {

/// An exclusive flock(2) on `dir/holdfast.lock`, until it is destroyed or the process ends.
class DirLock {
 public:
  static Result<DirLock> take(const std::filesystem::path& dir);
  ~DirLock();
  DirLock(DirLock&& other) noexcept;
  DirLock& operator=(DirLock&&) = delete;

 private:
  explicit DirLock(int file) : file_(file) {}
  int file_;
};

/// Makes the directory (mode 0700) when it is missing.
Result<void> prepare_dir(const std::filesystem::path& dir);
/// Makes an empty file when it is missing; an existing one must belong to nobody but its owner.
Result<void> prepare_file(const std::filesystem::path& file);
/// Makes an empty file that must not exist yet.
Result<void> make_new_file(const std::filesystem::path& file);
/// Makes what was written to a file, and its name, outlast a power cut.
Result<void> sync_file(const std::filesystem::path& file);

}  // namespace holdfast::db::sqlite
