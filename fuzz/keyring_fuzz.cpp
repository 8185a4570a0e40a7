// Keyring files: as they come, and rightly sealed around entries that are not.
#include <algorithm>
#include <cstdlib>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/keyring.h"

using namespace holdfast;

namespace {

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

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto root = Secret::copy(Bytes(32, 0x42));
  BytesView input(data, size);

  static_cast<void>(crypto::keyring_head(input));
  must(!crypto::Keyring::open(input, root));  // nobody guesses a seal

  auto opened = crypto::Keyring::open(sealed_around(input, root), root);
  if (!opened) return 0;
  auto again = crypto::Keyring::open(opened->sealed(root), root);
  must(again && again->holds_all_of(*opened) && opened->holds_all_of(*again));
  for (const auto& key : opened->list())
    must(opened->find(key.use, key.id) != nullptr &&
         key.active == (opened->active_id(key.use) == key.id));
  return 0;
}
