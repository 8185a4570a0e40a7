// Any bytes as JSON that is filled: what was JSON stays JSON.
#include <boost/json/parse.hpp>

#include "fill_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace fuzz = holdfast::vault::fuzz;
  if (size < 1) return 0;
  const auto filled = fuzz::check(holdfast::vault::FillFormat::json, data, size, true);
  boost::system::error_code before, after;
  (void)boost::json::parse(fuzz::with_tokens(data + 1, size - 1), before);
  (void)boost::json::parse(filled, after);
  fuzz::require(before || !after);
  return 0;
}
