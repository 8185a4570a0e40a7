#include "http/header_values.h"

#include <algorithm>

namespace holdfast::http {
namespace {

/// ":443"
bool is_port(std::string_view text) {
  return text.starts_with(':') && text.size() >= 2 && text.size() <= 6 &&
         text.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

}  // namespace

std::string_view trace_id(std::string_view text) {
  auto hex = [](std::string_view part) {
    return part.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  };
  if (text.size() != 55 || !text.starts_with("00-") || text[35] != '-' || text[52] != '-')
    return {};
  auto trace = text.substr(3, 32), span = text.substr(36, 16);
  bool zero = trace.find_first_not_of('0') == std::string_view::npos ||
              span.find_first_not_of('0') == std::string_view::npos;
  return hex(trace) && hex(span) && hex(text.substr(53)) && !zero ? trace : std::string_view();
}

std::optional<boost::asio::ip::address> hop_address(std::string_view hop) {
  const bool bracketed = hop.starts_with('[');
  if (bracketed) hop.remove_prefix(1);
  // A colon that is alone is before a port: an IPv6 address has at least two.
  auto end = bracketed                           ? hop.find(']')
             : std::ranges::count(hop, ':') == 1 ? hop.find(':')
                                                 : hop.size();
  if (end == std::string_view::npos) return std::nullopt;
  auto rest = hop.substr(bracketed ? end + 1 : end);
  if (!rest.empty() && !is_port(rest)) return std::nullopt;
  boost::system::error_code bad;
  auto address = boost::asio::ip::make_address(std::string(hop.substr(0, end)), bad);
  if (bad || (bracketed && address.is_v4())) return std::nullopt;
  return address;
}

}  // namespace holdfast::http
