// Any text as a pattern of tokens: what is taken gives tokens of its length, never a reserved one;
// and any text as the handle of a card verification code.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/bytes.h"
#include "vault/token_shape.h"
#include "vault/tokens/codes.h"

namespace {

namespace vault = holdfast::vault;

void require(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto node = vault::Codes::node_of(text)) require(!node->empty() && node->size() <= 32);

  auto parts = vault::parse_pattern(text);
  if (!parts) return 0;
  std::size_t length = 0;
  for (const auto& part : *parts) {
    require(!part.from.empty() && part.count > 0);
    length += part.count;
  }
  require(length <= 64);
  const holdfast::Bytes key(32, 1);
  auto drawn = vault::draw_token(
      {.shape = vault::TokenShape::pattern, .pattern = std::string(text)}, key, "value");
  if (!drawn) return 0;
  require(drawn->size() == length && !drawn->starts_with("tok_") && !drawn->starts_with("cvc_"));
  return 0;
}
