// What the HTTP server asks of access control. app/wiring connects the two.
#pragma once

#include <string>
#include <string_view>

#include "base/caller.h"
#include "base/result.h"
#include "base/task.h"

namespace holdfast::http {

struct Credentials {
  std::string authorization;  // the header's value, empty without
  std::string address;        // of the peer, or the right-most hop a configured proxy names
  std::string user_agent;     // at most 256 bytes
  std::string request_id;
  MonoTime deadline;
};

class Gate {
 public:
  virtual ~Gate() = default;
  /// Errors: unauthenticated (one text for unknown, wrong, expired and revoked; the journal knows
  /// which), forbidden (network), locked, unavailable.
  virtual Task<Result<Caller>> authenticate(Credentials credentials) = 0;
  /// May this caller use this operation at all? The refusal is recorded before it is returned.
  virtual Task<Result<void>> allow(const Caller& caller, std::string_view operation) = 0;
};

}  // namespace holdfast::http
