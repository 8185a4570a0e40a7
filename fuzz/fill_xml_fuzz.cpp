// Any bytes as XML that is filled: a value adds no markup.
#include "fill_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace fuzz = holdfast::vault::fuzz;
  using holdfast::vault::FillFormat;
  if (size < 1) return 0;
  const auto filled = fuzz::check(FillFormat::xml, data, size, true);
  // Read again it has no fault.
  const auto again = fuzz::fill(FillFormat::xml, filled, filled.size() + 1, std::nullopt);
  fuzz::require(again.failed.empty() && again.text == filled);
  return 0;
}
