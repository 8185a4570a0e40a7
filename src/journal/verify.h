// The log against itself, online: every entry, every batch, every tile, the checkpoint and the
// witness. export.h does the same offline from a file; state_check.h holds rows against it.
#pragma once

#include "journal/check.h"
#include "journal/log.h"

namespace holdfast::journal {

/// Verifies what the log holds when the call begins; it may grow meanwhile. Reads in slices on the
/// caller's thread and hashes on two threads of its own. Flat memory. The log must outlive it.
/// Errors: unavailable (what is wrong with the log is in the report).
Task<Result<VerifyReport>> verify_log(Log& log, Progress progress = {});

}  // namespace holdfast::journal
