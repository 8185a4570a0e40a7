#include "http/exchange.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <optional>
#include <typeinfo>

#include "base/described_limits.h"
#include "base/json.h"
#include "base/secret.h"
#include "http/header_values.h"

namespace holdfast::http {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kProblem = "application/problem+json";
constexpr std::chrono::seconds kBusy{1};              // until a large body is worth another try
constexpr std::chrono::milliseconds kLastWord{2000};  // to tell a slow client that it was too slow

std::string_view trimmed(std::string_view text) {
  auto from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

/// "application/json", with or without parameters.
bool is_json(std::string_view type) {
  type = trimmed(type.substr(0, type.find(';')));
  return std::ranges::equal(type, kJson, {}, [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
}

bool visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string etag_line(const std::string& etag) {
  return etag.empty() ? std::string() : "ETag: \"" + etag + "\"\r\n";
}

}  // namespace

Exchange::~Exchange() {
  wipe(text_);
  wipe(out_);
  for (auto& [name, value] : target_.query) wipe(value);
}

Task<std::expected<bool, Fault>> Exchange::read_head() {
  bool begun = !transport_.buffered().empty();
  transport_.state = begun ? Transport::State::busy : Transport::State::idle;
  transport_.deadline_in(begun ? site_.limits.header_time : site_.limits.idle_time);
  for (;;) {
    auto used = parser_.parse_head(transport_.buffered());
    if (!used) co_return std::unexpected(used.error());
    if (*used > 0) {
      transport_.consume(*used);
      transport_.state = Transport::State::busy;
      co_return true;
    }
    if (site_.stopping && !begun) co_return false;
    auto filled = co_await transport_.fill(site_.limits.header_bytes);
    if (!filled && begun && transport_.timed_out()) co_return std::unexpected(Fault::timeout);
    if (!filled) co_return false;
    if (std::exchange(begun, true)) continue;
    transport_.state = Transport::State::busy;
    transport_.deadline_in(site_.limits.header_time);
  }
}

Task<Exchange::Next> Exchange::serve() {
  auto head = co_await read_head();
  if (head && !*head) co_return Next::close;
  started_ = MonoTime::clock::now();
  request_id_ = RequestId::make(site_.clock.now()).text();
  if (!head) {
    if (head.error() == Fault::timeout) {
      ++site_.metrics.timed_out;
      transport_.forgive(kLastWord);
    }
    co_return co_await refuse(problem_of(head.error()));
  }
  co_return co_await respond();
}

Task<Exchange::Next> Exchange::respond() {
  auto target = parse_target(parser_.head().target, parser_.head().host);
  if (!target) co_return co_await refuse(problem_of(Fault::bad_target));
  target_ = std::move(*target);
  if (target_.segments.size() == 1) {
    auto next = co_await page();
    if (next != Next::request || operation_ != "-") co_return next;
  }
  match_ = site_.router.match(parser_.head().method, target_.segments);
  // Literals hold no `/`, so one inside a segment of a known path lies in a parameter's value.
  if (!match_.route && match_.allow.empty())
    co_return co_await refuse(
        problem_of(target_.slash_inside ? Fault::bad_target : Fault::not_found));
  if (!match_.route)
    co_return co_await refuse(problem_of(Fault::method_not_allowed),
                              "Allow: " + match_.allow + "\r\n");
  index_ = match_.index;
  operation_ = match_.route->id;
  co_return co_await run(*match_.route);
}

/// What the server answers about itself. Leaves `operation_` alone when it is none of these.
Task<Exchange::Next> Exchange::page() {
  const auto& name = target_.segments.front();
  if (name == "healthz")
    operation_ = "server.health";
  else if (name == "readyz")
    operation_ = "server.ready";
  else if (name == "metrics")
    operation_ = "metrics.read";
  else if (name == "openapi.json")
    operation_ = "server.openapi";
  else
    co_return Next::request;

  if (parser_.head().method != "GET" && parser_.head().method != "HEAD")
    co_return co_await refuse(problem_of(Fault::method_not_allowed), "Allow: GET, HEAD\r\n");
  if (name == "healthz") co_return co_await answer(200, kJson, R"({"status":"ok"})");
  if (name == "openapi.json") co_return co_await answer(200, kJson, site_.openapi);
  if (name == "readyz") {
    auto ready = site_.ready ? site_.ready() : Result<void>();
    if (!ready) co_return co_await refuse(problem_of(ready.error()));
    std::string said = R"({"status":"ready")";
    if (auto warning = site_.warning ? site_.warning() : std::string_view(); !warning.empty()) {
      said += ",\"warning\":";
      append_json_string(said, warning);
    }
    co_return co_await answer(200, kJson, said + '}');
  }
  // Whoever is asked to scrape from this machine needs no key, unless it speaks for someone else.
  if (!peer_.loopback || !parser_.head().forwarded_for.empty()) {
    auto caller = co_await admit("metrics.read", site_.clock.mono() + RouteLimits{}.time);
    if (!caller) co_return co_await refuse(problem_of(caller.error()));
  }
  co_return co_await answer(200, "text/plain; version=0.0.4; charset=utf-8", site_.metrics.text());
}

/// A proxy's own address is not its client's, so a hop that cannot be read is nobody's.
Result<std::string> Exchange::client_address() const {
  const auto& forwarded = parser_.head().forwarded_for;
  if (!peer_.proxy || forwarded.empty()) return peer_.address;
  auto hop = trimmed(std::string_view(forwarded).substr(forwarded.rfind(',') + 1));
  auto address = hop_address(hop);
  if (!address)
    return Error(Code::invalid,
                 "the last one must be the client's address: set the proxy to write IP, IP:PORT, "
                 "[IPv6] or [IPv6]:PORT")
        .at("x-forwarded-for");
  return address->to_string();
}

Task<Result<Caller>> Exchange::admit(std::string_view operation, MonoTime deadline) {
  const auto& head = parser_.head();
  auto address = client_address();
  if (!address) co_return std::move(address).error();
  Credentials credentials{head.authorization, std::move(*address), head.user_agent.substr(0, 256),
                          request_id_, deadline};
  auto caller = co_await site_.gate.authenticate(std::move(credentials));
  if (!caller) co_return std::move(caller).error();
  auto allowed = co_await site_.gate.allow(*caller, operation);
  if (!allowed) co_return std::move(allowed).error();
  caller->request_id = request_id_;
  caller->deadline = std::min(caller->deadline, deadline);
  co_return caller;
}

/// Idempotency-Key and If-Match, which travel beside the body.
Result<void> Exchange::read_fields(const Route& route) {
  const auto& head = parser_.head();
  if (head.idempotency_key.size() > 128 || !visible(head.idempotency_key))
    return Error(Code::invalid, "must be 1 to 128 visible ASCII characters").at("idempotency-key");
  call_.idempotency_key = head.idempotency_key;
  std::string_view match = head.if_match;
  if (match.empty()) return {};
  if (!route.if_match && route.method != "GET")
    return Error(Code::invalid, "this operation takes no version: leave it out").at("if-match");
  if (match.size() < 3 || !match.starts_with('"') || match.find('"', 1) != match.size() - 1)
    return Error(Code::invalid, "must be one version in quotes, as ETag gave it").at("if-match");
  call_.if_match = match.substr(1, match.size() - 2);
  return {};
}

/// What a handler throws is a bug: its answer is 500, its kind goes to the log. Memory that runs
/// out is none, and comes back as other requests end.
Task<Exchange::Handled> Exchange::handle(const Route& route) {
  auto failed = [](Error error) { return std::unexpected(problem_of(error)); };
  try {
    co_return co_await attempt(route);
  } catch (const std::bad_alloc&) {
    co_return failed({Code::unavailable,
                      "the server is out of memory: try again; when it stays so, raise the limit "
                      "of locked memory (LimitMEMLOCK)"});
  } catch (const std::exception& error) {
    bug_ = typeid(error).name();
    co_return failed({Code::internal, "an error inside the server, named in its log"});
  }
}

Task<Exchange::Handled> Exchange::attempt(const Route& route) {
  auto failed = [](const auto& result) { return std::unexpected(problem_of(result.error())); };
  bool quick = route.kind == RouteKind::json;
  std::chrono::milliseconds time = quick ? route.limits.time : site_.limits.stream_time;
  body_.deadline = started_ + time;
  body_.limit = route.limits.body;
  transport_.deadline(body_.deadline + site_.limits.overrun_time);

  auto caller = co_await admit(route.id, site_.clock.mono() + time);
  if (!caller) co_return failed(caller);
  auto fields = read_fields(route);
  if (!fields) co_return failed(fields);
  if (route.grows && site_.may_grow)
    if (auto room = site_.may_grow(); !room) co_return failed(room);
  if (route.kind == RouteKind::upload || route.kind == RouteKind::transform) {
    if (body_.size() > body_.limit) co_return std::unexpected(problem_of(Fault::body_too_large));
    call_.upload = &body_;
  } else if (parser_.head().has_body()) {
    if (!is_json(parser_.head().content_type))
      co_return std::unexpected(problem_of(Fault::bad_media_type));
    auto read = co_await body_.read_all(text_);
    if (!read && read.error().code == Code::exhausted) {
      auto busy = problem_of(Fault::overloaded);
      busy.free_at = site_.clock.now() + kBusy;
      co_return std::unexpected(std::move(busy));
    }
    if (!read) co_return failed(read);
    transport_.deadline(body_.deadline + site_.limits.overrun_time);
  }

  call_.caller = std::move(*caller);
  call_.parts = {.body = text_, .path = match_.path, .query = target_.query};
  auto done = co_await route.run(std::move(call_));
  wipe(text_);
  if (!done && route.request) done = with_limits(*route.request, std::move(done).error());
  if (!done) co_return failed(done);
  co_return std::move(*done);
}

Task<Exchange::Next> Exchange::run(const Route& route) {
  if (route.kind != RouteKind::json && route.kind != RouteKind::upload)
    co_return co_await stream(route);

  auto done = co_await handle(route);
  if (!done) co_return co_await refuse_slow(done.error());
  co_return co_await answer(route.status, kJson, std::move(done->json), etag_line(done->etag));
}

Task<Exchange::Next> Exchange::stream(const Route& route) {
  const auto& head = parser_.head();
  // Before HTTP/1.1 a body that was cut off looks like a whole one.
  if (route.kind != RouteKind::events && !head.http11)
    co_return co_await refuse(problem_of(Fault::bad_version));
  bool keep = head.keep_alive && head.http11 && !site_.stopping;
  ResponseStream out({.transport = transport_,
                      .limits = site_.limits,
                      .clock = site_.clock,
                      .stopping = site_.stopping,
                      .deadline = started_ + site_.limits.stream_time + site_.limits.overrun_time,
                      .head = {.status = route.status,
                               .request_id = request_id_,
                               .keep_alive = keep,
                               .http11 = head.http11},
                      .events = route.kind == RouteKind::events});
  call_.download = &out;
  auto done = co_await handle(route);
  if (!done && !out.started()) co_return co_await refuse_slow(done.error());
  if (!out.started()) (void)co_await out.start("application/octet-stream");
  auto ended = co_await out.finish(done.has_value());
  if (!ended || !done) keep = false;
  const int status = done ? route.status : out.lost() ? 0 : done.error().status;
  co_return finished(status, out.sent(), keep, body_.drop_arrived());
}

/// The problem, or that the client took too long over it.
Task<Exchange::Next> Exchange::refuse_slow(const Problem& problem) {
  if (!transport_.timed_out() || transport_.is_cut()) co_return co_await refuse(problem);
  ++site_.metrics.timed_out;
  transport_.forgive(kLastWord);
  co_return co_await refuse(problem_of(Fault::timeout));
}

Task<Exchange::Next> Exchange::refuse(const Problem& problem, std::string_view extra) {
  auto lines = problem_headers(problem, site_.clock.now());
  lines += extra;
  co_return co_await answer(problem.status, kProblem, problem_json(problem, request_id_), lines);
}

Task<Exchange::Next> Exchange::answer(int status, std::string_view type, std::string body,
                                      std::string_view extra) {
  const auto& head = parser_.head();
  bool complete = body_.drop_arrived();
  bool keep = head.keep_alive && complete && !site_.stopping;
  bool head_only = head.method == "HEAD";
  reserve_wiping(out_, 640 + extra.size() + body.size());
  append_head(out_,
              {.status = status,
               .type = type,
               .length = body.size(),
               .request_id = request_id_,
               .extra = extra,
               .keep_alive = keep,
               .http11 = head.http11 || head.method.empty()},
              site_.clock.now());
  if (!head_only) out_ += body;
  wipe(body);
  auto size = out_.size();
  auto sent = co_await transport_.send(out_);
  co_return finished(sent ? status : 0, sent ? size : 0, keep && sent, complete);
}

Exchange::Next Exchange::finished(int status, std::uint64_t sent, bool keep, bool complete) {
  auto took = MonoTime::clock::now() - started_;
  auto& counted = *site_.operations[std::min(index_, site_.operations.size() - 1)];
  if (status > 0) counted.served(status, took);
  if (site_.log)
    site_.log({.request_id = request_id_,
               .operation = operation_,
               .trace = trace_id(parser_.head().traceparent),
               .status = status,
               .took = std::chrono::duration_cast<std::chrono::microseconds>(took),
               .bytes_in = body_.received(),
               .bytes_out = sent,
               .bug = bug_});
  if (keep) return Next::request;
  return complete || status == 0 ? Next::close : Next::linger;
}

}  // namespace holdfast::http
