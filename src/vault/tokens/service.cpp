#include "vault/tokens/service.h"

#include <algorithm>
#include <map>

#include "vault/draft.h"
#include "vault/idempotency.h"
#include "vault/policy.h"
#include "vault/statements.h"
#include "vault/tokens/rows.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kAddToken{"vault.add_token",
                                   "insert into vault_tokens (id, subject, record, field, "
                                   "created_ms, mac) values ($1, $2, $3, $4, $5, $6)"};
inline constexpr db::Sql kFindTokens{
    "vault.find_tokens",
    "select id, subject, record, field, mac from vault_tokens where id {{in $1}}"};

inline constexpr db::Sql kTokensOfSubject{
    "vault.tokens_of_subject",
    "select t.id, t.subject, t.record, t.field, t.mac from vault_tokens t "
    "join vault_records r on r.id = t.record where r.subject = $1 order by t.id"};
inline constexpr db::Sql kMoveToken{
    "vault.move_token",
    "update vault_tokens set subject = $3, mac = $4 where id = $1 and mac = $2"};

constexpr std::size_t kMost = 1000;

using Found = TokenPlace;

/// Errors: corrupt (damaged, or not written by Holdfast).
Result<Found> found_in(const crypto::KeySet& keys, const db::Rows::Row& row) {
  auto id = TokenId::from(row.bytes(0));
  auto subject = SubjectId::from(row.bytes(1));
  auto record = RecordId::from(row.bytes(2));
  if (!id || !subject || !record) return Error(Code::corrupt, "a token's row is damaged");
  Found found{*id, *subject, *record, static_cast<std::uint16_t>(row.integer(3))};
  if (!token_mac_fits(keys, found, row.bytes(4)))
    return Error(
        Code::corrupt,
        "a token's row was not written by Holdfast: run `holdfast journal verify --state`");
  return found;
}

/// Rows whose MAC holds; a forged row is corrupt.
Task<Result<std::map<TokenId, Found>>> find(db::Reader& reader, const crypto::KeySet& keys,
                                            const std::vector<TokenId>& ids, MonoTime deadline) {
  db::List list;
  for (auto id : ids) list.cells.emplace_back(to_bytes(id.bytes()));
  auto rows = co_await reader.read(kFindTokens, {std::move(list)}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::map<TokenId, Found> out;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto found = found_in(keys, (*rows)[i]);
    if (!found) co_return std::move(found).error();
    out.emplace(found->id, *found);
  }
  co_return out;
}

}  // namespace

std::span<const db::Sql* const> token_statements() {
  static constexpr const db::Sql* kAll[] = {&kAddToken, &kFindTokens, &kTokensOfSubject,
                                            &kMoveToken};
  return kAll;
}

Task<Result<CreatedTokens>> Tokens::create(Caller caller, CreateTokens request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto text = to_json(request);
  Repeat repeat(*work->keys, caller, "tokens.create", request.idempotency_key, text, work->now);
  wipe(text);
  auto earlier = co_await repeat.earlier(context_.journal.reader(), caller.deadline);
  if (!earlier) co_return std::move(earlier).error();
  if (*earlier) co_return parse_json_as<CreatedTokens>(**earlier);

  if (request.items.empty() == request.values.entries.empty())
    co_return Error(Code::invalid, "give either `values` or `items`").at("values");
  if (request.items.empty()) {
    if (!request.subject) co_return Error(Code::invalid, "name the customer").at("subject");
    if (!request.collection) co_return Error(Code::invalid, "name the collection").at("collection");
    request.items.push_back(
        {std::move(*request.subject), std::move(*request.collection), std::move(request.values)});
  }
  Draft draft(*work->keys, work->now);
  std::vector<db::Args> rows;
  std::vector<journal::Touch> touches;
  std::map<Bytes, SubjectId> by_term;
  std::map<SubjectId, SubjectKeys> held;
  CreatedTokens out, remembered;
  for (std::size_t i = 0; i < request.items.size(); ++i) {
    auto& item = request.items[i];
    auto where = FieldPath("items")[i];
    const auto* collection = work->schema->find(item.collection);
    if (!collection)
      co_return Error(Code::not_found, "no such collection").at(where / "collection");
    auto values = check_values(*collection, item.values, where / "values");
    if (!values) co_return std::move(values).error();
    auto ref = parse_subject_ref(item.subject);
    if (!ref) co_return std::move(ref).error().at(where / "subject");

    auto term = ref->id ? Bytes() : external_term(*work->keys, ref->external);
    auto known = by_term.find(term);
    std::optional<SubjectId> id = ref->id;
    if (!id && known != by_term.end()) id = known->second;
    if (!id || !held.contains(*id)) {
      auto subject = co_await subject_of(context_, *work->keys, *ref, caller.deadline);
      if (!subject) co_return std::move(subject).error();
      if (!*subject && ref->id)
        co_return Error(Code::not_found, "no such customer").at(where / "subject");
      if (*subject && (*subject)->erased)
        co_return Error(Code::gone, "this customer was erased").at(where / "subject");
      if (*subject) {
        id = (*subject)->id;
        draft.expect_living(*id);
        if (!held.contains(*id)) {  // an item before may have named them otherwise
          auto keys = co_await context_.store.keys(*id, caller.deadline);
          if (!keys) co_return std::move(keys).error();
          held.insert_or_assign(*id, std::move(*keys));
        }
      } else {
        SubjectKeys fresh{SubjectId{}};
        auto added = draft.add_subject(ref->external, fresh);
        if (!added) co_return std::move(added).error();
        id = *added;
        held.insert_or_assign(*id, std::move(fresh));
      }
      if (!ref->id) by_term.insert_or_assign(term, *id);
    }
    CreatedToken made{.subject = *id, .record = {}, .tokens = {}};
    std::vector<std::pair<const Field*, std::string>> masks;
    for (const auto& value : *values) {
      if (value.remove)
        co_return Error(Code::invalid, "a token needs a value")
            .at(where / "values" / value.field->name);
      masks.emplace_back(value.field, masked(*value.field, value.value.expose_text()));
    }
    auto record = draft.add_record(held.at(*id), *collection, {}, *values);
    if (!record) co_return std::move(record).error();
    made.record = record->id;
    auto kept = made;
    for (auto& [field, mask] : masks) {
      Found token{TokenId::make(work->now), *id, record->id, field->id};
      auto mac = token_mac(*work->keys, token);
      touches.push_back(
          {*id, "tokens", to_bytes(token.id.bytes()), token_digest(*work->keys, token.id, mac)});
      rows.push_back({to_bytes(token.id.bytes()), to_bytes(id->bytes()),
                      to_bytes(record->id.bytes()), std::int64_t{field->id}, to_ms(work->now),
                      std::move(mac)});
      made.tokens.emplace_back(field->name, TokenView{token.id, std::move(mask)});
      kept.tokens.emplace_back(field->name, TokenView{token.id, {}});
    }
    out.items.push_back(std::move(made));
    remembered.items.push_back(std::move(kept));
  }
  journal::Event event{.activity = "tokens.create", .touches = std::move(draft.touches())};
  for (auto& touch : touches) event.touches.push_back(std::move(touch));
  event.facts = {{"tokens", static_cast<std::int64_t>(rows.size())}};
  auto changes = std::move(draft).changes();
  auto expect = db::Expect::exactly(static_cast<std::int64_t>(rows.size()));
  changes.bulk(kAddToken, std::move(rows), expect);
  repeat.remember(changes, to_json(remembered));
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<RevealedTokens>> Tokens::reveal(Caller caller, RevealTokens request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto acting = co_await opening_.prepare(*work, std::move(caller), "tokens.reveal",
                                          request.purpose, request.on_behalf_of);
  if (!acting) co_return std::move(acting).error();
  if (request.tokens.empty())
    co_return Error(Code::invalid, "name at least one token").at("tokens");
  auto found =
      co_await find(context_.journal.reader(), *work->keys, request.tokens, acting->deadline);
  if (!found) co_return std::move(found).error();

  std::vector<RecordId> ids;
  for (const auto& [id, token] : *found) ids.push_back(token.record);
  auto records = co_await context_.store.records(std::move(ids), acting->deadline);
  if (!records) co_return std::move(records).error();

  RevealedTokens out;
  std::map<RecordId, OpenItem> items;
  std::map<std::pair<RecordId, std::string>, TokenId> wanted;
  for (auto id : request.tokens) {
    auto one = found->find(id);
    if (one == found->end()) {
      out.refused.push_back({id, "not_found"});
      continue;
    }
    auto record = records->find(one->second.record);
    const auto* collection =
        record == records->end() ? nullptr : work->schema->find(record->second.collection);
    const auto* field = collection ? collection->find(one->second.field) : nullptr;
    if (!field) {
      out.refused.push_back({id, "erased"});
      continue;
    }
    if (!wanted.emplace(std::pair(one->second.record, field->name), id).second) continue;
    auto& item =
        items.try_emplace(one->second.record, OpenItem{one->second.record, {}}).first->second;
    item.fields.push_back(field->name);
  }
  std::vector<OpenItem> list;
  for (auto& [id, item] : items) list.push_back(std::move(item));
  auto engaged = co_await opening_.engage(*work, *acting, "tokens.reveal", request.purpose,
                                          request.engagement);
  if (!engaged) co_return std::move(engaged).error();
  auto opened = co_await opening_.open(*work, *acting, "tokens.reveal", std::move(list),
                                       request.purpose, std::move(*engaged));
  if (!opened) co_return std::move(opened).error();
  for (auto& record : opened->records) {
    for (auto& value : record.values.entries) {
      auto id = wanted.at({record.record, value.name});
      if (std::ranges::find(record.masked, value.name) != record.masked.end())
        out.masked.push_back(id);
      value.name = id.text();
      out.values.entries.push_back(std::move(value));
    }
    for (const auto& refusal : record.refused)
      out.refused.push_back({wanted.at({record.record, refusal.field}), refusal.reason});
  }
  auto done = co_await opening_.record(
      *work, *acting, *opened,
      Error(Code::forbidden,
            "none of these tokens is open to you for this purpose; this try was recorded"));
  if (!done) co_return std::move(done).error();
  out.event = *done;
  co_return out;
}

Task<Result<DeletedRows>> Tokens::remove(Caller caller, DeleteTokens request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto found =
      co_await find(context_.journal.reader(), *work->keys, request.tokens, caller.deadline);
  if (!found) co_return std::move(found).error();
  journal::Event event{.activity = "tokens.delete"};
  db::List ids;
  for (const auto& [id, token] : *found) {
    ids.cells.emplace_back(to_bytes(id.bytes()));
    event.touches.push_back({token.subject, "tokens", to_bytes(id.bytes()), crypto::Digest{}});
  }
  auto count = static_cast<std::int64_t>(found->size());
  event.facts = {{"deleted", count}};
  db::Changes changes;
  if (count > 0) changes.write(kDropTokens, {std::move(ids)}, db::Expect::exactly(count));
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return DeletedRows{count, done->receipt.event};
}

Task<Result<std::map<std::string, TokenTarget>>> Tokens::targets(const crypto::KeySet& keys,
                                                                 std::vector<std::string> texts,
                                                                 MonoTime deadline) {
  std::vector<TokenId> ids;
  for (const auto& text : texts)
    if (auto id = TokenId::parse(text)) ids.push_back(*id);
  auto found = co_await find(context_.journal.reader(), keys, ids, deadline);
  if (!found) co_return std::move(found).error();
  std::map<std::string, TokenTarget> out;
  for (const auto& [id, token] : *found)
    out.emplace(id.text(), TokenTarget{token.subject, token.record, token.field});
  co_return out;
}

Task<Result<void>> Tokens::follow(SubjectId from, SubjectId into, db::Changes& changes,
                                  journal::Event& event, MonoTime deadline) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto rows =
      co_await context_.journal.reader().read(kTokensOfSubject, {to_bytes(from.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<db::Args> moved;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto token = found_in(*keys, (*rows)[i]);
    if (!token) co_return std::move(token).error();
    auto before = to_bytes((*rows)[i].bytes(4));
    token->subject = into;
    auto mac = token_mac(*keys, *token);
    event.touches.push_back(
        {into, "tokens", to_bytes(token->id.bytes()), token_digest(*keys, token->id, mac)});
    moved.push_back(
        {to_bytes(token->id.bytes()), std::move(before), to_bytes(into.bytes()), std::move(mac)});
  }
  auto expect = db::Expect::exactly(static_cast<std::int64_t>(moved.size()));
  changes.bulk(kMoveToken, std::move(moved), expect,
               Error(Code::conflict, "the customer's tokens changed meanwhile: repeat"));
  co_return Result<void>();
}

std::vector<http::Route> token_routes(Tokens* tokens) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Tokens::create>(
      tokens, "tokens.create", "POST", "/v1/tokens",
      "Seal values of a customer and get a token for each",
      {.limits = {.body = 32u << 20},
       .status = 201,
       .examples = {
           {"An email",
            R"({"subject":"ext:4711","collection":"customers","values":{"email":"ann@example.org"}})"}}}));
  out.push_back(http::route<&Tokens::reveal>(tokens, "tokens.reveal", "POST", "/v1/tokens/reveal",
                                             "Open up to 1,000 tokens for a stated purpose"));
  out.push_back(http::route<&Tokens::remove>(tokens, "tokens.delete", "POST", "/v1/tokens/delete",
                                             "Delete up to 1,000 tokens; their records stay"));
  return out;
}

// ── members

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
      member<&T::token>("token", "Keep this in the shop's own tables."),
      member<&T::mask>("mask", "To show in its place; absent in a repeated answer.", {},
                       holdfast::Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> CreatedToken::described() {
  using T = CreatedToken;
  static constexpr Member kMembers[] = {
      member<&T::subject>("subject", "The customer's id."),
      member<&T::record>("record", "The record that holds the values."),
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
      member<&T::tokens>("tokens", "The tokens to open.", {.count = kMost}),
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
      member<&T::token>("token", "The token."),
      member<&T::reason>("reason", "`not_found`, `forbidden`, `expired`, `erased` or `corrupt`.")};
  return kMembers;
}

std::span<const Member> RevealedTokens::described() {
  using T = RevealedTokens;
  static constexpr Member kMembers[] = {
      member<&T::values>("values", "By token; those named in `masked` are masks.",
                         {.bytes = 65'536}, holdfast::Place::body, Sensitivity::personal),
      member<&T::masked>("masked", "Tokens that are not open to you for this purpose: masks."),
      member<&T::refused>("refused", "Tokens that were not shown, and why."),
      member<&T::event>("event", "The journal entry that recorded it.")};
  return kMembers;
}

std::span<const Member> DeleteTokens::described() {
  static constexpr Member kMembers[] = {
      member<&DeleteTokens::tokens>("tokens", "The tokens to delete.", {.count = kMost})};
  return kMembers;
}

}  // namespace holdfast::vault
