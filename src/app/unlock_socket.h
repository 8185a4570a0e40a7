// The local door of a locked server: a Unix socket DIR/unlock.sock, mode 0600, for the server's own
// user and root. One JSON line each way: {"command":"status"} or {"command":"unlock", ...}.
#pragma once

#include <filesystem>
#include <memory>

#include "app/unlocker.h"
#include "base/cores.h"

namespace holdfast::app {

/// Threads: made and stopped on the main thread; serves on core 0, one line per connection, eight
/// connections at a time, ten seconds each besides the work itself.
class UnlockSocket {
 public:
  /// Errors: unavailable (the socket cannot be made).
  static Result<std::unique_ptr<UnlockSocket>> open(const std::filesystem::path& dir, Cores& cores,
                                                    Unlocker& unlocker);
  /// Takes no more, waits for those that are answered, removes the socket.
  ~UnlockSocket();

 private:
  struct Impl;
  explicit UnlockSocket(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;  // shared with the tasks that serve
};

struct SocketRequest {
  std::string command;
  std::optional<Secret> share;
  std::optional<Secret> passphrase;
  bool restart = false;
  static std::span<const Member> described();
};

/// `code` and what follows on failure; one of the others when it went well.
struct SocketAnswer {
  std::optional<std::string> code{};
  std::optional<std::string> detail{};
  std::optional<std::string> field{};
  std::optional<vault::KeysStatus> status{};
  std::optional<vault::UnlockProgress> progress{};
  static std::span<const Member> described();
};

/// Sends one line to DIR/unlock.sock and gives the answer. Blocking, up to a minute.
/// Errors: not_found (nobody listens there), unavailable; else what the server answered, as text.
Result<Secret> ask_socket(const std::filesystem::path& dir, const Secret& line);

}  // namespace holdfast::app
