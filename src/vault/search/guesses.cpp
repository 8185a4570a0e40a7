#include "vault/search/guesses.h"

#include <algorithm>

namespace holdfast::vault {

std::size_t Guesses::named(const Field* by) {
  constexpr std::size_t kFew = 10, kOfOnePerson = 1'000;
  if (!by) return kFew;
  switch (by->type) {
    case FieldType::email:
    case FieldType::phone:
    case FieldType::iban:
    case FieldType::tax_id:
    case FieldType::card_number:
      return kOfOnePerson;
    default:
      return kFew;
  }
}

Guesses::Guesses(const Query& query, std::vector<const Field*> blind, bool one_customer,
                 const Field* driver)
    : query_(&query),
      blind_(std::move(blind)),
      driver_(driver),
      watching_(!blind_.empty() &&
                (one_customer || query.conditions.size() + query.filters.size() > 1)) {}

bool Guesses::is_blind(const Field* field) const {
  return std::ranges::find(blind_, field) != blind_.end();
}

Task<Result<void>> Guesses::read_spent(db::Reader& reader, const std::vector<Openable>& candidates,
                                       Time now, MonoTime deadline) {
  if (!watching_ || candidates.empty()) co_return Result<void>();
  std::vector<SubjectId> subjects;
  for (const auto& one : candidates) subjects.push_back(one.record.subject);
  auto spent = co_await used_up(reader, subjects, query_->collection->id, now, deadline);
  if (!spent) co_return std::move(spent).error();
  spent_.merge(*spent);
  co_return Result<void>();
}

bool Guesses::matches(OpenRecord& record) {
  if (!watching_) return vault::matches(*query_, record);
  auto subject = record.record().subject;
  auto missed = misses(*query_, record);
  if (missed.empty()) {
    for (const auto* field : blind_) wrong_.try_emplace({subject, field->id}, false);
    return std::ranges::none_of(
        blind_, [&](const Field* field) { return spent_.contains({subject, field->id}); });
  }
  const auto* field = missed.front();
  if (driver_ && field == driver_)
    return false;  // another value by now: nobody asked for this record
  compared_.push_back(subject);
  bool alone = std::ranges::all_of(missed, [&](const auto* other) { return other == field; });
  if (alone && is_blind(field)) {
    wrong_[{subject, field->id}] = true;
    missed_.emplace_back(subject, record.record().id);
  }
  return false;
}

void Guesses::settle(bool named, Time now, db::Changes& changes, Showing& showing,
                     journal::Event& event) const {
  std::ranges::copy(compared_, std::back_inserter(showing.compared));
  event.facts.emplace_back("missed", static_cast<std::int64_t>(named ? missed_.size() : 0));
  if (!named) return;
  for (const auto& [subject, record] : missed_) {
    event.touches.push_back({subject, "records", to_bytes(record.bytes()), {}});
    showing.subjects.push_back(subject);
  }
  auto counted = wrong_;
  std::erase_if(counted, [&](const auto& one) { return spent_.contains(one.first); });
  count_wrong(changes, query_->collection->id, counted, now);
}

}  // namespace holdfast::vault
