// Repeating a request that creates something gives the same answer instead of a second thing.
// Kept per caller for 24 hours: a keyed fingerprint of the request, and the ids that it made.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vault/context.h"

namespace holdfast::vault {

/// One idempotency key in use by one request. Without a key every member does nothing.
class Repeat {
 public:
  /// `request` is all that the answer depends on; it is only hashed.
  Repeat(const crypto::KeySet& keys, const Caller& caller, std::string_view operation,
         std::string_view key, std::string_view request, Time now);

  /// The answer given before, if any. Errors: conflict (same key, other request).
  Task<Result<std::optional<std::string>>> earlier(db::Reader& reader, MonoTime deadline) const;
  /// Remembers the answer with the changes that it tells of, and forgets those past their time.
  void remember(db::Changes& changes, std::string answer) const;

 private:
  bool used_ = false;
  std::string principal_;
  Bytes term_, fingerprint_;
  /// The same under keys that are being retired, newest first: an answer is found under these too.
  std::vector<std::pair<Bytes, Bytes>> older_;
  Time now_;
};

}  // namespace holdfast::vault
