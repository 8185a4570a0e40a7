#include "crypto/hpke.h"

#include <sodium.h>

#include <stdexcept>
#include <string_view>

#include "crypto/aead_raw.h"
#include "crypto/hash.h"
#include "crypto/hpke_raw.h"

namespace holdfast::crypto {
namespace {

static_assert(sizeof(HpkePublicKey) == crypto_scalarmult_curve25519_BYTES);

// RFC 9180 section 7: KEM 0x0020, KDF 0x0001, AEAD 0x0002.
constexpr std::array<std::uint8_t, 5> kKemSuite = {'K', 'E', 'M', 0x00, 0x20};
constexpr std::array<std::uint8_t, 10> kSuite = {'H',  'P',  'K',  'E',  0x00,
                                                 0x20, 0x00, 0x01, 0x00, 0x02};
constexpr std::uint8_t kModeBase = 0;
constexpr std::size_t kKeyPartBytes = sizeof(HpkePublicKey);

Secret joined(std::initializer_list<BytesView> parts) {
  std::size_t size = 0;
  for (auto part : parts) size += part.size();
  Secret out(size);
  auto* at = out.expose_mut().data();
  for (auto part : parts) at = std::copy(part.begin(), part.end(), at);
  return out;
}

/// LabeledExtract of section 4.
Secret extract(BytesView suite, std::string_view label, BytesView salt, BytesView input) {
  return hkdf_extract(salt, joined({as_bytes("HPKE-v1"), suite, as_bytes(label), input}).expose());
}

/// LabeledExpand of section 4.
Secret expand(BytesView suite, const Secret& key, std::string_view label, BytesView info,
              std::uint8_t size) {
  const std::array<std::uint8_t, 2> length = {0, size};
  return Hmac(key.expose())
      .expand(joined({length, as_bytes("HPKE-v1"), suite, as_bytes(label), info}).expose(), size);
}

struct Pair {
  Secret key;
  HpkePublicKey shown{};
};

/// DeriveKeyPair of section 7.1.3.
Pair derive(BytesView random) {
  if (random.size() < kKeyPartBytes)
    throw std::invalid_argument("an HPKE key needs at least 32 random bytes");
  Pair out{expand(kKemSuite, extract(kKemSuite, "dkp_prk", {}, random), "sk", {}, kKeyPartBytes)};
  crypto_scalarmult_curve25519_base(out.shown.data(), out.key.expose().data());
  return out;
}

struct Schedule {
  Secret key, nonce;
};

/// ExtractAndExpand of section 4.1 and KeySchedule of section 5.1. Nothing when the two keys give
/// no secret (section 7.1.4).
std::optional<Schedule> schedule(const Secret& mine, BytesView theirs, BytesView encapsulated,
                                 BytesView recipient, BytesView info) {
  Secret shared(crypto_scalarmult_curve25519_BYTES);
  if (crypto_scalarmult_curve25519(shared.expose_mut().data(), mine.expose().data(),
                                   theirs.data()) != 0)
    return std::nullopt;
  const auto context = joined({encapsulated, recipient});
  shared = expand(kKemSuite, extract(kKemSuite, "eae_prk", {}, shared.expose()), "shared_secret",
                  context.expose(), kKeyPartBytes);

  const std::array mode = {kModeBase};
  const auto no_psk = extract(kSuite, "psk_id_hash", {}, {});
  const auto about = extract(kSuite, "info_hash", {}, info);
  const auto bound = joined({mode, no_psk.expose(), about.expose()});
  const auto secret = extract(kSuite, "secret", shared.expose(), {});
  return Schedule{expand(kSuite, secret, "key", bound.expose(), raw::kKeyBytes),
                  expand(kSuite, secret, "base_nonce", bound.expose(), raw::kNonceBytes)};
}

}  // namespace

namespace raw {

Result<Bytes> hpke_seal(const HpkePublicKey& key, BytesView info, BytesView associated,
                        BytesView plain, BytesView random) {
  const auto mine = derive(random);
  auto found = schedule(mine.key, key, mine.shown, key, info);
  if (!found) return Error(Code::invalid, "this is no public sealing key");
  auto out = to_bytes(BytesView(mine.shown));
  out.resize(kHpkeOverhead + plain.size());
  gcm_seal(found->key.expose(), found->nonce.expose(), {associated, BytesView()}, plain,
           std::span(out).subspan(kKeyPartBytes));
  return out;
}

}  // namespace raw

Result<Bytes> hpke_seal(const HpkePublicKey& key, BytesView info, BytesView associated,
                        BytesView plain) {
  return raw::hpke_seal(key, info, associated, plain, Secret::random(kKeyPartBytes).expose());
}

HpkeKey::HpkeKey(BytesView random) {
  auto pair = derive(random);
  private_ = std::move(pair.key);
  public_ = pair.shown;
}

Result<Secret> HpkeKey::open(BytesView info, BytesView associated, BytesView sealed) const {
  Error wrong(Code::corrupt,
              "this does not open: it was changed, belongs to something else, or was sealed with "
              "another key");
  if (sealed.size() < kHpkeOverhead) return wrong;
  auto encapsulated = sealed.first(kKeyPartBytes);
  auto found = schedule(private_, encapsulated, encapsulated, public_, info);
  if (!found) return wrong;
  Secret plain(sealed.size() - kHpkeOverhead);
  if (!raw::gcm_open(found->key.expose(), found->nonce.expose(), {associated, BytesView()},
                     sealed.subspan(kKeyPartBytes), plain.expose_mut()))
    return wrong;
  return plain;
}

}  // namespace holdfast::crypto
