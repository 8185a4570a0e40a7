// Tokens: the address of one field of one record, to keep in the shop's own tables. There is one
// model: creating a token makes the record; no token exists without a customer.
#pragma once

#include "http/route.h"
#include "vault/context.h"
#include "vault/records/opening.h"
#include "vault/records/service.h"

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
struct TokenView {
  TokenId token;
  std::optional<std::string> mask;
  static std::span<const Member> described();
};
struct CreatedToken {
  SubjectId subject;
  RecordId record;
  Dict<TokenView> tokens;
  static std::span<const Member> described();
};
struct CreatedTokens {
  std::vector<CreatedToken> items;
  static std::span<const Member> described();
};
struct RevealTokens {
  std::vector<TokenId> tokens;
  std::string purpose;
  std::optional<std::string> on_behalf_of;
  std::optional<std::string> engagement{};
  static std::span<const Member> described();
};
struct TokenRefusal {
  TokenId token;
  std::string reason;
  static std::span<const Member> described();
};
struct RevealedTokens {
  Values values;
  std::vector<TokenId> masked;
  std::vector<TokenRefusal> refused;
  EventId event;
  static std::span<const Member> described();
};
struct DeleteTokens {
  std::vector<TokenId> tokens;
  static std::span<const Member> described();
};

/// Errors as in records/opening.h. Threads: any io_context thread.
class Tokens final : public Follows, public TokenTargets {
 public:
  Tokens(Context context, Opening& opening) : context_(context), opening_(opening) {}

  /// Seals values of a customer as one record and gives a token and a mask for each.
  Task<Result<CreatedTokens>> create(Caller caller, CreateTokens request);
  /// At most 1,000; what is not shown is listed with its reason, never left out in silence.
  Task<Result<RevealedTokens>> reveal(Caller caller, RevealTokens request);
  /// The tokens alone; their records stay. Unknown ones are not an error: gone is gone.
  Task<Result<DeletedRows>> remove(Caller caller, DeleteTokens request);

  /// The tokens of a customer who is merged into another stay what they are.
  Task<Result<void>> follow(SubjectId from, SubjectId into, db::Changes& changes,
                            journal::Event& event, MonoTime deadline) override;

  Task<Result<std::map<std::string, TokenTarget>>> targets(const crypto::KeySet& keys,
                                                           std::vector<std::string> texts,
                                                           MonoTime deadline) override;
  bool may_be(std::string_view) const override { return false; }

 private:
  Context context_;
  Opening& opening_;
};

/// nullptr only to be described.
std::vector<http::Route> token_routes(Tokens* tokens);
std::span<const db::Sql* const> token_statements();

}  // namespace holdfast::vault
