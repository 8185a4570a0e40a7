// Headers that proxies and tracers write: an address has one spelling, and a trace id holds nothing
// that a log line could take for its own.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "http/header_values.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto address = http::hop_address(text)) {
    auto again = http::hop_address(address->to_string());
    check(again && *again == *address);
  }
  auto trace = http::trace_id(text);
  check(trace.empty() || (trace.size() == 32 && std::ranges::all_of(trace, [](char c) {
                            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                          })));
  return 0;
}
