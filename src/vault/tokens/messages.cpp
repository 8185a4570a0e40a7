#include "vault/tokens/messages.h"

#include "vault/token_shape.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kMost = 1000;
constexpr Limits kToken{.bytes = kLongestToken};
constexpr Limits kTokens{.bytes = kLongestToken, .count = kMost};

}  // namespace

std::span<const Member> NewTokens::described() {
  using T = NewTokens;
  static constexpr Member kMembers[] = {
      member<&T::subject>("subject", "The customer: `sub_...` or `ext:` and the shop's own id.",
                          {.bytes = 260}),
      member<&T::collection>("collection", "The collection that declares the fields.",
                             {.bytes = 63}),
      member<&T::values>("values", "Field names and values.", {.bytes = 65'536, .count = 200},
                         holdfast::Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> CreateTokens::described() {
  using T = CreateTokens;
  static constexpr Member kMembers[] = {
      member<&T::subject>("subject", "The customer: `sub_...` or `ext:` and the shop's own id.",
                          {.bytes = 260}),
      member<&T::collection>("collection", "The collection that declares the fields.",
                             {.bytes = 63}),
      member<&T::values>("values", "Field names and values.", {.bytes = 65'536, .count = 200},
                         holdfast::Place::body, Sensitivity::personal),
      member<&T::items>("items", "Several customers at once, instead of `subject` and `values`.",
                        {.count = kMost}, holdfast::Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> TokenView::described() {
  using T = TokenView;
  static constexpr Member kMembers[] = {
      member<&T::token>("token", "Keep this in the shop's own tables.", kToken),
      member<&T::mask>("mask", "To show in its place; absent in a repeated answer.", {},
                       holdfast::Place::body, Sensitivity::personal),
      member<&T::record>("record",
                         "The record that held an equal value already, by whose token it "
                         "was answered.")};
  return kMembers;
}

std::span<const Member> CreatedToken::described() {
  using T = CreatedToken;
  static constexpr Member kMembers[] = {
      member<&T::subject>("subject", "The customer's id."),
      member<&T::record>("record", "The record that holds the values that are new."),
      member<&T::tokens>("tokens", "By field.", {.count = 200})};
  return kMembers;
}

std::span<const Member> CreatedTokens::described() {
  static constexpr Member kMembers[] = {
      member<&CreatedTokens::items>("items", "In the order of the request.")};
  return kMembers;
}

std::span<const Member> RevealTokens::described() {
  using T = RevealTokens;
  static constexpr Member kMembers[] = {
      member<&T::tokens>("tokens", "The tokens to open.", kTokens),
      member<&T::purpose>("purpose", "A declared purpose, such as `support`.", {.bytes = 63}),
      member<&T::on_behalf_of>("on_behalf_of", "Whom the key acts for, such as `staff:17`.",
                               {.bytes = 100}),
      member<&T::engagement>(
          "engagement",
          "The live engagement (`eng_...`) that this is for, where a grant demands one.",
          {.bytes = 30})};
  return kMembers;
}

std::span<const Member> TokenRefusal::described() {
  using T = TokenRefusal;
  static constexpr Member kMembers[] = {
      member<&T::token>("token", "The token.", kToken),
      member<&T::reason>(
          "reason",
          "`not_found` (no such token, deleted, or erased with its customer), "
          "`forbidden`, `expired`, `erased`, `removed` (the record has no such value "
          "any more), `corrupt`; of a card verification code also `read_or_expired` "
          "and `other_node` (the handle names it).")};
  return kMembers;
}

std::span<const Member> RevealedTokens::described() {
  using T = RevealedTokens;
  static constexpr Member kMembers[] = {
      member<&T::values>("values", "By token; those named in `masked` are masks.",
                         {.bytes = 65'536}, holdfast::Place::body, Sensitivity::personal),
      member<&T::masked>("masked", "Tokens that are not open to you for this purpose: masks.",
                         kToken),
      member<&T::refused>("refused", "Tokens that were not shown, and why."),
      member<&T::event>("event", "The journal entry that recorded it.")};
  return kMembers;
}

std::span<const Member> SealingKey::described() {
  using K = SealingKey;
  static constexpr Member kMembers[] = {
      member<&K::key_id>("key_id", "Goes into each pending token.", {.min = 1, .max = 4294967295}),
      member<&K::public_key>("public_key", "32 bytes as base64url.", {.bytes = 64}),
      member<&K::store>("store", "The store's id, which is bound too.", {.bytes = 64}),
      member<&K::suite>("suite", "How to seal, in the words of RFC 9180.", {.bytes = 100})};
  return kMembers;
}

std::span<const Member> DeleteTokens::described() {
  static constexpr Member kMembers[] = {
      member<&DeleteTokens::tokens>("tokens", "The tokens to delete.", kTokens)};
  return kMembers;
}

Result<void> as_items(CreateTokens& request) {
  if (request.items.empty() == request.values.entries.empty())
    return Error(Code::invalid, "give either `values` or `items`").at("values");
  if (!request.items.empty()) {
    if (!request.subject && !request.collection) return {};
    return Error(Code::invalid, "this goes with `values`: each of `items` names its own")
        .at(request.subject ? "subject" : "collection");
  }
  if (!request.subject) return Error(Code::invalid, "name the customer").at("subject");
  if (!request.collection) return Error(Code::invalid, "name the collection").at("collection");
  request.items.push_back(
      {std::move(*request.subject), std::move(*request.collection), std::move(request.values)});
  request.subject.reset();
  request.collection.reset();
  request.values = {};
  return {};
}

}  // namespace holdfast::vault
