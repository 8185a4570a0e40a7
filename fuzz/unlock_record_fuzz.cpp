// Unlock files: any text, and a good one with a few characters changed.
#include <cstdlib>
#include <string>

#include "crypto/unlock/record.h"

namespace {

namespace crypto = holdfast::crypto;

std::string good() {
  return crypto::format_record({.store_id = holdfast::Bytes(16, 0xab),
                                .method = crypto::Method::passphrase,
                                .recovery = crypto::ShareSet{holdfast::Bytes(8, 1), 2, 3, {}},
                                .salt = holdfast::Bytes(crypto::kSaltBytes, 2),
                                .wrapped = holdfast::Bytes(65, 3)});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string kGood = good();
  std::string_view input(reinterpret_cast<const char*>(data), size);

  if (auto record = crypto::parse_record(input))
    if (crypto::format_record(*record) != input) std::abort();  // one record has one spelling
  auto text = kGood;
  for (std::size_t i = 0; i + 1 < size; i += 2)
    text[data[i] % text.size()] = static_cast<char>(data[i + 1]);
  if (text != kGood && crypto::parse_record(text)) std::abort();  // nobody guesses a checksum
  return 0;
}
