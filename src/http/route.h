// A route is one row: operation id, method, path, handler, summary, limits and kind. The operation
// id is the permission and the command. Request and response types come from the handler.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/caller.h"
#include "base/described.h"
#include "base/result.h"
#include "base/task.h"

namespace holdfast::http {

/// The body of an upload, as it arrives. Errors: too_large, invalid (cut off), unavailable (slow).
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// The next piece (at most 64 KiB), valid until the next call; empty at the end.
  virtual Task<Result<std::string_view>> next() = 0;
  /// From Content-Length, 0 when unknown.
  virtual std::uint64_t size() const = 0;
  /// The media type, such as `text/csv`.
  virtual std::string_view type() const = 0;
};

/// The body of a download or an event stream. The buffer is wiped after each write.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  /// A further field: of the head before start(), and after it of the trailer section (RFC 9110
  /// section 6.5), for what is known only at the end and a client may do without. Names and values
  /// are the program's own: no control characters.
  virtual void field(std::string_view /*name*/, std::string_view /*value*/) {}
  /// Sends the head on the first call. `type` such as "text/csv; charset=utf-8".
  virtual Task<Result<void>> start(std::string_view type) = 0;
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  /// True when the server is stopping or the client went away.
  virtual bool closing() const = 0;
};

/// `transform` answers with a stream while it reads one. Such a handler reads its first piece
/// before it starts to answer, and its client must read while it sends (HTTP/1.1 only).
enum class RouteKind : std::uint8_t { json, upload, download, events, transform };

struct RouteLimits {
  std::size_t body = 1 << 20;              // bytes; uploads count on the fly
  std::chrono::milliseconds time{30'000};  // for json; streams run longer
};

struct Example {
  std::string_view title;
  std::string_view body;  // JSON of the request
};

/// What can be said of a route without calling it: the OpenAPI document and the command line.
struct RouteInfo {
  std::string_view id, method, path, summary;
  RouteKind kind = RouteKind::json;
  RouteLimits limits{};
  int status = 200;                                // of success
  bool grows = false;                              // refused while disk space is low
  bool idempotency_key = false, if_match = false;  // which of the two headers the request takes
  const Type* request = nullptr;
  const Type* response = nullptr;  // nullptr for what is written piece by piece
  std::vector<Example> examples{};
  std::string_view example_options{};  // see RouteOptions
};

/// A caller with the parts of its request.
struct Call {
  Caller caller;
  Parts parts;
  std::string_view idempotency_key;  // empty without
  std::string_view if_match;         // without quotes, empty without
  BodyReader* upload = nullptr;
  BodyWriter* download = nullptr;
};

struct Answer {
  std::string json;  // empty for downloads
  std::string etag;
};

struct Route : RouteInfo {
  /// Parses, calls the handler, writes the response.
  std::function<Task<Result<Answer>>(Call)> run;
};

/// Requests that want them may have these members; the server fills them from headers.
///   std::string idempotency_key;  std::string if_match;
/// Responses that have a `std::int64_t version` member get it as their ETag.

namespace detail {
template <class H>
struct HandlerOf;
template <class A, class Out, class In>
struct HandlerOf<Task<Result<Out>> (A::*)(Caller, In)> {
  using Api = A;
  using Request = In;
  using Response = Out;
  static constexpr RouteKind kind = RouteKind::json;
};
template <class A, class Out, class In>
struct HandlerOf<Task<Result<Out>> (A::*)(Caller, In, BodyReader&)> {
  using Api = A;
  using Request = In;
  using Response = Out;
  static constexpr RouteKind kind = RouteKind::upload;
};
template <class A, class In>
struct HandlerOf<Task<Result<void>> (A::*)(Caller, In, BodyWriter&)> {
  using Api = A;
  using Request = In;
  using Response = void;
  static constexpr RouteKind kind = RouteKind::download;
};
template <class A, class In>
struct HandlerOf<Task<Result<void>> (A::*)(Caller, In, BodyReader&, BodyWriter&)> {
  using Api = A;
  using Request = In;
  using Response = void;
  static constexpr RouteKind kind = RouteKind::transform;
};

/// A function, not a lambda: its parameters live in the coroutine frame.
template <auto Handler>
Task<Result<Answer>> run(typename HandlerOf<decltype(Handler)>::Api* api, Call call) {
  using H = HandlerOf<decltype(Handler)>;
  using In = typename H::Request;
  In in;
  auto parsed = parse_described(type_of<In>(), &in, call.parts);
  if (!parsed) co_return std::move(parsed).error();
  if constexpr (requires { in.idempotency_key; }) in.idempotency_key = call.idempotency_key;
  if constexpr (requires { in.if_match; }) in.if_match = call.if_match;
  if constexpr (H::kind == RouteKind::download) {
    auto done = co_await (api->*Handler)(std::move(call.caller), std::move(in), *call.download);
    if (!done) co_return std::move(done).error();
    co_return Answer{};
  } else if constexpr (H::kind == RouteKind::transform) {
    auto done = co_await (api->*Handler)(std::move(call.caller), std::move(in), *call.upload,
                                         *call.download);
    if (!done) co_return std::move(done).error();
    co_return Answer{};
  } else {
    Result<typename H::Response> out = Error(Code::internal, "no answer");
    if constexpr (H::kind == RouteKind::upload)
      out = co_await (api->*Handler)(std::move(call.caller), std::move(in), *call.upload);
    else
      out = co_await (api->*Handler)(std::move(call.caller), std::move(in));
    if (!out) co_return std::move(out).error();
    Answer answer;
    write_described(type_of<typename H::Response>(), &*out, answer.json);
    if constexpr (requires { std::to_string(out->version); })
      answer.etag = std::to_string(out->version);
    co_return answer;
  }
}
}  // namespace detail

/// `kind` is taken from the handler; say RouteKind::events for a server-sent-events download.
struct RouteOptions {
  RouteLimits limits{};
  int status = 200;
  bool events = false;
  bool grows = false;
  std::vector<Example> examples{};
  /// What its command is shown with where no example is JSON and what the request requires does
  /// not say it: `--preset shopify`. Words to replace are in upper case.
  std::string_view example_options{};
};

/// `api` may be nullptr for rows that are only described and never run (help texts, OpenAPI).
template <auto Handler>
Route route(typename detail::HandlerOf<decltype(Handler)>::Api* api, std::string_view id,
            std::string_view method, std::string_view path, std::string_view summary,
            RouteOptions options = {}) {
  using H = detail::HandlerOf<decltype(Handler)>;
  Route out;
  out.id = id;
  out.method = method;
  out.path = path;
  out.summary = summary;
  out.kind = options.events ? RouteKind::events : H::kind;
  out.limits = options.limits;
  out.status = options.status;
  out.grows = options.grows;
  out.request = &type_of<typename H::Request>();
  out.idempotency_key = requires(typename H::Request in) { in.idempotency_key; };
  out.if_match = method != "GET" && requires(typename H::Request in) { in.if_match; };
  if constexpr (!std::is_void_v<typename H::Response>)
    out.response = &type_of<typename H::Response>();
  out.examples = std::move(options.examples);
  out.example_options = options.example_options;
  out.run = [api](Call call) { return detail::run<Handler>(api, std::move(call)); };
  return out;
}

template <auto Handler>
Route route(typename detail::HandlerOf<decltype(Handler)>::Api& api, std::string_view id,
            std::string_view method, std::string_view path, std::string_view summary,
            RouteOptions options = {}) {
  return route<Handler>(&api, id, method, path, summary, std::move(options));
}

}  // namespace holdfast::http
