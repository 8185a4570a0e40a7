// What the ledger asks of other rooms. Connected in app/wiring.
#pragma once

#include <string_view>

#include "base/caller.h"
#include "base/result.h"
#include "base/task.h"

namespace holdfast::ledger {

/// Access control, for streams, which outlast keys.
class Permits {
 public:
  virtual ~Permits() = default;
  /// Whether the caller's key lives and may use `operation` at this moment. Cheap.
  /// Errors: unauthenticated, forbidden, locked, unavailable.
  virtual Task<Result<void>> still(Caller caller, std::string_view operation) const = 0;
};

}  // namespace holdfast::ledger
