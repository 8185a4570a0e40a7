#include "db/dir_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <utility>

#include "db/sqlite/files.h"

namespace holdfast::db {

Result<DirLock> DirLock::take(const std::filesystem::path& dir) {
  const auto path = dir / "holdfast.lock";
  DirLock out(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (out.file_ < 0) return sqlite::cannot_open();
  if (::flock(out.file_, LOCK_EX | LOCK_NB) != 0)
    return Error(Code::conflict,
                 "another Holdfast server runs on this data directory: stop it first, or ask it");
  return out;
}

DirLock::~DirLock() {
  if (file_ >= 0) ::close(file_);
}

DirLock::DirLock(DirLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

}  // namespace holdfast::db
