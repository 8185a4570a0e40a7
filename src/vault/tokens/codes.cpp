#include "vault/tokens/codes.h"

#include <algorithm>

#include "vault/token_shape.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kMostCodes = 10'000;
constexpr std::size_t kLongestNode = 32;
constexpr std::size_t kIdLength = 26;

std::string node_name(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kLongestNode)) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    out += fine ? c : '-';
  }
  return out.empty() ? "node" : out;
}

/// The id in a handle of any node.
std::optional<Uuid> id_of(std::string_view handle) {
  if (!Codes::node_of(handle)) return std::nullopt;
  return unbase32(handle.substr(handle.size() - kIdLength));
}

}  // namespace

Codes::Codes(std::string_view node, const Clock& clock) : node_(node_name(node)), clock_(clock) {}

std::optional<std::string_view> Codes::node_of(std::string_view handle) {
  if (!handle.starts_with(kCodePrefix)) return std::nullopt;
  auto rest = handle.substr(kCodePrefix.size());
  if (rest.size() < kIdLength + 2 || rest.size() > kLongestNode + 1 + kIdLength)
    return std::nullopt;
  auto node = rest.substr(0, rest.size() - kIdLength - 1);
  if (rest[node.size()] != '_' || node_name(node) != node ||
      !unbase32(rest.substr(node.size() + 1)))
    return std::nullopt;
  return node;
}

/// By either clock, so that one set back does not lengthen a life.
bool Codes::past(const Held& held) const {
  auto now = clock_.now();
  return now >= held.until || now < held.until - kCodeLife - Millis(1000) ||
         clock_.mono() >= held.mono_until;
}

std::map<Uuid, Codes::Held>::iterator Codes::find(std::string_view handle) {
  auto id = id_of(handle);
  if (!id || node_of(handle) != node_) return held_.end();
  auto found = held_.find(*id);
  if (found == held_.end() || !past(found->second)) return found;
  held_.erase(found);
  return held_.end();
}

Result<std::string> Codes::put(SubjectId subject, std::uint32_t collection, std::uint16_t field,
                               Secret code) {
  auto now = clock_.now();
  auto id = make_uuid7(now);
  std::scoped_lock lock(mutex_);
  if (held_.size() >= kMostCodes)
    std::erase_if(held_, [&](const auto& one) { return past(one.second); });
  if (held_.size() >= kMostCodes)
    return Error(Code::exhausted,
                 "10,000 card verification codes wait to be read: read or delete some first");
  held_.emplace(id, Held{subject, collection, field, std::move(code), now + kCodeLife,
                         clock_.mono() + kCodeLife});
  return std::string(kCodePrefix) + node_ + '_' + base32(id);
}

std::optional<Codes::About> Codes::look(std::string_view handle) {
  std::scoped_lock lock(mutex_);
  auto found = find(handle);
  if (found == held_.end()) return std::nullopt;
  const auto& held = found->second;
  return About{held.subject, held.collection, held.field, found->first};
}

std::optional<Codes::Held> Codes::take(std::string_view handle) {
  std::scoped_lock lock(mutex_);
  auto found = find(handle);
  if (found == held_.end()) return std::nullopt;
  auto out = std::move(found->second);
  held_.erase(found);
  return out;
}

void Codes::put_back(std::string_view handle, Held held) {
  auto id = id_of(handle);
  std::scoped_lock lock(mutex_);
  if (id && !past(held)) held_.emplace(*id, std::move(held));
}

bool Codes::drop(std::string_view handle) {
  return take(handle).has_value();
}

void Codes::sweep() {
  std::scoped_lock lock(mutex_);
  std::erase_if(held_, [&](const auto& one) { return past(one.second); });
}

void Codes::clear() {
  std::scoped_lock lock(mutex_);
  held_.clear();
}

std::size_t Codes::size() const {
  std::scoped_lock lock(mutex_);
  return held_.size();
}

}  // namespace holdfast::vault
