#include "db/sqlite/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace holdfast::db::sqlite {
namespace {

constexpr mode_t kOthers = 077;

class File {
 public:
  File(const std::filesystem::path& path, int flags)
      : file_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  explicit operator bool() const { return file_ >= 0; }
  int get() const { return file_; }
  int release() { return std::exchange(file_, -1); }

 private:
  int file_;
};

}  // namespace

Error cannot_open() {
  switch (errno) {
    case EACCES:
    case EPERM:
      return {Code::unavailable,
              "the data directory is not open to this user; mend its owner or mode"};
    case EROFS:
      return {Code::unavailable, "the data directory is on a read-only disk"};
    case ENOSPC:
    case EDQUOT:
      return {Code::unavailable,
              "the disk is full: make room on it; nothing that was acknowledged is lost"};
    case EEXIST:
      return {Code::conflict, "the file exists already"};
    case ELOOP:
      return {Code::invalid, "a file of the data directory is a symbolic link"};
    default:
      return {Code::unavailable, "a file of the data directory cannot be opened"};
  }
}

Result<void> prepare_dir(const std::filesystem::path& dir) {
  if (::mkdir(dir.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return cannot_open();
  std::error_code failed;
  if (!std::filesystem::is_directory(dir, failed))
    return Error(Code::invalid, "the data directory's path is a file");
  return {};
}

Result<void> prepare_file(const std::filesystem::path& path) {
  File file(path, O_RDWR | O_CREAT | O_NOFOLLOW);
  if (!file) return cannot_open();
  struct stat found{};
  if (::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode))
    return Error(Code::invalid, "the database is not a regular file");
  if ((found.st_mode & kOthers) != 0)
    return Error(Code::invalid, "the database file is open to other users; chmod it to 600");
  return {};
}

Result<void> make_new_file(const std::filesystem::path& path) {
  File file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW);
  if (!file) return cannot_open();
  return {};
}

Result<void> sync_file(const std::filesystem::path& path) {
  File file(path, O_RDWR);
  auto parent = path.parent_path();
  File dir(parent.empty() ? std::filesystem::path(".") : parent, O_RDONLY | O_DIRECTORY);
  if (!file || !dir || ::fsync(file.get()) != 0 || ::fsync(dir.get()) != 0)
    return Error(Code::unavailable, "a file could not be made durable");
  return {};
}

}  // namespace holdfast::db::sqlite
