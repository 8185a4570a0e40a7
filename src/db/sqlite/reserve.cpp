#include "db/sqlite/reserve.h"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>
#include <utility>

namespace holdfast::db::sqlite {

namespace fs = std::filesystem;

namespace {
constexpr std::uint64_t kSmallestDisk = 16;  // reserves
}

Reserve::Reserve(fs::path file, std::uint64_t bytes) : file_(std::move(file)), bytes_(bytes) {
  std::error_code failed;
  held_ = bytes_ > 0 && fs::file_size(file_, failed) == bytes_ && !failed;
  if (!held_) fs::remove(file_, failed);  // another size was asked for, or none
}

void Reserve::keep() {
  std::scoped_lock lock(mutex_);
  if (held_ || bytes_ == 0) return;
  std::error_code failed;
  auto space = fs::space(file_.parent_path(), failed);
  if (failed || space.capacity / kSmallestDisk < bytes_) return;
  given_ = space.available / 2 < bytes_;
  if (given_) return;
  const int out = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (out < 0) return;
  // Writes zeros where the file system cannot set blocks aside.
  held_ = ::posix_fallocate(out, 0, static_cast<off_t>(bytes_)) == 0;
  ::close(out);
  if (!held_) fs::remove(file_, failed);
}

bool Reserve::give() {
  std::scoped_lock lock(mutex_);
  if (!std::exchange(held_, false)) return false;
  std::error_code failed;
  fs::remove(file_, failed);  // where somebody did before, there is room too
  given_ = true;
  return true;
}

}  // namespace holdfast::db::sqlite
