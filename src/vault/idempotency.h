// Repeating a request that creates something gives the same answer instead of a second thing.
// Kept per caller for 24 hours: the ids that it made, and a MAC over them and the request.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vault/context.h"

namespace holdfast::vault {

/// One idempotency key in use by one request. Without a key every member does nothing.
class Repeat {
 public:
  /// `request` is all that the answer depends on; it is only hashed.
  Repeat(const crypto::KeySet& keys, const Caller& caller, std::string_view operation,
         std::string_view key, std::string_view request, Time now);

  /// The answer given before, if any. Errors: conflict (same key, other request; or a row that
  /// somebody else wrote).
  Task<Result<std::optional<std::string>>> earlier(db::Reader& reader, MonoTime deadline) const;
  /// Remembers the answer with the changes that it tells of, and forgets those past their time.
  void remember(db::Changes& changes, std::string answer) const;

 private:
  /// Under one key of the keyring.
  struct Under {
    crypto::Hmac mac;
    Bytes term, request;
  };
  Bytes sealed(const Under& under, std::string_view answer, std::int64_t expires_ms) const;

  std::string principal_;
  /// Newest first: an answer is found under keys that are being retired, too. None without a key.
  std::vector<Under> under_;
  Time now_;
};

}  // namespace holdfast::vault
