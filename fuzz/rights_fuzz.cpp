// Customers' rights as they may come back from outside: standings and afterlog lines from a disk,
// and statements of erasures that somebody hands in.
#include <cstdlib>

#include "vault/subjects/afterlog.h"
#include "vault/subjects/document.h"
#include "vault/subjects/erasure.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  BytesView bytes(data, size);
  // What is read is what would be written.
  if (auto standing = vault::decode_standing(bytes))
    if (vault::encode_standing(*standing) != to_bytes(bytes)) std::abort();
  if (auto line = vault::read_standing_line(bytes)) {
    vault::Subject subject{.id = line->subject,
                           .external_term = {},
                           .external_sealed = {},
                           .erased = {},
                           .version = line->version,
                           .merged_into = {},
                           .standing = vault::encode_standing(line->standing),
                           .mac = {}};
    if (vault::standing_line(subject) != to_bytes(bytes)) std::abort();
  }
  if (auto line = vault::read_merged_line(bytes))
    if (vault::merged_line(line->from, line->into) != to_bytes(bytes)) std::abort();
  if (auto line = vault::read_erased_line(bytes))
    if (vault::erased_line(*line) != to_bytes(bytes)) std::abort();
  (void)vault::read_erased_before_0_1(bytes);

  auto text = as_text(bytes);
  (void)vault::is_erasure(text);
  if (vault::verify_erasure(text, std::nullopt) && !vault::is_erasure(text)) std::abort();
  std::string html;
  vault::append_html(html, text);
  for (char never : {'<', '>', '"', '\'', '`'})
    if (html.find(never) != std::string::npos) std::abort();
  return 0;
}
