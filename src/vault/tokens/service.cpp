#include "vault/tokens/service.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <set>

#include "vault/held.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::chrono::milliseconds kTick{100};
constexpr int kTicksToSweep = 20;

/// Each once, in the order given.
std::vector<std::string> distinct(std::vector<std::string> tokens) {
  std::set<std::string> seen;
  std::erase_if(tokens, [&](const std::string& token) { return !seen.insert(token).second; });
  return tokens;
}

/// Which fields of which records a request opens, and for which token each.
struct Opens {
  std::vector<OpenItem> items;
  std::map<std::pair<RecordId, std::string>, std::string> wanted;
};

Opens opens_of(const Schema& schema, const std::vector<std::string>& tokens,
               const std::map<std::string, TokenRow>& found,
               const std::map<RecordId, Record>& records, std::vector<TokenRefusal>& refused) {
  Opens out;
  std::map<RecordId, OpenItem> items;
  for (const auto& token : tokens) {
    auto row = found.find(token);
    if (row == found.end()) {
      refused.push_back({token, "not_found"});
      continue;
    }
    auto id = row->second.record;
    auto record = records.find(id);
    const auto* collection =
        record == records.end() ? nullptr : schema.find(record->second.collection);
    const auto* field = collection ? collection->find(row->second.field) : nullptr;
    if (!field || record->second.subject != row->second.subject) {
      refused.push_back({token, "erased"});
    } else if (!out.wanted.emplace(std::pair(id, field->name), token).second) {
      refused.push_back({token, "corrupt"});  // two tokens of one value: never made
    } else {
      items.try_emplace(id, OpenItem{id, {}}).first->second.fields.push_back(field->name);
    }
  }
  for (auto& [id, item] : items) out.items.push_back(std::move(item));
  return out;
}

/// What was opened, by token. A token of which nothing is said else was of a value that its record
/// has no more.
void answer(Opened& opened, std::map<std::pair<RecordId, std::string>, std::string>& wanted,
            RevealedTokens& out) {
  for (auto& record : opened.records) {
    for (auto& value : record.values.entries) {
      auto token = wanted.extract({record.record, value.name});
      if (std::ranges::find(record.masked, value.name) != record.masked.end())
        out.masked.push_back(token.mapped());
      value.name = std::move(token.mapped());
      out.values.entries.push_back(std::move(value));
    }
    for (const auto& refusal : record.refused) {
      auto token = wanted.extract({record.record, refusal.field});
      out.refused.push_back({std::move(token.mapped()), refusal.reason});
    }
  }
  for (auto& [place, token] : wanted) out.refused.push_back({std::move(token), "removed"});
}

/// The card verification codes that one request may read, and is about to.
struct Reading {
  struct One {
    std::string handle;
    Codes::About about;
    std::string field;
    std::uint32_t terms = 0;  // of the grant under which it is read
    std::optional<Codes::Held> held{};
  };
  std::vector<One> codes;
};

/// Which of the handles may be read; what is refused goes into `refused`, and why nothing may be
/// shown at all into `opened`.
Task<Result<Reading>> readable(const Context& context, const Opening& opening, const Working& work,
                               const Caller& caller, Codes& codes,
                               const std::vector<std::string>& handles,
                               std::optional<SubjectId> own, Opened& opened,
                               std::vector<TokenRefusal>& refused) {
  Reading out;
  auto purpose = work.schema->purposes.find(opened.event.purpose);
  if (purpose == work.schema->purposes.end())
    co_return Error(Code::internal, "opening for a purpose that is not declared");
  for (const auto& handle : handles) {
    auto about = codes.look(handle);
    if (!about) {
      bool here = Codes::node_of(handle) == codes.node();
      refused.push_back({handle, here ? "read_or_expired" : "other_node"});
      continue;
    }
    auto subject = co_await subject_of(context, *work.keys, {about->subject, {}}, caller.deadline);
    if (!subject) co_return std::move(subject).error();
    if (!*subject || (*subject)->erased) {
      codes.drop(handle);
      refused.push_back({handle, "erased"});
      continue;
    }
    about->subject = (*subject)->id;  // who was merged into another is that one now
    const auto* collection = work.schema->find(about->collection);
    const auto* field = collection ? collection->find(about->field) : nullptr;
    auto permitted =
        field ? opening.permitted(caller, *collection, *field, about->subject, own, opened)
              : Permitted();
    if (permitted.view != View::clear) {
      refused.push_back({handle, "forbidden"});
      continue;
    }
    auto standing = standing_of(*work.keys, **subject);
    if (!standing) co_return std::move(standing).error();
    auto shut = closed_for(*standing, false, purpose->second);
    if (shut != Closed::open) {
      refused.push_back({handle, std::string(reason_of(shut))});
      continue;
    }
    out.codes.push_back({handle, *about, field->name, permitted.terms});
  }
  co_return out;
}

/// Takes what may be read, so that nobody else reads it while this is recorded.
void take(Reading& reading, Codes& codes, Opened& opened, std::vector<TokenRefusal>& refused) {
  auto& event = opened.event;
  for (auto& one : reading.codes) {
    one.held = codes.take(one.handle);
    if (!one.held) {
      refused.push_back({one.handle, "read_or_expired"});
      continue;
    }
    opened.any = true;
    opened.showing.subjects.push_back(one.about.subject);
    opened.showing.add(one.terms);
    event.opened = true;
    if (std::ranges::find(event.fields, one.field) == event.fields.end())
      event.fields.push_back(one.field);
    event.touches.push_back({one.about.subject, "card_verification", to_bytes(one.about.id), {}});
  }
  std::erase_if(reading.codes, [](const Reading::One& one) { return !one.held; });
}

Error none_open() {
  return {Code::forbidden,
          "none of these tokens is open to you for this purpose; this try was recorded"};
}

/// Why nothing at all may be shown; what was erased or read before is listed instead.
std::optional<Error> nothing_open(const Opened& opened, const Reading& reading,
                                  const std::vector<TokenRefusal>& refused) {
  if (opened.any || !reading.codes.empty()) return std::nullopt;
  std::string_view shut;
  for (const auto& refusal : refused) {
    if (refusal.reason == "forbidden") return none_open();
    if (is_closed(refusal.reason)) shut = refusal.reason;
  }
  return shut.empty() ? std::nullopt : std::optional(closed_by_customer(shut));
}

}  // namespace

Task<Result<std::map<std::string, TokenRow>>> Tokens::find(const crypto::KeySet& keys,
                                                           std::vector<std::string> tokens,
                                                           std::optional<SubjectId> own,
                                                           MonoTime deadline) {
  TokenStore store(context_.journal.reader(), keys);
  std::vector<TokenId> ids;
  for (const auto& token : tokens)
    if (auto id = TokenId::parse(token)) ids.push_back(*id);
  auto by_id = co_await store.by_id(std::move(ids), deadline);
  if (!by_id) co_return std::move(by_id).error();
  std::map<std::string, TokenRow> out;
  for (auto& [id, row] : *by_id)
    if (row.text_term.empty()) out.emplace(id.text(), std::move(row));
  std::erase_if(tokens, [&](const std::string& token) { return out.contains(token); });
  auto by_text = co_await store.by_text(std::move(tokens), own, deadline);
  if (!by_text) co_return std::move(by_text).error();
  out.merge(*by_text);
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
  auto own = co_await opening_.own_only(*work, *acting, request.purpose);
  if (!own) co_return std::move(own).error();
  auto tokens = distinct(std::move(request.tokens));
  std::vector<std::string> handles;
  std::erase_if(tokens, [&](std::string& token) {
    bool code = Codes::node_of(token).has_value();
    if (code) handles.push_back(std::move(token));
    return code;
  });

  auto found = co_await find(*work->keys, tokens, *own, acting->deadline);
  if (!found) co_return std::move(found).error();
  std::vector<RecordId> ids;
  for (const auto& [token, row] : *found) ids.push_back(row.record);
  auto records = co_await context_.store.records(std::move(ids), acting->deadline);
  if (!records) co_return std::move(records).error();

  RevealedTokens out;
  Opens opens = opens_of(*work->schema, tokens, *found, *records, out.refused);
  auto engaged = co_await opening_.engage(*work, *acting, "tokens.reveal", request.purpose,
                                          request.engagement);
  if (!engaged) co_return std::move(engaged).error();
  auto opened = co_await opening_.open(*work, *acting, "tokens.reveal", std::move(opens.items),
                                       request.purpose, std::move(*engaged));
  if (!opened) co_return std::move(opened).error();
  answer(*opened, opens.wanted, out);

  auto reading = co_await readable(context_, opening_, *work, *acting, codes_, handles, *own,
                                   *opened, out.refused);
  if (!reading) co_return std::move(reading).error();
  if (opened->barred.empty()) {
    if (auto why = nothing_open(*opened, *reading, out.refused))
      co_return co_await opening_.refused(std::move(*acting), std::move(opened->event),
                                          std::move(*why));
    take(*reading, codes_, *opened, out.refused);
  }
  auto done = co_await opening_.record(*work, *acting, *opened, none_open());
  if (!done) {
    for (auto& one : reading->codes)
      if (one.held) codes_.put_back(one.handle, std::move(*one.held));
    co_return std::move(done).error();
  }
  for (auto& one : reading->codes)
    out.values.entries.push_back(
        {{std::move(one.handle), std::move(one.held->code), false}, false});
  out.event = *done;
  co_return out;
}

Task<Result<DeletedRows>> Tokens::remove(Caller caller, DeleteTokens request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto tokens = distinct(std::move(request.tokens));
  auto found = co_await find(*work->keys, tokens, std::nullopt, caller.deadline);
  if (!found) co_return std::move(found).error();
  std::vector<std::string> texts;
  std::map<TokenId, TokenRow> rows;
  for (auto& [token, row] : *found) {
    if (!row.text_term.empty()) texts.push_back(token);
    rows.emplace(row.id, std::move(row));
  }
  auto sharing = co_await TokenStore(context_.journal.reader(), *work->keys)
                     .all_by_text(std::move(texts), caller.deadline);
  if (!sharing) co_return std::move(sharing).error().at("tokens");
  for (auto& row : *sharing) rows.try_emplace(row.id, std::move(row));

  std::map<SubjectId, TokenId> whose;
  for (const auto& [id, row] : rows) whose.try_emplace(row.subject, id);
  for (const auto& [subject, id] : whose) {
    auto free = co_await not_held(context_, holds_, caller, "tokens.delete", {}, subject,
                                  {subject, "tokens", to_bytes(id.bytes()), {}});
    if (!free) co_return std::move(free).error().at("tokens");
  }
  journal::Event event{.activity = "tokens.delete"};
  db::List ids;
  for (const auto& [id, row] : rows) {
    ids.cells.emplace_back(to_bytes(id.bytes()));
    event.touches.push_back({row.subject, "tokens", to_bytes(id.bytes()), crypto::Digest{}});
  }
  auto count = static_cast<std::int64_t>(rows.size());
  std::vector<std::string> codes;
  for (const auto& token : tokens)
    if (auto about = codes_.look(token)) {
      event.touches.push_back({about->subject, "card_verification", to_bytes(about->id), {}});
      codes.push_back(token);
    }
  count += static_cast<std::int64_t>(codes.size());
  event.facts = {{"deleted", count}};
  db::Changes changes;
  if (!rows.empty())
    changes.write(kDropTokens, {std::move(ids)},
                  db::Expect::exactly(static_cast<std::int64_t>(rows.size())));
  for (const auto& [subject, id] : whose) holds_.guard(changes, subject);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  for (const auto& code : codes) codes_.drop(code);
  co_return DeletedRows{count, done->receipt.event};
}

Task<Result<std::map<std::string, TokenTarget>>> Tokens::targets(const crypto::KeySet& keys,
                                                                 std::vector<std::string> texts,
                                                                 std::optional<SubjectId> own,
                                                                 MonoTime deadline) {
  auto found = co_await find(keys, std::move(texts), own, deadline);
  if (!found) co_return std::move(found).error();
  std::map<std::string, TokenTarget> out;
  for (const auto& [text, row] : *found)
    out.emplace(text, TokenTarget{row.subject, row.record, row.field});
  co_return out;
}

Task<void> Tokens::run() {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  for (int ticks = 0; !stopping_.load(); ++ticks) {
    timer.expires_after(kTick);
    co_await timer.async_wait(boost::asio::use_awaitable);
    if (ticks % kTicksToSweep != 0) continue;
    if (context_.keys.get())
      codes_.sweep();
    else
      codes_.clear();
  }
  codes_.clear();
}

std::vector<http::Route> token_routes(Tokens* tokens) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Tokens::create>(
      tokens, "tokens.create", "POST", "/v1/tokens",
      "Seal values of a customer and get a token for each",
      {.limits = {.body = 32u << 20},
       .status = 201,
       .grows = true,
       .examples = {
           {"An email",
            R"({"subject":"ext:4711","collection":"customers","values":{"email":"ann@example.org"}})"}}}));
  out.push_back(http::route<&Tokens::exchange>(
      tokens, "tokens.exchange", "POST", "/v1/tokens/exchange",
      "Exchange pending tokens, given in the place of values, for tokens",
      {.limits = {.body = 32u << 20},
       .status = 201,
       .grows = true,
       .example_options = "--body @FILE"}));
  out.push_back(http::route<&Tokens::sealing_key>(
      tokens, "tokens.sealing_key", "GET", "/v1/tokens/sealing-key",
      "The public key with which a shop seals values while Holdfast is away"));
  out.push_back(http::route<&Tokens::reveal>(tokens, "tokens.reveal", "POST", "/v1/tokens/reveal",
                                             "Open up to 1,000 tokens for a stated purpose"));
  out.push_back(http::route<&Tokens::remove>(tokens, "tokens.delete", "POST", "/v1/tokens/delete",
                                             "Delete up to 1,000 tokens; their records stay"));
  return out;
}

}  // namespace holdfast::vault
