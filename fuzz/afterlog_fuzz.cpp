// The afterlog's text: as it may lie on a disk, and behind lines that do verify.
#include <cstdlib>

#include "journal/outside.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const crypto::Hmac kMac(Bytes(32, 5));
  static const std::string kHead = "holdfast afterlog 1\n";
  auto text = as_text(BytesView(data, size));
  (void)journal::parse_afterlog(text, kMac);

  auto last = kMac.mac(as_bytes(kHead));
  std::string whole = kHead + hex(last) + '\n';
  journal::AfterlogEntry entry{"subject.erased",
                               Bytes(data, data + std::min<std::size_t>(size, 64)), from_ms(5)};
  whole += journal::afterlog_line(entry, kMac, last);
  auto good = whole.size();
  whole += text;
  auto parsed = journal::parse_afterlog(whole, kMac);
  if (text.find('\n') == std::string_view::npos) {
    if (!parsed || parsed->entries.size() != 1 || parsed->whole != good) std::abort();
    if (parsed->entries[0].id != entry.id) std::abort();
  } else if (parsed) {
    std::abort();  // a line that nobody with the key wrote
  }
  return 0;
}
