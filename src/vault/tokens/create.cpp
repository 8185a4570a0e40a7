// Tokens::create and exchange: from the request to the commit.
#include <algorithm>

#include "vault/idempotency.h"
#include "vault/policy.h"
#include "vault/records/unique_tries.h"
#include "vault/tokens/making.h"
#include "vault/tokens/pending.h"
#include "vault/tokens/service.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kMostValues = 10'000;
constexpr int kTries = 8;
constexpr std::string_view kHiddenCode = "•••";

/// Takes card verification codes out, so that nothing is made of them that is written down: not
/// even the fingerprint of the request.
std::vector<NewCode> take_codes(const Schema& schema, CreateTokens& request) {
  std::vector<NewCode> out;
  for (std::size_t i = 0; i < request.items.size(); ++i) {
    const auto* collection = schema.find(request.items[i].collection);
    if (!collection) continue;
    for (auto& entry : request.items[i].values.entries) {
      const auto* field = collection->find(entry.name);
      if (!field || field->type != FieldType::card_verification || entry.null) continue;
      out.push_back({i, field, collection->id, std::exchange(entry.value, Secret())});
      entry.json = false;
      entry.null = true;
    }
  }
  return out;
}

Result<void> check_codes(std::vector<NewCode>& codes) {
  for (auto& one : codes) {
    auto checked = checked_code(*one.field, one.code.expose_text());
    if (!checked)
      return std::move(checked).error().at(FieldPath("items")[one.item] / "values" /
                                           one.field->name);
    one.code = std::move(*checked);
  }
  return {};
}

Result<std::vector<WantedTokens>> check(const Schema& schema, CreateTokens& request,
                                        const std::vector<NewCode>& codes) {
  std::vector<WantedTokens> out;
  std::size_t total = 0;
  for (std::size_t i = 0; i < request.items.size(); ++i) {
    auto& item = request.items[i];
    WantedTokens one{.collection = schema.find(item.collection),
                     .subject = {},
                     .values = {},
                     .where = FieldPath("items")[i]};
    if (!one.collection)
      return Error(Code::not_found, "no such collection").at(one.where / "collection");
    auto ref = parse_subject_ref(item.subject);
    if (!ref) return std::move(ref).error().at(one.where / "subject");
    one.subject = std::move(*ref);
    bool any_code = false;
    std::erase_if(item.values.entries, [&](const Values::Entry& entry) {
      bool code = std::ranges::any_of(codes, [&](const NewCode& held) {
        return held.item == i && held.field->name == entry.name;
      });
      any_code |= code;
      return code;
    });
    auto values = check_values(*one.collection, item.values, one.where / "values");
    if (!values) return std::move(values).error();
    for (const auto& value : *values)
      if (value.remove)
        return Error(Code::invalid, "a token needs a value")
            .at(one.where / "values" / value.field->name);
    if (values->empty() && !any_code)
      return Error(Code::invalid, "name at least one value").at(one.where / "values");
    total += values->size();
    if (total > kMostValues)
      return Error(Code::too_large, "at most 10,000 values in one request").at("items");
    one.values = std::move(*values);
    out.push_back(std::move(one));
  }
  return out;
}

/// Puts the values in the place of their pending tokens.
Task<Result<void>> open_pending(const crypto::KeySet& keys, CreateTokens& request) {
  constexpr std::size_t kTurn = 16;
  PendingTokens pending(keys);
  std::size_t count = 0;
  for (std::size_t i = 0; i < request.items.size(); ++i) {
    auto& item = request.items[i];
    for (auto& entry : item.values.entries) {
      const PendingPlace place{item.collection, entry.name, item.subject};
      auto value = entry.null || entry.json ? Error(Code::invalid, "a pending token is a text")
                                            : pending.open(place, entry.value.expose_text());
      if (!value)
        co_return std::move(value).error().at(FieldPath("items")[i] / "values" / entry.name);
      entry.value = std::move(*value);
      if (++count % kTurn == 0) co_await give_way();
    }
  }
  co_return Result<void>();
}

/// A new row for each token whose record has another value now: found by no value any more.
Task<Result<void>> release(journal::Journal& journal, const Caller& caller,
                           const crypto::KeySet& keys, std::vector<TokenRow> rows) {
  journal::Event event{.activity = "tokens.release"};
  std::vector<db::Args> args;
  for (auto& row : rows) {
    auto before = row.mac;
    row.value_term.clear();
    row.mac = token_mac(keys, row);
    args.push_back({to_bytes(row.id.bytes()), std::move(before), row.mac});
    event.touches.push_back(
        {row.subject, "tokens", to_bytes(row.id.bytes()), token_digest(keys, row)});
  }
  db::Changes changes;
  auto expect = db::Expect::exactly(static_cast<std::int64_t>(args.size()));
  changes.bulk(kReleaseToken, std::move(args), expect, token_taken());
  auto done = co_await journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

/// Puts the codes into memory and their handles into the answers.
Result<std::vector<std::string>> hold(Codes& held, const std::vector<NewCode>& codes,
                                      MadeTokens& made, journal::Event& event) {
  std::vector<std::string> handles;
  for (const auto& one : codes) {
    auto& answer = made.answer.items[one.item];
    auto handle = held.put(answer.subject, one.collection, one.field->id, one.code.clone());
    if (!handle) {
      for (const auto& each : handles) held.drop(each);
      return std::move(handle).error();
    }
    answer.tokens.emplace_back(one.field->name, TokenView{*handle, std::string(kHiddenCode), {}});
    made.remembered.items[one.item].tokens.emplace_back(one.field->name,
                                                        TokenView{*handle, {}, {}});
    auto about = held.look(*handle);
    if (about)
      event.touches.push_back({answer.subject, "card_verification", to_bytes(about->id), {}});
    handles.push_back(std::move(*handle));
  }
  return handles;
}

}  // namespace

Task<Result<CreatedTokens>> Tokens::create(Caller caller, CreateTokens request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  if (auto done = as_items(request); !done) co_return std::move(done).error();
  auto codes = take_codes(*work->schema, request);
  auto text = to_json(request);
  Repeat repeat(*work->keys, caller, "tokens.create", request.idempotency_key, text, work->now);
  wipe(text);
  auto earlier = co_await repeat.earlier(context_.journal.reader(), caller.deadline);
  if (!earlier) co_return std::move(earlier).error();
  if (*earlier) co_return co_await repeated("tokens.create", *work, caller, std::move(**earlier));
  if (auto done = check_codes(codes); !done) co_return std::move(done).error();
  co_return co_await make("tokens.create", std::move(*work), std::move(caller), std::move(request),
                          std::move(repeat), std::move(codes));
}

Task<Result<CreatedTokens>> Tokens::exchange(Caller caller, CreateTokens request) {
  constexpr std::string_view kOperation = "tokens.exchange";
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  if (auto done = as_items(request); !done) co_return std::move(done).error();
  auto text = to_json(request);
  auto key = std::exchange(request.idempotency_key, {});
  if (key.empty()) key = hex(crypto::sha256(as_bytes(text)));
  Repeat repeat(*work->keys, caller, kOperation, key, text, work->now);
  auto earlier = co_await repeat.earlier(context_.journal.reader(), caller.deadline);
  if (!earlier) co_return std::move(earlier).error();
  if (*earlier) co_return co_await repeated(kOperation, *work, caller, std::move(**earlier));
  wipe(text);
  if (auto opened = co_await open_pending(*work->keys, request); !opened)
    co_return std::move(opened).error();
  // Whoever exchanges need not be who knew the values: masks go by what the caller may see.
  auto schema = work->schema;
  std::vector<std::string> collections;
  for (const auto& item : request.items) collections.push_back(item.collection);
  auto out = co_await make(kOperation, std::move(*work), caller, std::move(request),
                           std::move(repeat), {});
  for (std::size_t i = 0; out && i < out->items.size(); ++i) {
    const auto* collection = schema->find(collections[i]);
    for (auto& [name, view] : out->items[i].tokens) {
      const auto* field = collection->find(name);
      if (view_of_field(context_, caller, kOperation, *collection, *field, "") < View::masked)
        view.mask.reset();
    }
  }
  co_return out;
}

Task<Result<SealingKey>> Tokens::sealing_key(Caller caller, SealingKeyRequest) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  co_return PendingTokens::sealing_key(*work->keys);
}

Task<Result<CreatedTokens>> Tokens::make(std::string_view operation, Working working, Caller caller,
                                         CreateTokens request, Repeat repeat,
                                         std::vector<NewCode> codes) {
  const auto* work = &working;
  auto wanted = check(*work->schema, request, codes);
  if (!wanted) co_return std::move(wanted).error();
  UniqueTries unique(context_, *work, caller, operation);
  for (const auto& one : *wanted) unique.add(*one.collection, one.values);
  if (auto allowed = co_await unique.allowed(); !allowed) co_return std::move(allowed).error();
  for (int tries = 0; tries < kTries; ++tries) {
    Making making(context_, *work, *wanted, caller.deadline);
    auto made = co_await making.run();
    if (!made) co_return std::move(made).error();
    if (!making.stale().empty()) {
      auto released = co_await release(context_.journal, caller, *work->keys, making.stale());
      if (!released && released.error().text != token_taken().text)
        co_return std::move(released).error();
      continue;
    }
    journal::Event event{.activity = operation, .touches = std::move(made->touches)};
    event.facts = {{"tokens", made->tokens}};
    if (made->found > 0) event.facts.emplace_back("found", made->found);
    if (!codes.empty())
      event.facts.emplace_back("held_in_memory", static_cast<std::int64_t>(codes.size()));
    auto handles = hold(codes_, codes, *made, event);
    if (!handles) co_return std::move(handles).error();
    repeat.remember(made->changes, to_json(made->remembered));
    auto done =
        co_await context_.journal.commit(caller, std::move(made->changes), std::move(event));
    if (done) co_return std::move(made->answer);
    for (const auto& handle : *handles) codes_.drop(handle);
    if (done.error().text != token_taken().text)
      co_return co_await unique.refused(std::move(done).error());
  }
  co_return token_taken();
}

Task<Result<CreatedTokens>> Tokens::repeated(std::string_view operation, const Working& work,
                                             const Caller& caller, std::string remembered) {
  auto out = parse_json_as<CreatedTokens>(remembered);
  if (!out) co_return Error(Code::corrupt, "a remembered answer is damaged");
  // Nothing of a card verification code's handle.
  auto id_of = [](const TokenView& view) {
    std::string_view text = view.token;
    return TokenId::parse(text.starts_with(kTextInRow) ? text.substr(1) : text);
  };
  Error gone(Code::gone,
             "tokens of this request were deleted meanwhile: use a new Idempotency-Key");
  std::vector<TokenId> ids;
  for (const auto& item : out->items)
    for (const auto& [field, view] : item.tokens)
      if (auto id = id_of(view)) ids.push_back(*id);
  auto rows = co_await TokenStore(context_.journal.reader(), *work.keys)
                  .by_id(std::move(ids), caller.deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<TokenRow> list;
  journal::Event event{.activity = operation};
  for (const auto& item : out->items)
    for (const auto& [field, view] : item.tokens) {
      auto id = id_of(view);
      auto row = id ? rows->find(*id) : rows->end();
      if (id && row == rows->end()) co_return gone;
      if (!view.token.starts_with(kTextInRow)) continue;
      event.touches.push_back({row->second.subject, "tokens", to_bytes(id->bytes()), {}});
      list.push_back(row->second);
    }
  if (list.empty()) co_return out;
  event.facts = {{"repeated", static_cast<std::int64_t>(list.size())}};
  auto texts = co_await token_texts(context_, work, std::move(list), caller.deadline);
  if (!texts) co_return std::move(texts).error();
  for (auto& item : out->items)
    for (auto& [field, view] : item.tokens) {
      if (!view.token.starts_with(kTextInRow)) continue;
      auto text = texts->find(*id_of(view));
      if (text == texts->end()) co_return gone;
      view.token = text->second;
    }
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

}  // namespace holdfast::vault
