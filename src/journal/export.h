// The log as one file that can be verified offline.
//
//   "holdfast journal export 1\n", then records: tag (1 byte) | length (4, big-endian) | bytes
//     K  the log's verifier key (C2SP signed-note)
//     C  the signed checkpoint (C2SP tlog-checkpoint); its size says how many E follow
//     E  an entry, canonical JSON; the first is number 0
//     L  behind the E of a batch: its leaves, each as length (4, big-endian) | bytes
//     Z  the end, empty
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "journal/check.h"
#include "journal/log.h"

namespace holdfast::journal {

/// Takes the next bytes of the file.
using Sink = std::function<Task<Result<void>>(std::string_view)>;

/// Streams what the log holds when the call begins, in pieces of some 64 KiB. Flat memory; the log
/// and what the sink refers to must outlive the task.
/// Errors: those of the sink; unavailable; corrupt (an entry is missing).
Task<Result<void>> export_log(Log& log, Sink sink);

/// Fills the span as far as it can; 0 at the end.
using ReadSome = std::function<Result<std::size_t>(std::span<char>)>;

/// Verifies an export with the checkpoint in it: entries, batches, root, signature. Blocking, on
/// the calling thread and two more: at least a million entries a second. Flat memory (16 MiB, more
/// only for batches that are larger).
/// Errors: invalid (not an export, cut off), too_large, corrupt (the checkpoint is not signed by
/// the key, or the key is not the expected one); what is wrong with entries is in the report.
Result<VerifyReport> verify_export(const ReadSome& read,
                                   std::optional<std::string_view> expected_key,
                                   const Progress& progress = {});
/// The same from a file. Errors also: not_found, unavailable.
Result<VerifyReport> verify_export(const std::filesystem::path& file,
                                   std::optional<std::string_view> expected_key,
                                   const Progress& progress = {});

}  // namespace holdfast::journal
