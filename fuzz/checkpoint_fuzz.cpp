// Signed checkpoints and verifier keys, as somebody may hand them in.
#include <cstdlib>

#include "base/bytes.h"
#include "journal/checkpoint.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const crypto::Signer kSigner(Bytes(32, 7));
  auto text = as_text(BytesView(data, size));
  // Nobody else has the key: what opens is what was signed.
  if (auto opened = journal::open_checkpoint(text, kSigner.public_key()))
    if (journal::sign_checkpoint(*opened, kSigner) != text) std::abort();
  if (auto read = journal::parse_verifier_key(text))
    if (journal::verifier_key(read->origin, read->key) != text) std::abort();

  // A checkpoint of any size and root comes back.
  if (size < 40) return 0;
  ByteReader reader({data, size});
  journal::Checkpoint head{.origin = "fuzz/log", .size = *reader.u64()};
  auto root = reader.take(32);
  std::copy(root->begin(), root->end(), head.root.begin());
  auto opened =
      journal::open_checkpoint(journal::sign_checkpoint(head, kSigner), kSigner.public_key());
  if (!opened || *opened != head) std::abort();
  return 0;
}
