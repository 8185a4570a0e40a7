// The files of a data directory: made with mode 0600, refused when others can read them.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace holdfast::db::sqlite {

/// Why open(2) failed, out of errno.
Error cannot_open();
/// Makes the directory (mode 0700) when it is missing.
Result<void> prepare_dir(const std::filesystem::path& dir);
/// Makes an empty file when it is missing; an existing one must belong to nobody but its owner.
Result<void> prepare_file(const std::filesystem::path& file);
/// Makes an empty file that must not exist yet.
Result<void> make_new_file(const std::filesystem::path& file);
/// Makes what was written to a file, and its name, outlast a power cut.
Result<void> sync_file(const std::filesystem::path& file);

}  // namespace holdfast::db::sqlite
