// One server at a time on a store's folder, whatever its database is.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace holdfast::db {

/// An exclusive flock(2) on `dir/holdfast.lock`, until it is destroyed or the process ends.
class DirLock {
 public:
  /// Errors: conflict (another has it), unavailable.
  static Result<DirLock> take(const std::filesystem::path& dir);
  ~DirLock();
  DirLock(DirLock&& other) noexcept;
  DirLock& operator=(DirLock&&) = delete;

 private:
  explicit DirLock(int file) : file_(file) {}
  int file_;
};

}  // namespace holdfast::db
