// Recovery shares: any text, and good shares with a few characters changed.
#include <algorithm>
#include <cstdlib>

#include "crypto/unlock/shamir.h"

namespace {

namespace crypto = holdfast::crypto;
using holdfast::as_text;
using holdfast::Bytes;
using holdfast::BytesView;
using holdfast::Secret;

void must(bool holds) {
  if (!holds) std::abort();
}

bool same(const crypto::Share& a, const crypto::Share& b) {
  return a.store_id == b.store_id && a.set_id == b.set_id && a.needed == b.needed &&
         a.total == b.total && a.number == b.number && a.commitment == b.commitment &&
         a.y.matches(b.y.expose());
}

void parse(std::string_view text) {
  auto share = crypto::parse_share(text);
  if (!share) return;
  auto again = crypto::parse_share(crypto::format_share(*share));
  must(again && same(*share, *again));
  crypto::Share shares[2] = {std::move(*share), std::move(*again)};
  must(!crypto::combine(shares));  // the same one twice
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  BytesView input(data, size);
  parse(as_text(input));

  // Pairs of place and character, laid over a good share.
  static const auto shares = crypto::split(Secret::copy(Bytes(32, 0x42)), Bytes(16, 0x17), 2, 3);
  static const auto good = crypto::format_share(shares[1]);
  auto text = good;
  for (std::size_t i = 0; i + 2 < size && i < 30; i += 3)
    text[(data[i] * 256u + data[i + 1]) % text.size()] = static_cast<char>(data[i + 2]);
  parse(text);
  return 0;
}
