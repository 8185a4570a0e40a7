// Sealed values from the database: never an answer but the one that was sealed.
#include <cstdlib>

#include "crypto/aead.h"

namespace {

namespace crypto = holdfast::crypto;
using holdfast::Bytes;
using holdfast::BytesView;
using holdfast::to_bytes;

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Bytes key(crypto::kKeyBytes, 0x42), place = to_bytes("sub_1 email");
  static const Bytes plain = to_bytes("ann@example.org");
  static const Bytes sealed = crypto::seal(key, 7, plain, place);
  BytesView input(data, size);

  auto id = crypto::sealed_key_id(input);
  auto opened = crypto::open(key, input, place);
  must(!opened || (id == 7u && opened->matches(plain)));

  // Pairs of place and difference, laid over a good value.
  auto changed = sealed;
  for (std::size_t i = 0; i + 1 < size; i += 2) changed[data[i] % changed.size()] ^= data[i + 1];
  auto again = crypto::open(key, changed, place);
  must(again.has_value() == (changed == sealed));

  // What was sealed for one place opens in no other.
  must(crypto::open(key, sealed, input).has_value() == (to_bytes(input) == place));
  return 0;
}
