#include "vault/tokens/pending.h"

#include <algorithm>

namespace holdfast::vault {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeadBytes = 1 + 4, kStoreBytes = 16;
constexpr std::string_view kInfo = "holdfast pending 1";
constexpr std::string_view kSuite = "DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM";

Bytes info_of(BytesView store) {
  Bytes out;
  put_part(out, kInfo);
  put_part(out, store);
  return out;
}

Bytes associated(const PendingPlace& place) {
  Bytes out;
  for (auto part : {place.collection, place.field, place.subject}) put_part(out, part);
  return out;
}

}  // namespace

Result<std::string> seal_pending(const SealingKey& key, const PendingPlace& place,
                                 std::string_view value) {
  auto bytes = unbase64url(key.public_key);
  auto store = unhex(key.store);
  crypto::HpkePublicKey to{};
  if (key.suite != kSuite)
    return Error(Code::invalid, "this sealing key is for a way to seal that this version lacks")
        .at("suite");
  if (!bytes || bytes->size() != to.size())
    return Error(Code::invalid, "this is no public sealing key").at("public_key");
  if (!store || store->size() != kStoreBytes)
    return Error(Code::invalid, "a store's id is 32 hexadecimal digits").at("store");
  std::ranges::copy(*bytes, to.begin());
  auto sealed = crypto::hpke_seal(to, info_of(*store), associated(place), as_bytes(value));
  if (!sealed) return std::move(sealed).error().at("public_key");
  Bytes out;
  put_u8(out, kVersion);
  put_u32(out, static_cast<std::uint32_t>(key.key_id));
  out.insert(out.end(), sealed->begin(), sealed->end());
  auto text = std::string(kPendingPrefix) + base64url(out);
  if (text.size() > kLongestPending)
    return Error(Code::too_large, "a value of more than 49,000 bytes does not fit a pending token");
  return text;
}

Result<Secret> PendingTokens::open(const PendingPlace& place, std::string_view text) {
  Error foreign(Code::invalid, "this is not a pending token: one begins with `pnd_`");
  if (!text.starts_with(kPendingPrefix)) return foreign;
  Error torn(Code::invalid, "this pending token was cut off or changed");
  auto bytes = unbase64url(text.substr(kPendingPrefix.size()));
  if (!bytes || bytes->size() < kHeadBytes + crypto::kHpkeOverhead || bytes->front() != kVersion)
    return torn;
  const auto id = *ByteReader(BytesView(*bytes).subspan(1)).u32();
  const auto* key = keys_.ring.find(crypto::KeyUse::sealing, id);
  if (!key && id <= keys_.ring.active_id(crypto::KeyUse::sealing))
    return Error(Code::gone, "the key that this pending token was sealed for was destroyed");
  if (!key)
    return Error(
        Code::invalid,
        "this pending token was sealed for a key that is not in this keyring: one that is newer "
        "than the keys file which was restored, or of another store");
  auto derived = derived_.try_emplace(id, key->expose()).first;
  auto value = derived->second.open(info_of(keys_.ring.store_id()), associated(place),
                                    BytesView(*bytes).subspan(kHeadBytes));
  if (value) return value;
  return Error(Code::invalid,
               "this pending token does not open: it was changed, or sealed for another store, "
               "collection, field or customer than these");
}

SealingKey PendingTokens::sealing_key(const crypto::KeySet& keys) {
  const auto use = crypto::KeyUse::sealing;
  const crypto::HpkeKey key(keys.ring.active(use).expose());
  return {.key_id = std::int64_t{keys.ring.active_id(use)},
          .public_key = base64url(key.public_key()),
          .store = hex(keys.ring.store_id()),
          .suite = std::string(kSuite)};
}

}  // namespace holdfast::vault
