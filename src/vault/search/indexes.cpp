#include "vault/search/indexes.h"

#include <algorithm>

#include "vault/index_plan.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr Limits kName{.bytes = 63};

/// The collection as it will be, and the field of it that was named.
struct Named {
  const Collection* old;
  Collection next;
  Field* field;
};

Result<Named> named(const Schema& schema, std::string_view collection, std::string_view field,
                    Time now) {
  const auto* old = schema.find(collection);
  if (!old) return Error(Code::not_found, "no such collection").at("collection");
  Named out{old, *old, nullptr};
  out.next.version += 1;
  out.next.updated = now;
  auto found = std::ranges::find(out.next.fields, field, &Field::name);
  if (found == out.next.fields.end())
    return Error(Code::not_found, "the collection does not declare this field").at("field");
  if (found->index == IndexKind::none)
    return Error(Code::invalid, "this field has no index").at("field");
  out.field = &*found;
  return out;
}

}  // namespace

Task<Result<CollectionView>> Indexes::rebuild(Caller caller, RebuildIndex request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto change = named(*work->schema, request.collection, request.field, work->now);
  if (!change) co_return std::move(change).error();
  // Its size is found when it is begun.
  renew_index(change->next, *change->field, 0, work->keys->ring.active_id(crypto::KeyUse::index),
              work->schema->generation);
  db::Changes changes;
  journal::Event event{.activity = "indexes.rebuild", .fields = {request.field}};
  publish(*work->keys, change->old, change->next, changes, event);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return co_await view_with_indexes(context_.journal.reader(), change->next, caller.deadline);
}

Task<Result<CollectionView>> Indexes::consent(Caller caller, ConsentIndex request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto change = named(*work->schema, request.collection, request.field, work->now);
  if (!change) co_return std::move(change).error();
  const auto* serving = change->field->serving();
  if (!serving || serving->kind != IndexKind::exact)
    co_return Error(Code::invalid, "only an exact index that answers needs consent").at("field");
  auto rows = co_await context_.journal.reader().read(kIndexStates, {std::int64_t{change->old->id}},
                                                      caller.deadline);
  if (!rows) co_return std::move(rows).error();
  bool same = false;
  for (std::size_t i = 0; i < rows->size(); ++i)
    same |= (*rows)[i].integer(0) == serving->number && (*rows)[i].integer(5) == request.counted &&
            (*rows)[i].integer(6) == request.largest;
  if (!same)
    co_return Error(Code::invalid,
                    "these are not the numbers that were counted: `holdfast collections get` shows "
                    "them")
        .at("counted");
  change->field->consent =
      IndexConsent{request.counted, request.largest, caller.principal, work->now};
  db::Changes changes;
  journal::Event event{.activity = "indexes.consent",
                       .fields = {request.field},
                       .facts = {{"counted", request.counted}, {"largest", request.largest}},
                       .note = request.reason.value_or("")};
  publish(*work->keys, change->old, change->next, changes, event);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return co_await view_with_indexes(context_.journal.reader(), change->next, caller.deadline);
}

std::span<const Member> RebuildIndex::described() {
  using R = RebuildIndex;
  static constexpr Member kMembers[] = {
      member<&R::collection>("collection", "The collection's name.", kName, Place::path),
      member<&R::field>("field", "The field.", kName, Place::path)};
  return kMembers;
}

std::span<const Member> ConsentIndex::described() {
  using C = ConsentIndex;
  static constexpr Member kMembers[] = {
      member<&C::collection>("collection", "The collection's name.", kName, Place::path),
      member<&C::field>("field", "The field.", kName, Place::path),
      member<&C::counted>("counted", "Rows that were counted, as `collections.get` shows.",
                          {.min = 1}),
      member<&C::largest>("largest", "How many of them share the commonest term.", {.min = 1}),
      member<&C::reason>("reason", "Why it is taken. Kept sealed beside the journal entry.",
                         {.bytes = 1000}, Place::body, Sensitivity::personal)};
  return kMembers;
}

std::vector<http::Route> index_routes(Indexes* indexes) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Indexes::rebuild>(
      indexes, "indexes.rebuild", "POST", "/v1/collections/{collection}/indexes/{field}/rebuild",
      "Build the index of a field anew, while the old one answers", {.grows = true}));
  out.push_back(http::route<&Indexes::consent>(
      indexes, "indexes.consent", "POST", "/v1/collections/{collection}/indexes/{field}/consent",
      "Consent to an index whose commonest values stand out",
      {.examples = {{"Surnames", R"({"counted":48211,"largest":1130,"reason":"small risk"})"}}}));
  return out;
}

}  // namespace holdfast::vault
