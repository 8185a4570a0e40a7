#include "vault/tries_under_way.h"

#include <utility>

namespace holdfast::vault {

std::optional<int> TriesUnderWay::decide(const std::string& principal) {
  std::scoped_lock lock(mutex_);
  auto& key = keys_[principal];
  if (std::exchange(key.deciding, true)) return std::nullopt;
  return key.under_way;
}

void TriesUnderWay::move(const std::string& principal, TryPlace from, TryPlace to) {
  std::scoped_lock lock(mutex_);
  auto& key = keys_[principal];
  if (from == TryPlace::deciding) key.deciding = false;
  key.under_way += (to == TryPlace::under_way) - (from == TryPlace::under_way);
  if (!key.deciding && key.under_way == 0) keys_.erase(principal);
}

}  // namespace holdfast::vault
