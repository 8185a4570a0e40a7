// Two customers who are one: the second becomes another name of the first.
#include "journal/noted.h"
#include "vault/policy.h"
#include "vault/statements.h"
#include "vault/subjects/afterlog.h"
#include "vault/subjects/service.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kMostRecords = 2000;
constexpr std::size_t kLongestSlot = 63;
constexpr std::size_t kSlice = 64;

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

using Slots = std::set<std::pair<std::uint32_t, std::string>>;

/// The slot itself, or the first of `slot_2`, `slot_3`, ... that nobody has; taken from then on.
std::string free_slot(Slots& taken, std::uint32_t collection, const std::string& slot) {
  auto out = slot;
  for (int n = 2; !taken.emplace(collection, out).second; ++n) {
    auto suffix = '_' + std::to_string(n);
    out = slot.substr(0, kLongestSlot - suffix.size()) + suffix;
  }
  return out;
}

}  // namespace

Task<Result<MergedSubjects>> Subjects::merge(Caller caller, MergeSubjects request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto into = co_await living(*work->keys, request.subject, caller.deadline);
  if (!into) co_return std::move(into).error();
  auto from = co_await living(*work->keys, request.from, caller.deadline);
  if (!from) co_return std::move(from).error().at("from");
  if (from->id == into->id)
    co_return Error(Code::conflict, "these are one customer already").at("from");
  auto hold = co_await deps_.holds.held(from->id, caller.deadline);
  if (!hold) co_return std::move(hold).error();
  if (*hold)
    co_return co_await refused_for(
        context_, std::move(caller), kMerge, from->id,
        Error(Code::conflict, "a legal hold is on this customer: they stay apart until it ends")
            .at("from"));
  for (const auto* one : {&*into, &*from})
    if (auto may = changeable(*work->keys, *one); !may)
      co_return co_await refused_for(context_, std::move(caller), kMerge, one->id,
                                     std::move(may).error().at(one == &*into ? "subject" : "from"));
  co_return co_await join(std::move(caller), std::move(*into), std::move(*from), kMerge,
                          request.note.value_or(""));
}

Task<Result<MergedSubjects>> Subjects::join(Caller caller, Subject into, Subject from,
                                            std::string_view activity, std::string note) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto mine = standing_of(*work->keys, into);
  if (!mine) co_return std::move(mine).error();
  auto theirs = standing_of(*work->keys, from);
  if (!theirs) co_return std::move(theirs).error();
  auto staying = co_await context_.store.records_of(into.id, caller.deadline);
  if (!staying) co_return std::move(staying).error();
  auto moving = co_await context_.store.records_of(from.id, caller.deadline);
  if (!moving) co_return std::move(moving).error();
  if (moving->size() > kMostRecords)
    co_return Error(Code::too_large,
                    "a customer of over 2,000 records cannot be merged into another")
        .at("from");
  auto keys = co_await context_.store.keys({into.id, from.id}, caller.deadline);
  if (!keys) co_return std::move(keys).error();
  auto aliases = co_await context_.store.aliases(from.id, caller.deadline);
  if (!aliases) co_return std::move(aliases).error();

  MergedSubjects out{.subject = into.id, .merged = from.id, .renamed = {}, .event = {}};
  Slots taken;
  for (const auto& record : *staying)
    if (record.slot) taken.emplace(record.collection, *record.slot);
  Draft draft(*work->keys, work->now);
  draft.expect_living(into.id);
  db::List left;
  for (auto& record : *moving) {
    const auto* collection = work->schema->find(record.collection);
    if (!collection) co_return Error(Code::corrupt, "the record's collection is missing");
    auto slot = record.slot;
    if (slot) slot = free_slot(taken, record.collection, *slot);
    if (slot != record.slot)
      out.renamed.push_back({record.id, collection->name, *record.slot, *slot});
    auto moved = draft.move_record(keys->at(from.id), keys->at(into.id), *collection, record,
                                   std::move(slot));
    if (!moved) co_return std::move(moved).error();
    if (++out.records % static_cast<std::int64_t>(kSlice) == 0) co_await give_way();
  }

  Error changed(Code::conflict, "one of the two customers changed meanwhile: repeat");
  journal::Event event{
      .activity = activity, .touches = std::move(draft.touches()), .note = std::move(note)};
  db::Changes changes;
  for (auto id : {std::min(into.id, from.id), std::max(into.id, from.id)})
    changes.guard(kLockSubject, {blob(id)}, changed);
  changes.append(std::move(draft).changes());
  for (auto* follower : deps_.follows) {
    auto followed = co_await follower->follow(*work, keys->at(from.id), keys->at(into.id), changes,
                                              event, caller.deadline);
    if (!followed) co_return std::move(followed).error();
  }
  into.standing = encode_standing(merged(*mine, *theirs));
  from.merged_into = into.id;
  std::vector<Subject*> rows{&into, &from};
  for (auto& alias : *aliases) {
    alias.merged_into = into.id;  // so that every name leads straight to the customer
    rows.push_back(&alias);
  }
  for (auto* row : rows) {
    changes.write(kPutSubject, put_subject(*work->keys, *row), db::Expect::exactly(1), changed);
    event.touches.push_back(
        {row->id, "subjects", blob(row->id), subject_digest(*work->keys, *row)});
  }
  changes.guard(kGuardNoOthers, {blob(from.id), std::move(left)}, changed);
  event.facts = {{"into", into.id.text()},
                 {"records", out.records},
                 {"renamed", static_cast<std::int64_t>(out.renamed.size())}};
  std::optional<journal::Line> line;
  if (activity == kMerge) {
    deps_.holds.guard(changes, from.id);
    line = {kMerged, merged_line(from.id, into.id)};
  }
  auto done = co_await journal::commit_noted(context_.journal, std::move(line), caller,
                                             std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  out.event = done->receipt.event;
  co_return out;
}

}  // namespace holdfast::vault
