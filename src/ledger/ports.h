// What the ledger asks of other rooms. Connected in app/wiring.
#pragma once

#include <string>
#include <string_view>

#include "base/caller.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"

namespace holdfast::ledger {

/// Access control.
class Permits {
 public:
  virtual ~Permits() = default;
  /// Whether the caller's key lives and may use `operation` at this moment. Cheap.
  /// Errors: unauthenticated, forbidden, locked, unavailable.
  virtual Task<Result<void>> still(Caller caller, std::string_view operation) const = 0;
  /// Whether there is an API key of this name, live or ended. Errors: locked, unavailable.
  virtual Task<Result<bool>> known(std::string principal, MonoTime deadline) const = 0;
};

}  // namespace holdfast::ledger
