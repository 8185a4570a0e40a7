// Exports that somebody hands in: as they are, and as records behind a head that does verify.
#include <algorithm>
#include <cstdlib>

#include "journal/export.h"

using namespace holdfast;

namespace {

Result<journal::VerifyReport> verify(std::string_view text) {
  return journal::verify_export(
      [&text](std::span<char> into) -> Result<std::size_t> {
        auto count = std::min(into.size(), text.size());
        std::copy_n(text.begin(), count, into.begin());
        text.remove_prefix(count);
        return count;
      },
      std::nullopt);
}

void put(std::string& out, char tag, std::string_view bytes) {
  Bytes length;
  put_u32(length, static_cast<std::uint32_t>(bytes.size()));
  out += tag;
  out += as_text(length);
  out += bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const crypto::Signer kSigner(Bytes(32, 7));
  auto text = as_text(BytesView(data, size));
  (void)verify(text);

  if (size == 0) return 0;
  std::string whole = "holdfast journal export 1\n";
  put(whole, 'K', journal::verifier_key("fuzz", kSigner.public_key()));
  put(whole, 'C', journal::sign_checkpoint({"fuzz", data[0] % 8u, {}}, kSigner));
  whole += text.substr(1);
  auto report = verify(whole);
  if (report && report->good()) std::abort();  // no entries have a root of zeroes
  return 0;
}
