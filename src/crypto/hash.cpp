// OpenSSL 3.0 calls the SHA256_ functions deprecated in favour of EVP_MD. They are used here for
// two reasons. An EVP context lies where OpenSSL's allocator puts it, while the absorbed state of
// an HMAC key must lie in locked memory: SHA256_CTX is a plain struct that can. And they are
// faster: 0.05 µs against 0.07 for a short hash, 0.10 against 0.13 for an HMAC; the code beneath is
// the same.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace holdfast::crypto {
namespace {

constexpr std::size_t kBlock = SHA256_CBLOCK;

/// One running hash, wiped when it goes.
class Running {
 public:
  Running() { SHA256_Init(&state_); }
  explicit Running(BytesView absorbed) { std::memcpy(&state_, absorbed.data(), sizeof state_); }
  ~Running() { wipe({reinterpret_cast<std::uint8_t*>(&state_), sizeof state_}); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void add(BytesView bytes) { SHA256_Update(&state_, bytes.data(), bytes.size()); }
  void finish(std::uint8_t* out) { SHA256_Final(out, &state_); }
  void save(std::span<std::uint8_t> out) const { std::memcpy(out.data(), &state_, sizeof state_); }

 private:
  SHA256_CTX state_;
};

constexpr std::size_t kState = sizeof(SHA256_CTX);

/// HMAC over the parts, written to `out` (32 bytes).
void mac_parts(BytesView states, std::initializer_list<BytesView> parts, std::uint8_t* out) {
  Running inner(states.first(kState));
  for (auto part : parts) inner.add(part);
  inner.finish(out);
  Running outer(states.subspan(kState));
  outer.add({out, sizeof(Digest)});
  outer.finish(out);
}

}  // namespace

Digest sha256(BytesView bytes) {
  return sha256({bytes});
}

Digest sha256(std::initializer_list<BytesView> parts) {
  SHA256_CTX state;  // of public and secret input alike; Final wipes the block it buffered
  SHA256_Init(&state);
  for (auto part : parts) SHA256_Update(&state, part.data(), part.size());
  Digest out;
  SHA256_Final(out.data(), &state);
  return out;
}

Hmac::Hmac(BytesView key) : state_(2 * kState) {
  Secret block(kBlock);
  auto bytes = block.expose_mut();
  if (key.size() > kBlock) {
    Running hash;
    hash.add(key);
    hash.finish(bytes.data());
  } else {
    std::copy(key.begin(), key.end(), bytes.begin());
  }
  for (auto& byte : bytes) byte ^= 0x36;
  Running inner;
  inner.add(bytes);
  inner.save(state_.expose_mut().first(kState));
  for (auto& byte : bytes) byte ^= 0x36 ^ 0x5c;
  Running outer;
  outer.add(bytes);
  outer.save(state_.expose_mut().subspan(kState));
}

Digest Hmac::mac(BytesView message) const {
  Digest out;
  mac_parts(state_.expose(), {message}, out.data());
  return out;
}

Secret Hmac::expand(BytesView info) const {
  return expand(info, sizeof(Digest));
}

Secret Hmac::expand(BytesView info, std::size_t size) const {
  if (size == 0 || size > 255 * sizeof(Digest))
    throw std::invalid_argument("HKDF expands to 1 to 8160 bytes");
  const std::size_t blocks = (size + sizeof(Digest) - 1) / sizeof(Digest);
  Secret out(blocks * sizeof(Digest));
  auto* at = out.expose_mut().data();
  BytesView last;
  for (std::size_t block = 1; block <= blocks; ++block) {
    auto counter = static_cast<std::uint8_t>(block);
    mac_parts(state_.expose(), {last, info, {&counter, 1}}, at);
    last = {at, sizeof(Digest)};
    at += sizeof(Digest);
  }
  out.shrink(size);
  return out;
}

Secret hkdf_extract(BytesView salt, BytesView input) {
  // RFC 5869 section 2.2: no salt is 32 zero bytes, which HMAC's padding makes of an empty key.
  Hmac hmac(salt);
  auto digest = hmac.mac(input);
  auto out = Secret::copy(digest);
  wipe(digest);
  return out;
}

}  // namespace holdfast::crypto
