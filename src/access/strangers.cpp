#include "access/strangers.h"

namespace holdfast::access {
namespace {

Time minute_of(Time now) {
  return std::chrono::floor<std::chrono::minutes>(now);
}

}  // namespace

bool Strangers::refused(const std::string& prefix, Time now, bool recorded) {
  std::lock_guard lock(mutex_);
  roll(minute_of(now));
  const bool room = current_.size() < limits_.prefixes || current_.contains(prefix);
  auto& tally = current_[room ? prefix : std::string()];
  const bool over = ++tally.tries > limits_.tries;
  if (over || !recorded) ++tally.unrecorded;
  return over;
}

std::vector<Strangers::Count> Strangers::take(Time now, bool all) {
  std::lock_guard lock(mutex_);
  // A minute also ends when the clock is set back: what was counted stays counted.
  roll(all ? Time::min() : minute_of(now));
  std::vector<Count> out;
  out.reserve(finished_.size());
  for (auto& [key, refused] : finished_) out.push_back({key.first, key.second, refused});
  finished_.clear();
  return out;
}

void Strangers::put_back(std::vector<Count> counts) {
  std::lock_guard lock(mutex_);
  for (auto& count : counts) keep(std::move(count));
}

void Strangers::roll(Time minute) {
  if (minute == minute_) return;
  for (auto& [prefix, tally] : current_)
    if (tally.unrecorded > 0) keep({minute_, prefix, tally.unrecorded});
  current_.clear();
  minute_ = minute;
}

void Strangers::keep(Count count) {
  // While the journal cannot take them, minutes pile up: beyond the bound only their sum is kept.
  if (finished_.size() >= 2 * limits_.prefixes) count = {Time(), {}, count.refused};
  finished_[{count.minute, std::move(count.prefix)}] += count.refused;
}

}  // namespace holdfast::access
