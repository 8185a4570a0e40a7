#include "vault/records/unique_tries.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "vault/records/wrong_values.h"

namespace holdfast::vault {
namespace {

constexpr Millis kPause{2}, kLongestPause{50};
constexpr std::chrono::seconds kRecordTime{10};

SubjectId counted_on(const crypto::KeySet& keys, const Caller& caller) {
  return place_of_tries(keys, "unique tries", caller.principal);
}

}  // namespace

bool may_compare(const Context& context, const Working& work, const Caller& caller,
                 const Collection& collection, const Field& field) {
  for (const auto& [purpose, declared] : work.schema->purposes)
    for (auto operation : {"records.verify", "records.search"})
      if (view_of_field(context, caller, operation, collection, field, purpose) >= View::verify)
        return true;
  return false;
}

void UniqueTries::add(const Collection& collection, std::span<const CheckedValue> values) {
  for (const auto& value : values) {
    const auto& field = *value.field;
    bool unique = std::ranges::any_of(
        field.indexes, [](const IndexInfo& index) { return index.kind == IndexKind::unique; });
    if (!unique || value.remove) continue;
    bool known = std::ranges::any_of(tried_, [&](const Tried& one) { return one.field == &field; });
    if (known) continue;
    tried_.push_back(
        {&collection, &field, !may_compare(context_, work_, caller_, collection, field)});
  }
}

Task<Result<void>> UniqueTries::allowed() {
  if (std::ranges::none_of(tried_, &Tried::blind)) co_return Result<void>();
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  for (auto wait = kPause;; wait = std::min(2 * wait, kLongestPause)) {
    if (auto ahead = context_.tries->decide(caller_.principal)) {
      place_ = TryPlace::deciding;
      // Read after that: what is not under way any more was counted by then.
      auto counted =
          co_await wrong_today(context_.journal.reader(), counted_on(*work_.keys, caller_),
                               context_.clock.now(), caller_.deadline);
      if (!counted) co_return std::move(counted).error();
      std::int64_t most = 0;
      std::string field;
      for (const auto& one : tried_) {
        auto found = counted->find({one.collection->id, one.field->id});
        if (!one.blind || found == counted->end() || found->second <= most) continue;
        most = found->second;
        field = one.field->name;
      }
      const bool goes_on = most + *ahead < kWrongValues;
      move_to(goes_on ? TryPlace::under_way : TryPlace::outside);
      if (goes_on) co_return Result<void>();
      if (most >= kWrongValues) co_return co_await exhausted(std::move(field));
    }
    if (context_.clock.mono() >= caller_.deadline)
      co_return Error(Code::unavailable,
                      "too many requests of this key write unique fields at once: send fewer side "
                      "by side, or use a key with view verify");
    pause.expires_after(wait);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
}

Task<Error> UniqueTries::exhausted(std::string field) {
  auto recorded = co_await context_.journal.commit(caller_, {}, event("exhausted"));
  if (!recorded) co_return std::move(recorded).error();
  co_return Error(Code::exhausted,
                  "this key may not compare this field and met five values of others in it "
                  "today: it can be written again tomorrow (UTC), or by a key with view verify")
      .at(field);
}

Task<Error> UniqueTries::refused(Error why) {
  if (why.text != value_taken().text) co_return why;
  db::Changes changes;
  const auto whose = counted_on(*work_.keys, caller_);
  const auto now = context_.clock.now();  // it may have waited past midnight
  std::map<std::uint32_t, std::map<Compared, bool>> counted;
  for (const auto& one : tried_)
    if (one.blind) counted[one.collection->id][{whose, one.field->id}] = true;
  for (const auto& [collection, wrong] : counted)
    count_wrong(changes, collection, wrong, now, db::Expect::any());
  // Also where the request's own time is over: what its failure tells does not go unrecorded.
  auto caller = caller_;
  caller.deadline = std::max(caller.deadline, context_.clock.mono() + kRecordTime);
  auto recorded =
      co_await context_.journal.commit(caller, std::move(changes), event("value_taken"));
  if (!recorded) co_return std::move(recorded).error();
  // Which of several it was the database does not say.
  const auto* field = tried_.front().field;
  if (std::ranges::all_of(tried_, [&](const Tried& one) { return one.field == field; }))
    co_return std::move(why).at(field->name);
  co_return why;
}

void UniqueTries::move_to(TryPlace place) {
  if (place == place_) return;
  context_.tries->move(caller_.principal, place_, place);
  place_ = place;
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
