// Proofs that somebody hands in: as text, and with a signed head over a fuzzed entry.
#include <cstdlib>

#include "base/json.h"
#include "crypto/merkle.h"
#include "journal/proof.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const crypto::Signer kSigner(Bytes(32, 7));
  auto text = as_text(BytesView(data, size));
  (void)journal::verify_proof(text, std::nullopt);

  auto cut = text.find('\0');
  journal::EventProof proof;
  proof.format = "holdfast-proof-1";
  proof.verifier = journal::verifier_key("fuzz", kSigner.public_key());
  proof.entry = text.substr(0, cut);
  if (!valid_utf8(proof.entry)) return 0;
  proof.checkpoint =
      journal::sign_checkpoint({"fuzz", 1, crypto::leaf_hash(as_bytes(proof.entry))}, kSigner);
  if (cut != std::string_view::npos)
    proof.leaves.push_back({0, base64(as_bytes(text.substr(cut + 1))), {}});
  auto proved = journal::verify_proof(to_json(proof), proof.verifier);
  if (proved && !journal::decode_entry(proof.entry)) std::abort();
  return 0;
}
