// The request parser: the same bytes mean the same however they arrive, and nothing is taken that
// was not there.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/request_parser.h"

namespace {

using namespace holdfast::http;

const ServerLimits kLimits{.header_bytes = 2048, .target_bytes = 512};

void check(bool holds) {
  if (!holds) std::abort();
}

struct Outcome {
  bool head = false, done = false, refused = false;
  std::string method, target, host, body;
  bool operator==(const Outcome&) const = default;
};

/// Reads one request from `bytes`, which arrive `piece` at a time.
Outcome read(std::string_view bytes, std::size_t piece) {
  RequestParser parser(kLimits);
  Outcome out;
  std::string buffer;
  auto arrive = [&] {
    auto count = std::min(piece, bytes.size());
    buffer += bytes.substr(0, count);
    bytes.remove_prefix(count);
    return count > 0;
  };
  while (!out.head) {
    auto used = parser.parse_head(buffer);
    if (!used) {
      out.refused = true;
      return out;
    }
    check(*used <= buffer.size());
    out.head = *used > 0;
    buffer.erase(0, *used);
    if (!out.head && !arrive()) return out;
  }
  out.method = parser.head().method;
  out.target = parser.head().target;
  out.host = parser.head().host;
  check(!parser.head().chunked || !parser.head().content_length);
  while (!parser.done()) {
    auto step = parser.parse_body(buffer);
    if (!step) {
      out.refused = true;
      return out;
    }
    check(step->used <= buffer.size() && step->body.size() <= step->used);
    out.body += step->body;
    bool moved = step->used > 0;
    buffer.erase(0, step->used);
    if (!moved && !parser.done() && !arrive()) return out;
  }
  out.done = true;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto whole = read(bytes, bytes.size());
  auto dripped = read(bytes, 1);
  // Of a body that is broken later, more or less may have been seen: only complete ones compare.
  if (whole.done || dripped.done) check(whole == dripped);
  check(whole.refused == dripped.refused || !whole.done);
  return 0;
}
