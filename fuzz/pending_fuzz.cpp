// Pending tokens from outside: any text, and a good one with a few characters changed.
#include <cstdlib>

#include "vault/tokens/pending.h"

namespace {

namespace vault = holdfast::vault;
using holdfast::BytesView;

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const holdfast::crypto::KeySet keys(holdfast::crypto::Keyring::make(holdfast::from_ms(0)));
  static const vault::PendingPlace place{"customers", "email", "ext:4711"};
  static const auto good =
      vault::seal_pending(vault::PendingTokens::sealing_key(keys), place, "ann@example.org")
          .value();
  BytesView input(data, size);
  const auto text = holdfast::as_text(input);
  vault::PendingTokens pending(keys);

  must(!pending.open(place, text) || text == good);
  auto changed = good;
  for (std::size_t i = 0; i + 1 < size && i < 16; i += 2)
    changed[data[i] % changed.size()] = static_cast<char>(data[i + 1]);
  must(pending.open(place, changed).has_value() == (changed == good));
  must(pending.open({"customers", "email", text}, good).has_value() == (text == place.subject));
  return 0;
}
