#include "crypto/keyring.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "crypto/aead.h"
#include "crypto/hash.h"

namespace holdfast::crypto {
namespace {

/// The first ten are in every keyring; what comes after them is missing from older ones.
constexpr std::array kUses = {
    KeyUse::epoch,   KeyUse::index,     KeyUse::external, KeyUse::authority, KeyUse::digest,
    KeyUse::journal, KeyUse::side,      KeyUse::afterlog, KeyUse::cursor,    KeyUse::idempotency,
    KeyUse::token,   KeyUse::pseudonym, KeyUse::sealing};
constexpr std::size_t kFirstUses = 10;
constexpr std::string_view kAddedLabel = "holdfast keyring, key of an added use";

// On disk (README.md): head in the clear, then a sealed value over the entries, then a checksum.
constexpr std::string_view kMagic = "HFKEYRNG";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kStoreBytes = 16;
constexpr std::size_t kHeadBytes = 8 + 1 + kStoreBytes + 8;
constexpr std::size_t kCheckBytes = sizeof(Digest);
constexpr std::size_t kEntryBytes = 1 + 4 + 8 + 1 + kKeyBytes;
constexpr std::size_t kMostKeys = 16'384;
constexpr std::uint32_t kRootKeyId = 0;

static_assert(kHeadBytes + kSealOverhead + 4 + kMostKeys * kEntryBytes + kCheckBytes < 1 << 20);

/// put_ functions for memory that is locked: a Bytes would leave copies where it grew.
struct SecretWriter {
  std::span<std::uint8_t> rest;

  void number(std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = bytes; i-- > 0; value >>= 8) rest[i] = static_cast<std::uint8_t>(value);
    rest = rest.subspan(bytes);
  }
  void bytes(BytesView from) {
    std::copy(from.begin(), from.end(), rest.begin());
    rest = rest.subspan(from.size());
  }
};

Error malformed() {
  return Error(
      Code::corrupt,
      "the keyring opens but does not make sense: put back its copy, the file `keyring` in the "
      "folder of backup.keys");
}

}  // namespace

std::string_view use_name(KeyUse use) {
  switch (use) {
    case KeyUse::epoch:
      return "epoch";
    case KeyUse::index:
      return "index";
    case KeyUse::external:
      return "external";
    case KeyUse::authority:
      return "authority";
    case KeyUse::digest:
      return "digest";
    case KeyUse::journal:
      return "journal";
    case KeyUse::side:
      return "side";
    case KeyUse::afterlog:
      return "afterlog";
    case KeyUse::cursor:
      return "cursor";
    case KeyUse::idempotency:
      return "idempotency";
    case KeyUse::token:
      return "token";
    case KeyUse::pseudonym:
      return "pseudonym";
    case KeyUse::sealing:
      return "sealing";
  }
  return "unknown";
}

const Secret& Keyring::active(KeyUse use) const {
  return keys_.at({use, active_id(use)}).key;
}

std::uint32_t Keyring::active_id(KeyUse use) const {
  // The active key is the last one of its use.
  auto after = keys_.upper_bound({use, ~std::uint32_t{0}});
  if (after == keys_.begin() || std::prev(after)->first.first != use)
    throw std::out_of_range("this keyring holds no key of that use");
  return std::prev(after)->first.second;
}

const Secret* Keyring::find(KeyUse use, std::uint32_t id) const {
  auto found = keys_.find({use, id});
  return found == keys_.end() ? nullptr : &found->second.key;
}

std::vector<KeyInfo> Keyring::list() const {
  std::vector<KeyInfo> out;
  for (const auto& [name, entry] : keys_)
    out.push_back({name.first, name.second, entry.created, entry.active});
  return out;
}

Keyring Keyring::clone() const {
  Keyring out;
  out.store_id_ = store_id_;
  out.generation_ = generation_;
  for (const auto& [name, entry] : keys_)
    out.keys_.emplace(name, Entry{entry.created, entry.active, entry.key.clone()});
  return out;
}

Keyring Keyring::make(Time now) {
  Keyring out;
  out.store_id_ = random_bytes(kStoreBytes);
  out.generation_ = 1;
  for (auto use : kUses)
    out.keys_.emplace(std::pair(use, 1), Entry{now, true, Secret::random(kKeyBytes)});
  return out;
}

Keyring Keyring::with_new(KeyUse use, Time now) const {
  if (keys_.size() == kMostKeys) throw std::length_error("a keyring holds at most 16384 keys");
  auto out = clone();
  ++out.generation_;
  auto last = active_id(use);
  out.keys_.at({use, last}).active = false;
  out.keys_.emplace(std::pair(use, last + 1), Entry{now, true, Secret::random(kKeyBytes)});
  return out;
}

Keyring Keyring::without(KeyUse use, std::uint32_t id) const {
  auto found = keys_.find({use, id});
  if (found == keys_.end() || found->second.active)
    throw std::invalid_argument("only a key that is held and not active can be taken out");
  auto out = clone();
  ++out.generation_;
  out.keys_.erase({use, id});
  return out;
}

std::vector<std::uint32_t> Keyring::ids(KeyUse use) const {
  std::vector<std::uint32_t> out;
  for (auto at = keys_.lower_bound({use, 0}); at != keys_.end() && at->first.first == use; ++at)
    out.insert(out.begin(), at->first.second);
  return out;
}

std::vector<KeyUse> Keyring::missing() const {
  std::vector<KeyUse> out;
  for (auto use : kUses)
    if (auto first = keys_.lower_bound({use, 0}); first == keys_.end() || first->first.first != use)
      out.push_back(use);
  return out;
}

Keyring Keyring::with_missing(Time now) const {
  auto out = clone();
  ++out.generation_;
  Hmac source(active(KeyUse::authority).expose());
  for (auto use : missing()) {
    auto info = to_bytes(kAddedLabel);
    put_u8(info, static_cast<std::uint8_t>(use));
    out.keys_.emplace(std::pair(use, 1), Entry{now, true, source.expand(info)});
  }
  return out;
}

Keyring Keyring::next_generation() const {
  auto out = clone();
  ++out.generation_;
  return out;
}

bool Keyring::holds_all_of(const Keyring& other) const {
  return std::all_of(other.keys_.begin(), other.keys_.end(), [this](const auto& item) {
    auto* mine = find(item.first.first, item.first.second);
    return mine && mine->matches(item.second.key.expose());
  });
}

bool Keyring::is_other_making_of(const Keyring& other) const {
  if (generation_ != other.generation_ || store_id_ != other.store_id_ ||
      keys_.size() != other.keys_.size())
    return false;
  std::size_t differ = 0;
  for (const auto& [id, mine] : keys_) {
    const auto theirs = other.keys_.find(id);
    if (theirs == other.keys_.end() || theirs->second.active != mine.active) return false;
    if (theirs->second.key.matches(mine.key.expose())) continue;
    if (!mine.active) return false;
    ++differ;
  }
  return differ == 1;
}

Bytes Keyring::sealed(const Secret& root) const {
  Bytes out = to_bytes(kMagic);
  put_u8(out, kVersion);
  out.insert(out.end(), store_id_.begin(), store_id_.end());
  put_u64(out, generation_);

  Secret entries(4 + keys_.size() * kEntryBytes);
  SecretWriter writer{entries.expose_mut()};
  writer.number(keys_.size(), 4);
  for (const auto& [name, entry] : keys_) {
    writer.number(static_cast<std::uint8_t>(name.first), 1);
    writer.number(name.second, 4);
    writer.number(static_cast<std::uint64_t>(to_ms(entry.created)), 8);
    writer.number(entry.active, 1);
    writer.bytes(entry.key.expose());
  }
  auto body = seal(root.expose(), kRootKeyId, entries.expose(), out);
  out.insert(out.end(), body.begin(), body.end());
  auto check = sha256(out);
  out.insert(out.end(), check.begin(), check.end());
  return out;
}

Result<KeyringHead> keyring_head(BytesView file) {
  if (file.size() < kMagic.size() || as_text(file.first(kMagic.size())) != kMagic)
    return Error(
        Code::invalid,
        "this is not a keyring; look whether the path names the right "
        "file, and if so put back its copy, the file `keyring` in the folder of backup.keys");
  if (file.size() < kHeadBytes + kSealOverhead + kCheckBytes ||
      !equal_constant_time(sha256(file.first(file.size() - kCheckBytes)), file.last(kCheckBytes)))
    return Error(
        Code::corrupt,
        "the keyring file is damaged: put back its copy, the file `keyring` in the folder of "
        "backup.keys");
  ByteReader reader(file.subspan(kMagic.size()));
  if (reader.u8() != kVersion)
    return Error(Code::invalid, "the keyring was written by a newer version; start that one");
  auto store_id = to_bytes(*reader.take(kStoreBytes));
  return KeyringHead{std::move(store_id), *reader.u64()};
}

Result<Keyring> Keyring::open(BytesView file, const Secret& root) {
  auto head = keyring_head(file);
  if (!head) return std::move(head).error();
  auto body = file.subspan(kHeadBytes, file.size() - kHeadBytes - kCheckBytes);
  auto plain = crypto::open(root.expose(), body, file.first(kHeadBytes));
  if (!plain)
    return Error(Code::corrupt,
                 "the keyring does not open with this root key: the key file or the recovery "
                 "shares are of another store, or were made before or after this keyring. Take "
                 "those that belong to it, or put the keyring in place that belongs to them: the "
                 "newest is in the folder backup.keys");

  Keyring out;
  out.store_id_ = std::move(head->store_id);
  out.generation_ = head->generation;
  ByteReader reader(plain->expose());
  auto count = reader.u32();
  if (!count || *count > kMostKeys) return malformed();
  for (std::uint32_t i = 0; i < *count; ++i) {
    auto use = reader.u8();
    auto id = reader.u32();
    auto created = reader.u64();
    auto active = reader.u8();
    auto key = reader.take(kKeyBytes);
    if (!key || *active > 1 || *use == 0) return malformed();
    std::pair name(KeyUse{*use}, *id);
    // In order, each once: one keyring has one spelling.
    if (!out.keys_.empty() && out.keys_.rbegin()->first >= name) return malformed();
    out.keys_.emplace(name, Entry{from_ms(static_cast<std::int64_t>(*created)), *active == 1,
                                  Secret::copy(*key)});
  }
  if (!reader.done() || !out.one_active_each()) return malformed();
  return out;
}

bool Keyring::one_active_each() const {
  for (auto item = keys_.begin(); item != keys_.end(); ++item) {
    auto next = std::next(item);
    bool last = next == keys_.end() || next->first.first != item->first.first;
    if (item->second.active != last) return false;
  }
  auto none = missing();
  return std::none_of(kUses.begin(), kUses.begin() + kFirstUses, [&](KeyUse use) {
    return std::find(none.begin(), none.end(), use) != none.end();
  });
}

}  // namespace holdfast::crypto
