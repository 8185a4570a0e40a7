// A server that holds no keys: it answers health, keys.status and keys.unlock, and `locked` to all
// else, until it is unlocked or told to stop.
#pragma once

#include <functional>
#include <optional>

#include "app/unlocker.h"
#include "http/gate.h"
#include "http/route.h"

namespace holdfast::app {

/// Whoever calls: nobody can be told apart without the keys, so nobody is.
class LockedGate final : public http::Gate {
 public:
  Task<Result<Caller>> authenticate(http::Credentials credentials) override;
  /// keys.status and keys.unlock. Errors: locked.
  Task<Result<void>> allow(const Caller& caller, std::string_view operation) override;
};

/// Threads: any io_context thread.
class LockedRoutes {
 public:
  LockedRoutes(Unlocker& unlocker, bool over_https)
      : unlocker_(unlocker), over_https_(over_https) {}

  Task<Result<vault::KeysStatus>> status(Caller caller, vault::KeysStatusRequest request);
  /// Errors: forbidden (keys.unlock_over_https is off), and those of Unlocker::attempt.
  Task<Result<vault::UnlockProgress>> unlock(Caller caller, vault::UnlockRequest request);

  /// The rows of an open server; those two work, the others answer `locked`.
  std::vector<http::Route> rows();

 private:
  Unlocker& unlocker_;
  bool over_https_;
};

}  // namespace holdfast::app
