// What the journal keeps outside the database, so that the database alone cannot be rolled back
// unnoticed: the witness (the latest checkpoint) and the afterlog (what a restore must not undo).
// Blocking file work: the journal calls it on its own thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/keyring.h"

namespace holdfast::journal {

/// Writes beside, fsyncs, renames, fsyncs the folder. Mode 0600.
Result<void> write_file_atomically(const std::filesystem::path& file, std::string_view text);
/// The second half of that, for a file that was written already.
Result<void> replace_file(const std::filesystem::path& beside, const std::filesystem::path& file);
/// What an errno of open(2) or read(2) means to who named the file: not_found, invalid (a folder),
/// unavailable.
Error unreadable(int error);
/// Errors: those of unreadable(), too_large (over `limit`).
Result<std::string> read_small_file(const std::filesystem::path& file, std::size_t limit);

/// One line of the afterlog.
struct AfterlogEntry {
  std::string kind;  // "subject.erased", "api_key.revoked"
  Bytes id;
  Time at{};
};
/// The afterlog lacked lines, or was not there: from that time back nobody can say what it named.
/// The id is the number of lines that were expected, 0 when nobody could say (u64, big-endian).
inline constexpr std::string_view kAfterlogLost = "afterlog.lost";
/// What follows from that was done: the id is the number of lines before this one.
inline constexpr std::string_view kAfterlogSettled = "afterlog.settled";

/// How far an afterlog has come. Kept elsewhere, it shows whether lines were cut off the end.
struct AfterlogEnd {
  std::uint64_t lines = 0;
  crypto::Digest digest{};  // SHA-256 over the one before and the line; the same under every key
  friend bool operator==(const AfterlogEnd&, const AfterlogEnd&) = default;
};

/// What the end of an afterlog, and the version of the policy, are signed as beside the head of
/// their log.
inline std::string afterlog_origin(std::string_view log) {
  return std::string(log) + "/afterlog";
}
inline std::string policy_origin(std::string_view log) {
  return std::string(log) + "/policy";
}

/// What an afterlog's text says.
struct AfterlogText {
  std::vector<AfterlogEntry> entries;
  std::size_t whole = 0;  // bytes up to the end of the last whole line
  crypto::Digest last{};  // MAC of that line
  AfterlogEnd end;
};
/// Errors: corrupt.
Result<AfterlogText> parse_afterlog(std::string_view text, const crypto::Hmac& mac);
/// One line, and its MAC, which the next line covers.
std::string afterlog_line(const AfterlogEntry& entry, const crypto::Hmac& mac,
                          crypto::Digest& last);

/// An append-only file whose lines are chained by HMAC: `time kind id mac`, where each MAC covers
/// the one before. Threads: safe.
class Afterlog {
 public:
  /// Makes a new one, with these lines or not at all; refuses to overwrite.
  static Result<void> make(const std::filesystem::path& file, BytesView key,
                           const std::vector<AfterlogEntry>& first = {});
  /// Reads and checks all of it, however long it is. Errors: not_found; corrupt (a line was
  /// changed, taken out, or is of another store). An incomplete last line is what a crash leaves:
  /// it was never acknowledged and is cut off. That whole lines are missing at the end is seen by
  /// continues() alone. Memory: what the lines say.
  static Result<std::unique_ptr<Afterlog>> open(std::filesystem::path file, BytesView key);
  /// Under whichever of the store's keys, newest first: a rotation may have stopped on the way.
  static Result<std::unique_ptr<Afterlog>> open(const std::filesystem::path& file,
                                                const crypto::Keyring& ring);

  /// Durable when it returns. Errors: too_large (an id over 500 KiB), locked, unavailable.
  Result<void> append(std::string_view kind, BytesView id, Time at);
  std::vector<AfterlogEntry> entries() const;
  AfterlogEnd end() const;
  /// Whether it is this one, or goes on from there. Cost: a hash for each line.
  bool continues(const AfterlogEnd& end) const;
  /// Writes all lines anew under another key: beside, then in place of the file, so that after a
  /// crash it is whole under the one or the other. False when this is its key already.
  Result<bool> rekey(BytesView key);
  /// From here on append() answers `locked`.
  void forget_key();

  ~Afterlog();
  Afterlog(const Afterlog&) = delete;
  Afterlog& operator=(const Afterlog&) = delete;

 private:
  Afterlog(std::filesystem::path file, int fd, crypto::Hmac mac)
      : file_(std::move(file)), fd_(fd), mac_(std::move(mac)) {}

  std::filesystem::path file_;
  int fd_;
  mutable std::mutex mutex_;
  std::optional<crypto::Hmac> mac_;
  crypto::Digest last_{};
  AfterlogEnd end_;
  std::vector<AfterlogEntry> entries_;
  bool cut_off_ = false;  // a line that failed could not be taken back: nothing may follow it
};

}  // namespace holdfast::journal
