#include "http/request_parser.h"

#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "base/secret.h"
#include "http/target.h"

namespace holdfast::http {

namespace beast = boost::beast;
using beast::error_code;
using beast::string_view;
using Field = beast::http::field;

/// The calls that Beast makes while it reads a head. Bodies are not left to it: its chunk reader
/// trips over an assertion of its own when the last chunk arrives in two pieces (Boost 1.81).
class RequestParser::Head : public beast::http::basic_parser<true> {
 public:
  Head(RequestHead& head, const ServerLimits& limits) : head_(head), limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    body_limit(boost::none);
    eager(false);
  }

  std::optional<Fault> fault;

 private:
  void fail(Fault what, error_code& ec) {
    fault = what;
    ec = beast::http::error::bad_field;
  }

  void on_request_impl(beast::http::verb, string_view method, string_view target, int version,
                       error_code& ec) override {
    if (target.size() > limits_.target_bytes) return fail(Fault::target_too_long, ec);
    head_.method = method;
    head_.target = target;
    head_.http11 = version == 11;
  }

  /// A second one of these would leave open which counts.
  std::string* single(Field name) {
    switch (name) {
      case Field::host:
        return &head_.host;
      case Field::authorization:
        return &head_.authorization;
      case Field::content_type:
        return &head_.content_type;
      case Field::user_agent:
        return &head_.user_agent;
      case Field::if_match:
        return &head_.if_match;
      case Field::content_length:
      case Field::transfer_encoding:
      case Field::expect:
        return &unused_;
      default:
        return nullptr;
    }
  }
  std::string* single(string_view name) {
    if (beast::iequals(name, "idempotency-key")) return &head_.idempotency_key;
    if (beast::iequals(name, "traceparent")) return &head_.traceparent;
    return nullptr;
  }

  void on_field_impl(Field id, string_view name, string_view value, error_code& ec) override {
    if (id == Field::transfer_encoding) {
      if (!beast::iequals(value, "chunked")) return fail(Fault::unknown_coding, ec);
      head_.chunked = true;
    }
    if (id == Field::content_length && value.find_first_not_of("0123456789") != string_view::npos)
      return fail(Fault::bad_request, ec);  // Beast takes "12, 12" for 12
    if (id == Field::expect) {
      if (!beast::iequals(value, "100-continue")) return fail(Fault::bad_expectation, ec);
      head_.expect_continue = head_.http11;
    }
    if (beast::iequals(name, "x-forwarded-for")) head_.forwarded_for = value;
    auto* to = id == Field::unknown ? single(name) : single(id);
    if (!to) return;
    auto slot = static_cast<std::size_t>(to == &unused_ ? static_cast<unsigned>(id) : 0);
    for (std::size_t i = 0; i < seen_count_; ++i)
      if (seen_[i].first == to && seen_[i].second == slot)
        return fail(id == Field::host ? Fault::bad_host : Fault::bad_request, ec);
    seen_[seen_count_++] = {to, slot};
    const bool promise = to == &head_.idempotency_key || to == &head_.if_match;
    if (promise && value.empty()) return fail(Fault::bad_request, ec);  // not as good as none
    if (to != &unused_) *to = value;
  }

  void on_header_impl(error_code& ec) override {
    auto length = content_length();
    if (length) head_.content_length = *length;
    head_.keep_alive = keep_alive();
    if (head_.chunked && (length || !head_.http11)) return fail(Fault::bad_request, ec);
    if (head_.host.empty() ? head_.http11 : !valid_host(head_.host)) fail(Fault::bad_host, ec);
  }

  // Never called: only heads are put in.
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view, error_code&) override { return 0; }
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  RequestHead& head_;
  const ServerLimits& limits_;
  std::string unused_;
  std::array<std::pair<const std::string*, std::size_t>, 10> seen_;
  std::size_t seen_count_ = 0;
};

namespace {

Fault fault_of(const error_code& ec) {
  if (ec == beast::http::error::header_limit) return Fault::header_too_large;
  if (ec == beast::http::error::bad_version) return Fault::bad_version;
  return Fault::bad_request;
}

/// A line that continues the one before (obs-fold, RFC 9112 section 5.2): Beast would join them.
bool folded(std::string_view head) {
  for (auto at = head.find("\r\n"); at + 2 < head.size(); at = head.find("\r\n", at + 2))
    if (head[at + 2] == ' ' || head[at + 2] == '\t') return true;
  return false;
}

void wipe_all(RequestHead& head) {
  wipe(head.authorization);
  wipe(head.target);
  for (auto* text : {&head.method, &head.host, &head.content_type, &head.user_agent,
                     &head.idempotency_key, &head.if_match, &head.traceparent, &head.forwarded_for})
    text->clear();
  head.content_length.reset();
  head.chunked = head.expect_continue = head.keep_alive = head.http11 = false;
}

}  // namespace

RequestParser::~RequestParser() {
  wipe_all(head_);
}

void RequestParser::reset() {
  wipe_all(head_);
  chunks_ = {};
  left_ = 0;
  head_done_ = broken_ = false;
}

std::expected<std::size_t, Fault> RequestParser::parse_head(std::string_view bytes) {
  auto broken = [this](Fault fault) {
    broken_ = true;
    return std::unexpected(fault);
  };
  auto end = bytes.substr(0, limits_.header_bytes).find("\r\n\r\n");
  if (end == std::string_view::npos) {
    bool line = bytes.find("\r\n") != std::string_view::npos;
    if (!line && bytes.size() > limits_.target_bytes + 32) return broken(Fault::target_too_long);
    if (bytes.size() >= limits_.header_bytes) return broken(Fault::header_too_large);
    return 0;
  }
  auto head = bytes.substr(0, end + 4);
  if (folded(head)) return broken(Fault::bad_request);
  Head parser(head_, limits_);
  error_code ec;
  auto used = parser.put({head.data(), head.size()}, ec);
  if (parser.fault) return broken(*parser.fault);
  if (ec || !parser.is_header_done()) return broken(fault_of(ec));
  head_done_ = true;
  left_ = head_.content_length.value_or(0);
  return used;
}

std::optional<BodyStep> RequestParser::parse_body(std::string_view bytes) {
  if (broken_ || !head_done_) return std::nullopt;
  if (!head_.chunked) {
    auto piece = bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
    left_ -= piece.size();
    return BodyStep{piece.size(), piece};
  }
  auto step = chunks_.step(bytes);
  broken_ = !step;
  return step;
}

}  // namespace holdfast::http
