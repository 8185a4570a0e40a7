// What the tokens' operations take and give, each member described once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"

namespace holdfast::vault {

struct NewTokens {
  std::string subject;
  std::string collection;
  Values values;
  static std::span<const Member> described();
};
struct CreateTokens {
  std::optional<std::string> subject;
  std::optional<std::string> collection;
  Values values;
  std::vector<NewTokens> items;
  std::string idempotency_key;
  static std::span<const Member> described();
};
/// One form for both ways to write a request: `items`. Errors: invalid (neither, both, or nobody
/// named).
Result<void> as_items(CreateTokens& request);

struct TokenView {
  std::string token;
  std::optional<std::string> mask;
  std::optional<RecordId> record;  // of a value that had its token before
  static std::span<const Member> described();
};
struct CreatedToken {
  SubjectId subject;
  std::optional<RecordId> record;  // absent: every value had a token, or is a verification code
  Dict<TokenView> tokens;
  static std::span<const Member> described();
};
struct CreatedTokens {
  std::vector<CreatedToken> items;
  static std::span<const Member> described();
};
struct RevealTokens {
  std::vector<std::string> tokens;
  std::string purpose;
  std::optional<std::string> on_behalf_of;
  std::optional<std::string> engagement{};
  static std::span<const Member> described();
};
struct TokenRefusal {
  std::string token;
  std::string reason;
  static std::span<const Member> described();
};
struct RevealedTokens {
  Values values;
  std::vector<std::string> masked;
  std::vector<TokenRefusal> refused;
  EventId event;
  static std::span<const Member> described();
};
/// The public key with which a shop seals while Holdfast is away. Not a secret.
struct SealingKey {
  std::int64_t key_id = 0;
  std::string public_key;  // base64url
  std::string store;       // hexadecimal
  std::string suite;       // as RFC 9180 names it
  static std::span<const Member> described();
};
struct SealingKeyRequest {
  static std::span<const Member> described() { return {}; }
};
struct DeleteTokens {
  std::vector<std::string> tokens;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
