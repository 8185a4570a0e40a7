// Values of headers that others than our clients write. Pure; from any thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <optional>
#include <string_view>

namespace holdfast::http {

/// The trace id of a traceparent (W3C Trace Context, version 00), 32 hex digits within `text`;
/// empty where it is none.
std::string_view trace_id(std::string_view text);

/// One hop of X-Forwarded-For as proxies write it: `IP`, `IP:PORT`, `[IPv6]` or `[IPv6]:PORT`.
std::optional<boost::asio::ip::address> hop_address(std::string_view hop);

}  // namespace holdfast::http
