#include "vault/declarations.h"

#include <algorithm>

#include "vault/index_plan.h"
#include "vault/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr Limits kName{.bytes = 63};

Error no_collection() {
  return Error(Code::not_found, "no such collection").at("collection");
}
Error outdated() {
  return Error(Code::conflict, "the collection has another version by now: read it and repeat")
      .at("collection");
}

/// With what is shown but not stored.
CollectionView shown(const Collection& collection) {
  auto out = view_of(collection);
  for (std::size_t i = 0; i < out.fields.size(); ++i)
    if (auto leaks = leaks_of(collection.fields[i]); !leaks.empty())
      out.fields[i].leaks = std::move(leaks);
  return out;
}

struct DeclaredPurpose {
  LegalBasis legal_basis;
  std::string doc;
  std::int64_t version;
  static std::span<const Member> described() {
    using D = DeclaredPurpose;
    static constexpr Member kMembers[] = {member<&D::legal_basis>("legal_basis", ""),
                                          member<&D::doc>("doc", "", {.bytes = 1000}),
                                          member<&D::version>("version", "")};
    return kMembers;
  }
};

bool is_built_in(std::string_view purpose) {
  return std::ranges::find(builtin_purposes(), purpose, &Purpose::name) != builtin_purposes().end();
}

}  // namespace

std::span<const Member> CollectionRequest::described() {
  static constexpr Member kMembers[] = {member<&CollectionRequest::collection>(
      "collection", "The collection's name.", kName, Place::path)};
  return kMembers;
}
std::span<const Member> CollectionList::described() {
  static constexpr Member kMembers[] = {
      member<&CollectionList::collections>("collections", "All that are declared, by name.")};
  return kMembers;
}
std::span<const Member> PurposeList::described() {
  static constexpr Member kMembers[] = {
      member<&PurposeList::purposes>("purposes", "All that are declared, by name.")};
  return kMembers;
}
std::span<const Member> DeletedCollection::described() {
  using D = DeletedCollection;
  static constexpr Member kMembers[] = {
      member<&D::collection>("collection", "The collection's name."),
      member<&D::event>("event", "The journal entry that proves it.")};
  return kMembers;
}

std::span<const Member> PurposeRequest::described() {
  static constexpr Member kMembers[] = {
      member<&PurposeRequest::purpose>("purpose", "The purpose's name.", kName, Place::path)};
  return kMembers;
}
std::span<const Member> DeletedPurpose::described() {
  using D = DeletedPurpose;
  static constexpr Member kMembers[] = {
      member<&D::purpose>("purpose", "The purpose's name, which is not given again."),
      member<&D::event>("event", "The journal entry that proves it.")};
  return kMembers;
}

Task<Result<CollectionView>> Declarations::put(Caller caller, CollectionSpec spec) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto expected = expected_version(spec.if_match, {});
  if (!expected) co_return std::move(expected).error();
  for (std::size_t i = 0; i < spec.fields.size(); ++i)
    for (const auto& purpose : spec.fields[i].purposes)
      if (!work->schema->purposes.contains(purpose))
        co_return no_such_purpose(*work->schema, purpose).at(FieldPath("fields")[i] / "purposes");

  const auto* old = work->schema->find(spec.collection);
  if (*expected && (!old || **expected != old->version)) co_return outdated();
  if (!spec.calling_code) spec.calling_code = context_.calling_code;
  auto& reader = context_.journal.reader();
  std::int64_t rows = 0;
  Result<Collection> next = Error(Code::internal, "not declared");
  if (old) {
    auto some = co_await reader.read(kCountSome, {std::int64_t{old->id}}, caller.deadline);
    if (!some) co_return std::move(some).error();
    rows = (*some)[0].integer(0);
    next = evolve(*old, spec, rows > 0, work->now, work->schema->cards);
    if (next && next->version == old->version)
      co_return co_await view_with_indexes(reader, *old, caller.deadline);
  } else {
    // The policy's generation only grows, so that the number of a deleted collection never comes
    // back: sealed values are bound to it.
    next = declare(spec, static_cast<std::uint32_t>(work->schema->generation + 1), work->now,
                   work->schema->cards);
  }
  if (!next) co_return std::move(next).error();
  settle_indexes(*next, rows, work->keys->ring.active_id(crypto::KeyUse::index),
                 work->schema->generation);

  db::Changes changes;
  journal::Event event{.activity = "collections.put"};
  publish(*work->keys, old, *next, changes, event);
  if (old && rows == 0)
    changes.guard(kNoRecord, {std::int64_t{old->id}},
                  Error(Code::conflict, "the collection got its first record meanwhile: repeat"));
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return co_await view_with_indexes(reader, *next, caller.deadline);
}

void publish(const crypto::KeySet& keys, const Collection* old, const Collection& next,
             db::Changes& changes, journal::Event& event) {
  auto declared = to_json(view_of(next));
  auto mac = authority_mac(keys, "collections", next.name, next.version, declared);
  if (old)
    changes.write(kPutCollection,
                  {std::int64_t{next.id}, std::int64_t{old->version}, std::int64_t{next.version},
                   declared, mac},
                  db::Expect::exactly(1), outdated());
  else
    changes.write(kAddCollection,
                  {std::int64_t{next.id}, next.name, std::int64_t{next.version}, declared, mac},
                  db::Expect::exactly(1), outdated());
  for (const auto& field : next.fields) {
    const auto* was = old ? old->find(field.id) : nullptr;
    for (const auto& index : field.indexes) {
      if (was &&
          std::ranges::find(was->indexes, index.number, &IndexInfo::number) != was->indexes.end())
        continue;
      changes.write(kAddIndexState,
                    {index.number, std::int64_t{next.id}, std::int64_t{field.id},
                     to_bytes(RecordId{}.bytes())},
                    db::Expect::exactly(1), outdated());
    }
  }
  journal::Journal::bump_generation(changes);
  event.collection = next.name;
  event.touches.push_back({{},
                           "collections",
                           to_bytes(next.name),
                           declared_digest(keys, "collections", next.name, declared, mac)});
  event.facts.emplace_back("version", std::int64_t{next.version});
}

Task<Result<CollectionView>> view_with_indexes(db::Reader& reader, const Collection& collection,
                                               MonoTime deadline) {
  auto view = shown(collection);
  auto rows = co_await reader.read(kIndexStates, {std::int64_t{collection.id}}, deadline);
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    for (std::size_t at = 0; at < view.fields.size(); ++at) {
      const auto& field = collection.fields[at];
      for (auto& index : view.fields[at].indexes) {
        if (index.number != row.integer(0)) continue;
        Distribution found{row.integer(5), row.integer(6), row.integer(7)};
        if (auto alarm = alarm_of(field, index, found, row.integer(8)); !alarm.empty())
          index.alarm = std::string(alarm);
        if (!index.serving) {
          index.done = row.integer(3);
          index.total = row.integer(4);
        }
        if (found.rows > 0) {
          index.counted = found.rows;
          index.largest = found.largest;
        }
      }
    }
  }
  co_return view;
}

Task<Result<CollectionView>> Declarations::get(Caller caller, CollectionRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  const auto* found = work->schema->find(request.collection);
  if (!found) co_return no_collection();
  co_return co_await view_with_indexes(context_.journal.reader(), *found, caller.deadline);
}

Task<Result<CollectionList>> Declarations::list(Caller caller, Nothing) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  CollectionList out;
  for (const auto& [name, collection] : work->schema->collections)
    out.collections.push_back(shown(collection));
  co_return out;
}

Task<Result<DeletedCollection>> Declarations::remove(Caller caller, CollectionRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  const auto* found = work->schema->find(request.collection);
  if (!found) co_return no_collection();
  auto expected = expected_version(request.if_match, {});
  if (!expected) co_return std::move(expected).error();
  if (*expected && **expected != found->version) co_return outdated();
  db::Changes changes;
  changes.write(kDropCollection, {std::int64_t{found->id}, std::int64_t{found->version}},
                db::Expect::exactly(1), outdated());
  changes.guard(
      kNoRecord, {std::int64_t{found->id}},
      Error(Code::conflict, "the collection still holds records: delete or erase them first"));
  journal::Journal::bump_generation(changes);
  journal::Event event{.activity = "collections.delete",
                       .collection = found->name,
                       .touches = {{{}, "collections", to_bytes(found->name), crypto::Digest{}}}};
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return DeletedCollection{found->name, done->receipt.event};
}

/// Writes the next version of a purpose. Errors: conflict (somebody was faster).
Task<Result<EventId>> Declarations::publish_purpose(Caller caller, const crypto::KeySet& keys,
                                                    std::string_view operation, std::string name,
                                                    std::int64_t version, std::string declared) {
  auto mac = authority_mac(keys, "purposes", name, version, declared);
  journal::Event event{.activity = operation,
                       .purpose = name,
                       .touches = {{{},
                                    "purposes",
                                    to_bytes(name),
                                    declared_digest(keys, "purposes", name, declared, mac)}}};
  db::Changes changes;
  changes.write(kPutPurpose, {std::move(name), version, std::move(declared), std::move(mac)},
                db::Expect::exactly(1),
                Error(Code::conflict, "the purpose changed meanwhile: repeat").at("purpose"));
  journal::Journal::bump_generation(changes);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return done->receipt.event;
}

Task<Result<Purpose>> Declarations::put_purpose(Caller caller, Purpose purpose) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  if (!is_name(purpose.name))
    co_return Error(Code::invalid, "a purpose is a name of lower-case letters, digits and _")
        .at("purpose");
  if (is_built_in(purpose.name))
    co_return Error(Code::conflict, "this purpose is built in: choose another name").at("purpose");
  if (work->schema->removed_purposes.contains(purpose.name))
    co_return Error(Code::conflict,
                    "a purpose of this name was removed, and what customers decided about it stays "
                    "under its name: choose another")
        .at("purpose");
  auto old = work->schema->purposes.find(purpose.name);
  const auto version = old == work->schema->purposes.end() ? 0 : old->second.version.value_or(0);
  if (purpose.version.value_or(version) != version)
    co_return Error(Code::conflict, "the purpose has another version now: look at it again")
        .at("version");
  purpose.version = version + 1;
  auto declared = to_json(DeclaredPurpose{purpose.legal_basis, purpose.doc, *purpose.version});
  auto done = co_await publish_purpose(std::move(caller), *work->keys, "purposes.put", purpose.name,
                                       *purpose.version, std::move(declared));
  if (!done) co_return std::move(done).error();
  co_return purpose;
}

Task<Result<DeletedPurpose>> Declarations::remove_purpose(Caller caller, PurposeRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  if (is_built_in(request.purpose))
    co_return Error(Code::conflict, "this purpose is built in, and stays").at("purpose");
  auto found = work->schema->purposes.find(request.purpose);
  if (found == work->schema->purposes.end()) {
    if (work->schema->removed_purposes.contains(request.purpose))
      co_return Error(Code::gone, "this purpose was removed before").at("purpose");
    co_return Error(Code::not_found, "no such purpose").at("purpose");
  }
  // A field whose only purpose went would open for every other that is granted.
  for (const auto& [name, collection] : work->schema->collections)
    for (const auto& field : collection.fields)
      if (std::ranges::find(field.purposes, request.purpose) != field.purposes.end())
        co_return Error(Code::conflict,
                        "a field still names this purpose: take it out there first, with "
                        "`holdfast collections put`")
            .at(FieldPath(name) / field.name);
  auto done =
      co_await publish_purpose(std::move(caller), *work->keys, "purposes.delete", request.purpose,
                               found->second.version.value_or(0) + 1, std::string(kRemovedPurpose));
  if (!done) co_return std::move(done).error();
  co_return DeletedPurpose{std::move(request.purpose), *done};
}

Task<Result<PurposeList>> Declarations::list_purposes(Caller caller, Nothing) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  PurposeList out;
  for (const auto& [name, purpose] : work->schema->purposes) out.purposes.push_back(purpose);
  co_return out;
}

std::vector<http::Route> declaration_routes(Declarations* declarations) {
  using D = Declarations;
  std::vector<http::Route> out;
  out.push_back(http::route<&D::put>(
      declarations, "collections.put", "PUT", "/v1/collections/{collection}",
      "Declare a collection and its fields, or change it",
      {.grows = true,
       .examples = {
           {"Customers", R"({"fields":[{"name":"email","type":"email","index":"exact"}]})"}}}));
  out.push_back(http::route<&D::get>(declarations, "collections.get", "GET",
                                     "/v1/collections/{collection}", "Show a collection"));
  out.push_back(http::route<&D::list>(declarations, "collections.list", "GET", "/v1/collections",
                                      "List the declared collections"));
  out.push_back(http::route<&D::remove>(declarations, "collections.delete", "DELETE",
                                        "/v1/collections/{collection}",
                                        "Delete an empty collection"));
  out.push_back(http::route<&D::put_purpose>(
      declarations, "purposes.put", "PUT", "/v1/purposes/{purpose}",
      "Declare a purpose with its legal basis",
      {.examples = {
           {"Warranty", R"({"legal_basis":"contract","doc":"To repair what you bought."})"}}}));
  out.push_back(http::route<&D::remove_purpose>(declarations, "purposes.delete", "DELETE",
                                                "/v1/purposes/{purpose}",
                                                "Remove a purpose: nothing opens for it any more"));
  out.push_back(http::route<&D::list_purposes>(declarations, "purposes.list", "GET", "/v1/purposes",
                                               "List the declared purposes"));
  return out;
}

}  // namespace holdfast::vault
