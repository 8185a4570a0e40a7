// A disk that fails when a test says so: a layer over SQLite's own file access.
#pragma once

#include <sqlite3.h>

#include <atomic>

namespace holdfast::db::test_disk {

/// All connections opened while it lives go through it. One at a time.
class FaultyDisk {
 public:
  FaultyDisk() {
    sqlite3_vfs* real = sqlite3_vfs_find(nullptr);
    vfs_ = *real;
    vfs_.zName = "faulty";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
    vfs_.pAppData = real;
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultyDisk() { sqlite3_vfs_unregister(&vfs_); }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  /// While these are set, calls on logs or database files fail with an I/O error.
  static inline std::atomic<bool> log_syncs_fail = false;
  static inline std::atomic<bool> log_writes_fail = false;
  static inline std::atomic<bool> database_syncs_fail = false;
  static inline std::atomic<bool> database_reads_fail = false;

 private:
  struct File : sqlite3_file {
    bool log;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File& file(sqlite3_file* base) { return *static_cast<File*>(base); }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* base, int flags, int* out) {
    auto* real = static_cast<sqlite3_vfs*>(vfs->pAppData);
    file(base).log = (flags & SQLITE_OPEN_WAL) != 0;
    int code = real->xOpen(real, name, file(base).real(), flags, out);
    base->pMethods = file(base).real()->pMethods == nullptr ? nullptr : &kMethods;
    return code;
  }

  /// Calls the real file's method of the same name.
  template <auto Method, class... Args>
  static int pass(sqlite3_file* base, Args... args) {
    sqlite3_file* real = file(base).real();
    return (real->pMethods->*Method)(real, args...);
  }
  static int read(sqlite3_file* base, void* data, int size, sqlite3_int64 at) {
    if (database_reads_fail && !file(base).log) return SQLITE_IOERR_READ;
    return pass<&sqlite3_io_methods::xRead>(base, data, size, at);
  }
  static int write(sqlite3_file* base, const void* data, int size, sqlite3_int64 at) {
    if (log_writes_fail && file(base).log) return SQLITE_IOERR_WRITE;
    return pass<&sqlite3_io_methods::xWrite>(base, data, size, at);
  }
  static int sync(sqlite3_file* base, int flags) {
    if (file(base).log ? log_syncs_fail : database_syncs_fail) return SQLITE_IOERR_FSYNC;
    return pass<&sqlite3_io_methods::xSync>(base, flags);
  }
  static void barrier(sqlite3_file* base) {
    file(base).real()->pMethods->xShmBarrier(file(base).real());
  }

  static constexpr sqlite3_io_methods kMethods = {
      .iVersion = 2,
      .xClose = pass<&sqlite3_io_methods::xClose>,
      .xRead = read,
      .xWrite = write,
      .xTruncate = pass<&sqlite3_io_methods::xTruncate, sqlite3_int64>,
      .xSync = sync,
      .xFileSize = pass<&sqlite3_io_methods::xFileSize, sqlite3_int64*>,
      .xLock = pass<&sqlite3_io_methods::xLock, int>,
      .xUnlock = pass<&sqlite3_io_methods::xUnlock, int>,
      .xCheckReservedLock = pass<&sqlite3_io_methods::xCheckReservedLock, int*>,
      .xFileControl = pass<&sqlite3_io_methods::xFileControl, int, void*>,
      .xSectorSize = pass<&sqlite3_io_methods::xSectorSize>,
      .xDeviceCharacteristics = pass<&sqlite3_io_methods::xDeviceCharacteristics>,
      .xShmMap = pass<&sqlite3_io_methods::xShmMap, int, int, int, void volatile**>,
      .xShmLock = pass<&sqlite3_io_methods::xShmLock, int, int, int>,
      .xShmBarrier = barrier,
      .xShmUnmap = pass<&sqlite3_io_methods::xShmUnmap, int>,
  };

  sqlite3_vfs vfs_{};
};

}  // namespace holdfast::db::test_disk
