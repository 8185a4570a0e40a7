// What people type into a search, the cursor that they send back, and a block of an index as it
// lies in the database.
#include <cstdlib>

#include "base/text.h"
#include "vault/index_terms.h"
#include "vault/policy.h"
#include "vault/search/cursor.h"

namespace {

namespace vault = holdfast::vault;
namespace crypto = holdfast::crypto;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const crypto::KeySet keys(crypto::Keyring::make(holdfast::from_ms(1)));
  if (size < 2) return 0;
  holdfast::BytesView bytes(data + 2, size - 2);
  auto text = holdfast::as_text(bytes);

  // The type after json is none.
  vault::Field field{.type = static_cast<vault::FieldType>(data[0] % 15), .max_bytes = 65'536};
  auto fragment = vault::index_fragment(field, text, data[1] & 1 ? "49" : "", (data[1] & 2) != 0);
  require(holdfast::valid_utf8(fragment.expose_text()));
  vault::BlindTerms parts(keys, {.number = 1, .kind = vault::IndexKind::substring, .key = 1});
  auto characters = holdfast::code_points(fragment.expose_text());
  require(parts.grams(fragment.expose_text()).empty() == (characters < 3));

  auto entries = vault::unpack_postings(bytes);
  if (entries) require(holdfast::to_bytes(bytes) == vault::pack_postings(*entries));

  require(!vault::read_cursor(keys, crypto::Digest{}, text));
  return 0;
}
