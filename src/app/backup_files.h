// What a backup's two files are called and hold.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace holdfast::app {

/// The tables whose rows are in the keys file, not in the data file.
inline constexpr std::string_view kKeyTables[] = {"vault_subject_keys"};
inline constexpr std::size_t kLongestKeyring = 16u << 20;

/// The files of one backup.
struct BackupFiles {
  std::filesystem::path data, keys;
};

/// 20261123T093000123Z: sorts by time and is a name on every file system.
std::string stamp(Time now);

}  // namespace holdfast::app
