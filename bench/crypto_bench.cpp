// What the primitives cost, each on inputs of the size that the server has.
#include <benchmark/benchmark.h>

#include "base/id.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/ff1.h"
#include "crypto/hash.h"
#include "crypto/keyring.h"
#include "crypto/merkle.h"
#include "crypto/signer.h"
#include "crypto/unlock/shamir.h"

namespace holdfast::crypto {
namespace {

const Bytes kKey(kKeyBytes, 0x11);
const Bytes kPlace(60, 0x22);  // associated data: subject, record, collection, field, version

void seal_value(benchmark::State& state) {
  Bytes plain(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(seal(kKey, 1, plain, kPlace));
}
BENCHMARK(seal_value)->Arg(30)->Arg(4000)->Threads(1)->Threads(2);

void open_value(benchmark::State& state) {
  auto sealed = seal(kKey, 1, Bytes(static_cast<std::size_t>(state.range(0)), 'x'), kPlace);
  for (auto _ : state) benchmark::DoNotOptimize(open(kKey, sealed, kPlace));
}
BENCHMARK(open_value)->Arg(30)->Arg(4000)->Threads(1)->Threads(2);

/// A field key from a subject key, then the value: what one revealed field costs.
void expand_and_open(benchmark::State& state) {
  Hmac subject(kKey);
  Bytes info(40, 0x33);
  auto sealed = seal(subject.expand(info).expose(), 1, Bytes(30, 'x'), kPlace);
  for (auto _ : state)
    benchmark::DoNotOptimize(open(subject.expand(info).expose(), sealed, kPlace));
}
BENCHMARK(expand_and_open);

/// The digits of a card number or of a long customer number, under a tweak of 16 bytes.
void ff1_digits(benchmark::State& state) {
  const Bytes tweak(16, 0x44);
  Bytes digits(static_cast<std::size_t>(state.range(0)), 4);
  for (auto _ : state) benchmark::DoNotOptimize(ff1_encrypt(kKey, tweak, 10, digits));
}
BENCHMARK(ff1_digits)->Arg(6)->Arg(16)->Arg(38);

void hash(benchmark::State& state) {
  Bytes bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(sha256(bytes));
}
BENCHMARK(hash)->Arg(30)->Arg(400);

void hmac_key(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Hmac(kKey));
}
BENCHMARK(hmac_key);

void hmac_mac(benchmark::State& state) {
  Hmac hmac(kKey);
  Bytes message(30);
  for (auto _ : state) benchmark::DoNotOptimize(hmac.mac(message));
}
BENCHMARK(hmac_mac);

void hkdf_expand(benchmark::State& state) {
  Hmac hmac(kKey);
  Bytes info(40);
  for (auto _ : state) benchmark::DoNotOptimize(hmac.expand(info));
}
BENCHMARK(hkdf_expand);

void merkle_add(benchmark::State& state) {
  TreeEdge tree;
  Digest leaf{};
  for (auto _ : state) tree.add(leaf);
}
BENCHMARK(merkle_add);

void merkle_leaf_and_add(benchmark::State& state) {
  TreeEdge tree;
  Bytes entry(400);
  for (auto _ : state) tree.add(leaf_hash(entry));
}
BENCHMARK(merkle_leaf_and_add);

void ed25519_sign(benchmark::State& state) {
  Signer signer(kKey);
  Bytes note(200);
  for (auto _ : state) benchmark::DoNotOptimize(signer.sign(note));
}
BENCHMARK(ed25519_sign);

void ed25519_verify(benchmark::State& state) {
  Signer signer(kKey);
  Bytes note(200);
  auto signature = signer.sign(note);
  for (auto _ : state) benchmark::DoNotOptimize(verify(signer.public_key(), note, signature));
}
BENCHMARK(ed25519_verify);

void secret_32(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Secret(32));
}
BENCHMARK(secret_32)->Threads(1)->Threads(2);

void id_make(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(RecordId::make(from_ms(1'795'426'200'000)));
}
BENCHMARK(id_make);

void fold_name(benchmark::State& state) {
  const char* names[] = {"Muller", "Müller"};
  const std::string_view name = names[state.range(0)];
  for (auto _ : state) benchmark::DoNotOptimize(fold(name));
}
BENCHMARK(fold_name)->Arg(0)->Arg(1);

void normalise_name(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(nfkc("Jürgen Müller-Lüdenscheid"));
}
BENCHMARK(normalise_name);

void keyring_open(benchmark::State& state) {
  auto root = Secret::copy(kKey);
  auto file = Keyring::make(from_ms(0)).sealed(root);
  for (auto _ : state) benchmark::DoNotOptimize(Keyring::open(file, root));
}
BENCHMARK(keyring_open);

void shamir_combine(benchmark::State& state) {
  auto shares = split(Secret::copy(kKey), Bytes(16), 2, 3);
  for (auto _ : state) benchmark::DoNotOptimize(combine(std::span(shares).first(2)));
}
BENCHMARK(shamir_combine);

}  // namespace
}  // namespace holdfast::crypto

BENCHMARK_MAIN();
