// Key files: any text, and a good one with a few characters changed.
#include <cstdlib>
#include <string>

#include "crypto/unlock/file.h"

namespace {

namespace crypto = holdfast::crypto;

const std::string kGood =
    "Holdfast root key, version 1\n"
    "This key opens everything that the store has sealed. Keep it outside the data directory and "
    "its backups.\n"
    "store: abababababababababababababababab\n"
    "key: 4242424242424242424242424242424242424242424242424242424242424242\n"
    "check: ";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);

  static_cast<void>(crypto::parse_key_file(input));
  static_cast<void>(crypto::parse_key_file(kGood + std::string(input)));
  auto text = kGood + "00000000000000000000000000000000\n";
  for (std::size_t i = 0; i + 1 < size; i += 2)
    text[data[i] % text.size()] = static_cast<char>(data[i + 1]);
  if (crypto::parse_key_file(text)) std::abort();  // nobody guesses a checksum
  return 0;
}
