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
      return kOfOnePerson;
    default:
      return kFew;
  }
}

Guesses::Guesses(const Query& query, std::vector<const Field*> blind, bool one_customer,
                 const Field* driver, bool by_any)
    : query_(&query),
      blind_(std::move(blind)),
      driver_(driver),
      by_any_(by_any),
      watching_(!blind_.empty() &&
                (one_customer ||
                 query.conditions.size() + query.filters.size() + !query.any.empty() > 1)) {}

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

bool Guesses::matches(OpenRecord& record, bool told) {
  if (!watching_) return vault::matches(*query_, record);
  auto subject = record.record().subject;
  auto missed = misses(*query_, record);
  if (missed.empty()) {
    auto& right = right_.emplace_back(Tried{subject, record.record().id, {}});
    for (const auto* field : blind_) right.fields.push_back(field->id);
    return std::ranges::none_of(
        blind_, [&](const Field* field) { return spent_.contains({subject, field->id}); });
  }
  // Another value by now: nobody asked for this record.
  const auto& first = missed.front();
  if (!told && driver_ && first.size() == 1 && first.front() == driver_) return false;
  if (by_any_ && !matches_any(*query_, record)) return false;
  compared_.push_back(subject);
  Tried guessed{subject, record.record().id, {}};
  auto in = [](const auto& fields, const Field* field) {
    return std::ranges::find(fields, field) != fields.end();
  };
  // What misses on something that the caller sees tells nothing that is not seen already.
  bool blindly = std::ranges::all_of(missed, [&](const auto& fields) {
    return std::ranges::any_of(blind_, [&](const Field* field) { return in(fields, field); });
  });
  for (const auto* field : blind_)
    if (blindly &&
        std::ranges::any_of(missed, [&](const auto& fields) { return in(fields, field); }))
      guessed.fields.push_back(field->id);
  if (blindly) wrong_.push_back(std::move(guessed));
  return false;
}

bool Guesses::is_named(const Tried& tried, const Naming& naming) const {
  if (naming.alone(tried.record)) return true;
  if (!naming.whole_without(tried.fields)) return false;
  auto has = [&tried](std::uint16_t field) {
    return std::ranges::find(tried.fields, field) != tried.fields.end();
  };
  auto most = named(nullptr);
  for (const auto& one : query_->conditions)
    if (one.match == Match::exact && !has(one.field->id)) most = std::max(most, named(one.field));
  const auto fit = std::ranges::count_if(
      wrong_, [&](const Tried& other) { return std::ranges::all_of(other.fields, has); });
  return right_.size() + static_cast<std::size_t>(fit) <= most;
}

Task<Result<void>> Guesses::allowed(db::Reader& reader, SubjectId guesser, Time now,
                                    MonoTime deadline) const {
  if (!watching_) co_return Result<void>();
  auto counted = co_await wrong_today(reader, guesser, now, deadline);
  if (!counted) co_return std::move(counted).error();
  for (const auto* field : blind_)
    if (auto found = counted->find({query_->collection->id, field->id});
        found != counted->end() && found->second >= kGuessingSearches)
      co_return guesses_used_up();
  co_return Result<void>();
}

void Guesses::settle(const Naming& naming, SubjectId guesser, Time now, db::Changes& changes,
                     Showing& showing, journal::Event& event) const {
  std::ranges::copy(compared_, std::back_inserter(showing.compared));
  std::int64_t count = 0;
  std::map<Compared, bool> counted;
  for (const auto& one : right_) {
    if (!is_named(one, naming)) continue;
    for (auto field : one.fields) counted.try_emplace({one.subject, field}, false);
  }
  std::set<std::uint32_t> nobodys;
  for (const auto& one : wrong_) {
    if (!is_named(one, naming)) {
      nobodys.insert(one.fields.begin(), one.fields.end());
      continue;
    }
    ++count;
    event.touches.push_back({one.subject, "records", to_bytes(one.record.bytes()), {}});
    showing.subjects.push_back(one.subject);
    for (auto field : one.fields) counted[{one.subject, field}] = true;
  }
  event.facts.emplace_back("missed", count);
  std::erase_if(counted, [&](const auto& one) { return spent_.contains(one.first); });
  count_wrong(changes, query_->collection->id, counted, now);
  count_guessing(changes, guesser, query_->collection->id, nobodys, now);
}

}  // namespace holdfast::vault
