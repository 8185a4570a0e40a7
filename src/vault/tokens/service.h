// Tokens: the address of one field of one record, to keep in the shop's own tables. There is one
// model: creating a token makes the record; no token exists without a customer.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "http/route.h"
#include "vault/context.h"
#include "vault/records/opening.h"
#include "vault/records/service.h"
#include "vault/tokens/codes.h"
#include "vault/tokens/messages.h"
#include "vault/tokens/store.h"

namespace holdfast::vault {

class Repeat;
struct NewCode;

/// Errors as in records/opening.h. Threads: any io_context thread.
class Tokens final : public Follows, public TokenTargets {
 public:
  /// `node` names this server in the handles of card verification codes.
  Tokens(Context context, Opening& opening, Holds& holds, std::string_view node = "node")
      : context_(context), opening_(opening), holds_(holds), codes_(node, context.clock) {}

  /// Seals values of a customer as one record and gives a token and a mask for each. Where a field
  /// declares it, an equal value is answered by the token that it has. Up to 1,000 items of
  /// together 10,000 values; all or none. A token whose text somebody else drew meanwhile is drawn
  /// again. Gives way to other requests every 64 items.
  Task<Result<CreatedTokens>> create(Caller caller, CreateTokens request);
  /// As create, with pending tokens (pending.h) in the place of values. Without an Idempotency-Key
  /// the request is its own: sent again within 24 hours it gets the same tokens. All or none; the
  /// error names the first that does not open. Gives way every 16 values.
  Task<Result<CreatedTokens>> exchange(Caller caller, CreateTokens request);
  /// What a shop seals with while Holdfast is away.
  Task<Result<SealingKey>> sealing_key(Caller caller, SealingKeyRequest request);
  /// At most 1,000; what is not shown is listed with its reason, never left out in silence. Of a
  /// text that several customers share the newest is opened, under self_service the caller's own.
  Task<Result<RevealedTokens>> reveal(Caller caller, RevealTokens request);
  /// The tokens alone; their records stay. Unknown ones are not an error: gone is gone. A text that
  /// customers share goes for all of them. Errors: conflict (a customer is under a legal hold).
  Task<Result<DeletedRows>> remove(Caller caller, DeleteTokens request);

  /// The tokens of a customer who is merged into another stay what they are: their texts are sealed
  /// again for that one. Equal values of the other customer's are found by their tokens from then
  /// on; those of this one only where the whole field shares them.
  Task<Result<void>> follow(const Working& work, SubjectKeys& from, SubjectKeys& into,
                            db::Changes& changes, journal::Event& event,
                            MonoTime deadline) override;

  /// Wipes card verification codes past their time, and all of them while the server is locked,
  /// until stop(). Ends within 200 ms of it.
  Task<void> run();
  void stop() { stopping_.store(true); }
  /// Wipes the codes now: before a lock is answered.
  void forget_codes() { codes_.clear(); }
  const Codes& codes() const { return codes_; }

  Task<Result<std::map<std::string, TokenTarget>>> targets(const crypto::KeySet& keys,
                                                           std::vector<std::string> texts,
                                                           std::optional<SubjectId> own,
                                                           MonoTime deadline) override;

 private:
  /// What create and exchange share: from values to the commit.
  Task<Result<CreatedTokens>> make(std::string_view operation, Working work, Caller caller,
                                   CreateTokens request, Repeat repeat, std::vector<NewCode> codes);
  /// The rows that these tokens stand for, by token.
  Task<Result<std::map<std::string, TokenRow>>> find(const crypto::KeySet& keys,
                                                     std::vector<std::string> tokens,
                                                     std::optional<SubjectId> own,
                                                     MonoTime deadline);
  /// What a repeated request gets: the texts are opened again from their rows.
  Task<Result<CreatedTokens>> repeated(std::string_view operation, const Working& work,
                                       const Caller& caller, std::string remembered);

  Context context_;
  Opening& opening_;
  Holds& holds_;
  Codes codes_;
  std::atomic<bool> stopping_ = false;
};

/// nullptr only to be described.
std::vector<http::Route> token_routes(Tokens* tokens);

}  // namespace holdfast::vault
