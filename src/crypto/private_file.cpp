#include "crypto/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace holdfast::crypto {
namespace {

using Done = std::expected<void, FileTrouble>;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::unexpected<FileTrouble> trouble(int error) {
  switch (error) {
    case ENOENT:
      return std::unexpected(FileTrouble::missing);
    case EEXIST:
      return std::unexpected(FileTrouble::exists);
    case ENOSPC:
    case EDQUOT:
      return std::unexpected(FileTrouble::no_space);
    case EACCES:
    case EPERM:
    case EROFS:
      return std::unexpected(FileTrouble::not_allowed);
    default:
      return std::unexpected(FileTrouble::failed);
  }
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

Done sync_folder(const std::filesystem::path& folder) {
  Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return trouble(errno);
  return {};
}

Done make_folders(const std::filesystem::path& folder) {
  if (folder.empty() || ::access(folder.c_str(), F_OK) == 0) return {};
  auto above = folder.parent_path();
  if (above != folder)
    if (auto made = make_folders(above); !made) return made;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return trouble(errno);
  return sync_folder(folder_of(folder));
}

Done write_all(int fd, BytesView bytes) {
  while (!bytes.empty()) {
    auto count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return trouble(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

/// A new file with these bytes on the disk; its name is not durable yet.
Done write_new(const std::filesystem::path& file, BytesView bytes) {
  Descriptor fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return trouble(errno);
  auto written = write_all(fd.get(), bytes);
  if (written && ::fsync(fd.get()) != 0) written = trouble(errno);
  if (!written) ::unlink(file.c_str());
  return written;
}

/// systemd gives a unit's user its credentials by an access list, on files that are root's own: the
/// list's mask then shows as the group's right to read (systemd.exec(5), "Credentials").
mode_t rights_of_others(const struct stat& file) {
  const auto rights = file.st_mode & (S_IRWXG | S_IRWXO);
  const bool credential = file.st_uid == 0 && file.st_gid == 0 && (file.st_mode & 0777) == 0440;
  return credential ? 0 : rights;
}

}  // namespace

std::expected<Secret, FileTrouble> read_private(const std::filesystem::path& file,
                                                std::size_t limit) {
  // O_NONBLOCK: a FIFO in this place must not hold up the start.
  Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return trouble(errno);
  struct stat found{};
  if (::fstat(fd.get(), &found) != 0) return trouble(errno);
  if (!S_ISREG(found.st_mode) || (found.st_uid != ::geteuid() && found.st_uid != 0))
    return std::unexpected(FileTrouble::foreign);
  if (rights_of_others(found) != 0) return std::unexpected(FileTrouble::exposed);
  if (std::cmp_greater(found.st_size, limit)) return std::unexpected(FileTrouble::too_large);

  Secret bytes(static_cast<std::size_t>(found.st_size));
  std::size_t have = 0;
  while (have < bytes.size()) {
    auto rest = bytes.expose_mut().subspan(have);
    auto count = ::read(fd.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return trouble(errno);
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  bytes.shrink(have);
  return bytes;
}

Done create_private(const std::filesystem::path& file, BytesView bytes) {
  if (auto made = make_folders(file.parent_path()); !made) return made;
  if (auto written = write_new(file, bytes); !written) return written;
  return sync_folder(folder_of(file));
}

Done replace_private(const std::filesystem::path& file, BytesView bytes) {
  if (auto made = make_folders(file.parent_path()); !made) return made;
  auto fresh = file;
  fresh += ".new";
  // One may be left from a crash before its rename: it never counted.
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return trouble(errno);
  if (auto written = write_new(fresh, bytes); !written) return written;
  if (::rename(fresh.c_str(), file.c_str()) != 0) {
    auto failed = trouble(errno);
    ::unlink(fresh.c_str());
    return failed;
  }
  return sync_folder(folder_of(file));
}

Done move_private(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return trouble(errno);
  return sync_folder(folder_of(to));
}

Done remove_private(const std::filesystem::path& file) {
  if (::unlink(file.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return trouble(errno);
  }
  return sync_folder(folder_of(file));
}

}  // namespace holdfast::crypto
