#include "crypto/signer.h"

#include <sodium.h>

#include <stdexcept>

namespace holdfast::crypto {

static_assert(sizeof(PublicKey) == crypto_sign_PUBLICKEYBYTES);
static_assert(sizeof(Signature) == crypto_sign_BYTES);

Signer::Signer(BytesView seed) : secret_(crypto_sign_SECRETKEYBYTES) {
  if (seed.size() != crypto_sign_SEEDBYTES)
    throw std::invalid_argument("an Ed25519 seed has 32 bytes");
  crypto_sign_seed_keypair(public_.data(), secret_.expose_mut().data(), seed.data());
}

Signature Signer::sign(BytesView message) const {
  Signature out;
  crypto_sign_detached(out.data(), nullptr, message.data(), message.size(),
                       secret_.expose().data());
  return out;
}

bool verify(const PublicKey& key, BytesView message, BytesView signature) {
  return signature.size() == crypto_sign_BYTES &&
         crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

}  // namespace holdfast::crypto
