// Keyring files: as they come, and rightly sealed around entries that are arbitrary or nearly good.
#include <algorithm>
#include <cstdlib>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/keyring.h"

namespace {

namespace crypto = holdfast::crypto;
using holdfast::Bytes;
using holdfast::BytesView;
using holdfast::put_u32;
using holdfast::put_u64;
using holdfast::put_u8;
using holdfast::Secret;
using holdfast::to_bytes;

void must(bool holds) {
  if (!holds) std::abort();
}

/// The input as entries in a file with good head, seal and checksum.
Bytes sealed_around(BytesView entries, const Secret& root) {
  Bytes file = to_bytes("HFKEYRNG");
  put_u8(file, 1);
  file.resize(file.size() + 16);
  put_u64(file, 1);
  auto body = crypto::seal(root.expose(), 0, entries, file);
  file.insert(file.end(), body.begin(), body.end());
  auto check = crypto::sha256(file);
  file.insert(file.end(), check.begin(), check.end());
  return file;
}

/// What a first keyring holds.
Bytes good_entries() {
  Bytes out{0, 0, 0, 10};
  for (std::uint8_t use = 1; use <= 10; ++use) {
    put_u8(out, use);
    put_u32(out, 1);
    put_u64(out, 0);
    put_u8(out, 1);
    out.resize(out.size() + 32, use);
  }
  return out;
}

void open(BytesView entries, const Secret& root) {
  auto opened = crypto::Keyring::open(sealed_around(entries, root), root);
  if (!opened) return;
  auto again = crypto::Keyring::open(opened->sealed(root), root);
  must(again && again->holds_all_of(*opened) && opened->holds_all_of(*again));
  for (const auto& key : opened->list())
    must(opened->find(key.use, key.id) != nullptr &&
         key.active == (opened->active_id(key.use) == key.id));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto root = Secret::copy(Bytes(32, 0x42));
  BytesView input(data, size);

  static_cast<void>(crypto::keyring_head(input));
  must(!crypto::Keyring::open(input, root));  // nobody guesses a seal

  open(input, root);
  static const auto good = good_entries();
  auto changed = good;
  for (std::size_t i = 0; i + 2 < size; i += 3)
    changed[(data[i] * 256u + data[i + 1]) % changed.size()] ^= data[i + 2];
  open(changed, root);
  return 0;
}
