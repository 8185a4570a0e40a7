#include "vault/records/unique_tries.h"

#include <algorithm>
#include <map>
#include <set>

#include "vault/records/wrong_values.h"

namespace holdfast::vault {
namespace {

/// Whom the tries of a key count on: its place among customers, and nobody.
SubjectId counted_on(const crypto::KeySet& keys, const Caller& caller) {
  Bytes input;
  put_part(input, std::string_view("unique tries"));
  put_part(input, caller.principal);
  auto mac = keys.digest.mac(input);
  return SubjectId::from(BytesView(mac).first(16)).value_or(SubjectId{});
}

}  // namespace

void UniqueTries::add(const Collection& collection, std::span<const CheckedValue> values) {
  for (const auto& value : values) {
    const auto& field = *value.field;
    bool unique = std::ranges::any_of(
        field.indexes, [](const IndexInfo& index) { return index.kind == IndexKind::unique; });
    if (!unique || value.remove) continue;
    bool known = std::ranges::any_of(tried_, [&](const Tried& one) { return one.field == &field; });
    if (known) continue;
    tried_.push_back({&collection, &field, !may_compare(collection, field)});
  }
}

/// For some purpose, by some operation that compares.
bool UniqueTries::may_compare(const Collection& collection, const Field& field) const {
  for (const auto& [purpose, declared] : work_.schema->purposes)
    for (auto operation : {"records.verify", "records.search"})
      if (view_of_field(context_, caller_, operation, collection, field, purpose) >= View::verify)
        return true;
  return false;
}

Task<Result<void>> UniqueTries::allowed() {
  std::set<const Collection*> blind;
  for (const auto& one : tried_)
    if (one.blind) blind.insert(one.collection);
  const auto whose = counted_on(*work_.keys, caller_);
  for (const auto* collection : blind) {
    auto spent = co_await used_up(context_.journal.reader(), {whose}, collection->id, work_.now,
                                  caller_.deadline);
    if (!spent) co_return std::move(spent).error();
    for (const auto& one : tried_) {
      if (one.collection != collection || !one.blind || !spent->contains({whose, one.field->id}))
        continue;
      auto recorded = co_await context_.journal.commit(caller_, {}, event("exhausted"));
      if (!recorded) co_return std::move(recorded).error();
      co_return Error(Code::exhausted,
                      "this key may not compare this field and met five values of others in it "
                      "today: it can be written again tomorrow (UTC), or by a key with view verify")
          .at(one.field->name);
    }
  }
  co_return Result<void>();
}

Task<Error> UniqueTries::refused(Error why) {
  if (why.text != value_taken().text) co_return why;
  db::Changes changes;
  const auto whose = counted_on(*work_.keys, caller_);
  std::map<std::uint32_t, std::map<Compared, bool>> counted;
  for (const auto& one : tried_)
    if (one.blind) counted[one.collection->id][{whose, one.field->id}] = true;
  for (const auto& [collection, wrong] : counted)
    count_wrong(changes, collection, wrong, work_.now);
  auto recorded =
      co_await context_.journal.commit(caller_, std::move(changes), event("value_taken"));
  if (!recorded) co_return std::move(recorded).error();
  co_return why;
}

journal::Event UniqueTries::event(std::string_view reason) const {
  journal::Event out{.activity = activity_, .outcome = journal::Outcome::refused, .reason = reason};
  for (const auto& one : tried_) {
    out.collection = one.collection->name;
    out.fields.push_back(one.field->name);
  }
  return out;
}

}  // namespace holdfast::vault
