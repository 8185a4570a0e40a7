// What server_bench.h declares; it lies in a _test file so that it is built with the tests.
#include "http/server_bench.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <stdexcept>

namespace holdfast::http {

namespace asio = boost::asio;

Task<Result<Caller>> FakeGate::authenticate(Credentials credentials) {
  {
    std::scoped_lock lock(mutex_);
    last_address_ = credentials.address;
  }
  if (credentials.authorization == "Bearer too much") throw std::bad_alloc();
  if (credentials.authorization != "Bearer good")
    co_return Error(Code::unauthenticated, "no valid key");
  co_return Caller{.principal = "key_test",
                   .request_id = credentials.request_id,
                   .deadline = credentials.deadline};
}

Task<Result<void>> FakeGate::allow(const Caller&, std::string_view operation) {
  if (operation == "test.forbidden") co_return Error(Code::forbidden, "not for you");
  co_return Result<void>();
}

std::string FakeGate::last_address() {
  std::scoped_lock lock(mutex_);
  return last_address_;
}

std::span<const Member> EchoRequest::described() {
  static constexpr Member kMembers[] = {
      member<&EchoRequest::name>("name", "From the path.", {.bytes = 64}, Place::path),
      member<&EchoRequest::tags>("tags", "From the query.", {.bytes = 64, .count = 3},
                                 Place::query),
      member<&EchoRequest::text>("text", "From the body.", {.bytes = 1 << 20})};
  return kMembers;
}
std::span<const Member> EchoAnswer::described() {
  static constexpr Member kMembers[] = {
      member<&EchoAnswer::name>("name", "The name."),
      member<&EchoAnswer::text>("text", "The text.", {.bytes = 1 << 20}),
      member<&EchoAnswer::key>("key", "The idempotency key."),
      member<&EchoAnswer::match>("match", "The version."),
      member<&EchoAnswer::behind>("behind", "The request id."),
      member<&EchoAnswer::tags>("tags", "The tags.")};
  return kMembers;
}
std::span<const Member> Slow::described() {
  static constexpr Member kMembers[] = {member<&Slow::ms>("ms", "How long.", {}, Place::query)};
  return kMembers;
}
std::span<const std::string_view> enum_names(Size) {
  static constexpr std::string_view kNames[] = {"small", "large"};
  return kNames;
}
std::span<const Member> Other::described() {
  static constexpr Member kMembers[] = {
      member<&Other::count>("count", "How many.", {.min = 1, .max = 9})};
  return kMembers;
}
std::span<const Member> Choice::described() {
  static constexpr Member kMembers[] = {
      member<&Choice::size>("size", "Which.", {}, Place::path),
      member<&Choice::count>("count", "How many.", {.min = 1, .max = 100}),
      member<&Choice::words>("words", "Words.", {.bytes = 5, .count = 2}),
      member<&Choice::others>("others", "Others.", {.count = 3})};
  return kMembers;
}
std::span<const Member> Count::described() {
  static constexpr Member kMembers[] = {
      member<&Count::bytes>("bytes", "How many.", {}, Place::query)};
  return kMembers;
}

namespace {

Task<void> pause(std::int64_t ms) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(std::chrono::milliseconds(ms));
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

Task<Result<EchoAnswer>> TestApi::echo(Caller caller, EchoRequest in) {
  co_return EchoAnswer{.name = in.name,
                       .text = in.text,
                       .key = in.idempotency_key,
                       .match = in.if_match,
                       .behind = caller.request_id,
                       .tags = in.tags};
}
Task<Result<Nothing>> TestApi::constant(Caller, Nothing) {
  co_return Nothing{};
}
Task<Result<Nothing>> TestApi::choose(Caller, Choice) {
  co_return Nothing{};
}
Task<Result<Nothing>> TestApi::forbidden(Caller, Nothing) {
  co_return Nothing{};
}
Task<Result<Nothing>> TestApi::sleep(Caller, Slow in) {
  co_await pause(in.ms);
  co_return Nothing{};
}
Task<Result<Nothing>> TestApi::fail(Caller, Slow in) {
  co_return Result<Nothing>(Error(static_cast<Code>(in.ms), "as asked").at("a_field"));
}
Task<Result<Nothing>> TestApi::crash(Caller, Nothing) {
  throw std::logic_error("ann@example.org");
  co_return Nothing{};
}
Task<Result<Count>> TestApi::upload(Caller, Nothing, BodyReader& body) {
  Count out;
  for (;;) {
    auto piece = co_await body.next();
    if (!piece) co_return std::move(piece).error();
    if (piece->empty()) co_return out;
    out.bytes += static_cast<std::int64_t>(piece->size());
  }
}
Task<Result<Nothing>> TestApi::careless(Caller, Nothing, BodyReader&) {
  co_return Error(Code::conflict, "not today");
}
Task<Result<void>> TestApi::download(Caller, Count in, BodyWriter& out) {
  auto begun = co_await out.start("text/csv");
  if (!begun) co_return begun;
  std::string row(1000, 'x');
  for (std::int64_t sent = 0; sent < in.bytes; sent += 1000) {
    auto wrote = co_await out.write(row);
    if (!wrote) co_return wrote;
  }
  co_return Result<void>();
}
Task<Result<void>> TestApi::cut_off(Caller, Nothing, BodyWriter& out) {
  auto wrote = co_await out.write("half");
  if (!wrote) co_return wrote;
  co_return Error(Code::unavailable, "the other half is missing");
}
Task<Result<void>> TestApi::copy(Caller, Nothing, BodyReader& body, BodyWriter& out) {
  for (bool started = false;;) {
    auto piece = co_await body.next();
    if (!piece) co_return std::move(piece).error();
    if (piece->find('!') != std::string_view::npos)
      co_return Error(Code::invalid, "this cannot be copied");
    if (!std::exchange(started, true)) {
      out.field("X-Copy", "begun");
      out.field("Trailer", "X-Copied");
      auto begun = co_await out.start("text/csv");
      if (!begun) co_return begun;
    }
    if (piece->empty()) break;
    auto wrote = co_await out.write(*piece);
    if (!wrote) co_return wrote;
  }
  out.field("X-Copied", "yes");
  co_return Result<void>();
}
Task<Result<void>> TestApi::events(Caller, Nothing, BodyWriter& out) {
  auto begun = co_await out.start("text/event-stream");
  if (!begun) co_return begun;
  auto wrote = co_await out.write("data: first\n\n");
  while (wrote && !out.closing()) co_await pause(20);
  co_return wrote;
}

std::vector<Route> TestApi::routes() {
  RouteOptions small{.limits = {.body = 1000, .time = std::chrono::milliseconds(2000)}};
  return {
      route<&TestApi::echo>(*this, "test.echo", "POST", "/v1/echo/{name}", "Echo", small),
      route<&TestApi::constant>(*this, "test.constant", "GET", "/v1/constant", "A constant"),
      route<&TestApi::forbidden>(*this, "test.forbidden", "GET", "/v1/forbidden", "Not allowed"),
      route<&TestApi::sleep>(*this, "test.sleep", "GET", "/v1/sleep", "Sleep",
                             {.limits = {.time = std::chrono::milliseconds(1000)}}),
      route<&TestApi::fail>(*this, "test.fail", "GET", "/v1/fail", "Fail"),
      route<&TestApi::crash>(*this, "test.crash", "GET", "/v1/crash", "Throw"),
      route<&TestApi::upload>(*this, "test.upload", "POST", "/v1/upload", "Take a file",
                              {.limits = {.body = 10'000'000}}),
      route<&TestApi::careless>(*this, "test.careless", "POST", "/v1/careless", "Take nothing",
                                {.limits = {.body = 10'000'000}}),
      route<&TestApi::download>(*this, "test.download", "GET", "/v1/download", "Give a file"),
      route<&TestApi::copy>(*this, "test.copy", "POST", "/v1/copy", "Give back what comes",
                            {.limits = {.body = 100'000'000}}),
      route<&TestApi::cut_off>(*this, "test.cut_off", "GET", "/v1/cut_off", "Give half a file"),
      route<&TestApi::events>(*this, "test.events", "GET", "/v1/events", "Give events",
                              {.events = true})};
}

// ── the client

std::string RawAnswer::field(std::string_view name) const {
  auto at = head.find("\r\n" + std::string(name) + ": ");
  if (at == std::string::npos) return {};
  at += name.size() + 4;
  return head.substr(at, head.find("\r\n", at) - at);
}

RawClient::RawClient(std::uint16_t port, int protocol) {
  fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  timeval wait{10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  sockaddr_in to{
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return;
  context_ = SSL_CTX_new(TLS_client_method());
  if (protocol != 0) {
    SSL_CTX_set_security_level(context_, 0);
    SSL_CTX_set_min_proto_version(context_, protocol);
    SSL_CTX_set_max_proto_version(context_, protocol);
  }
  ssl_ = SSL_new(context_);
  SSL_set_fd(ssl_, fd_);
  if (SSL_connect(ssl_) == 1) return;
  SSL_free(std::exchange(ssl_, nullptr));
}

RawClient::RawClient(RawClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      context_(std::exchange(other.context_, nullptr)),
      ssl_(std::exchange(other.ssl_, nullptr)),
      rest_(std::move(other.rest_)) {}

RawClient::~RawClient() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
  if (fd_ >= 0) ::close(fd_);
}

bool RawClient::send(std::string_view bytes) {
  return ssl_ && SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
}

std::string RawClient::receive() {
  if (!rest_.empty()) return std::exchange(rest_, {});
  std::string out(16'384, '\0');
  int got = ssl_ ? SSL_read(ssl_, out.data(), static_cast<int>(out.size())) : 0;
  out.resize(static_cast<std::size_t>(std::max(got, 0)));
  return out;
}

bool RawClient::ended() {
  return receive().empty();
}

std::string RawClient::cipher() const {
  return SSL_get_cipher(ssl_);
}
std::string RawClient::version() const {
  return SSL_get_version(ssl_);
}

std::string RawClient::fingerprint() const {
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  auto* certificate = SSL_get1_peer_certificate(ssl_);
  X509_digest(certificate, EVP_sha256(), digest, &size);
  X509_free(certificate);
  return hex({digest, size});
}

RawAnswer RawClient::answer(bool head_only) {
  RawAnswer out;
  std::string bytes;
  auto more = [&] {
    auto got = receive();
    bytes += got;
    return !got.empty();
  };
  std::size_t end;
  while ((end = bytes.find("\r\n\r\n")) == std::string::npos)
    if (!more()) return out;
  out.head = bytes.substr(0, end + 2);
  bytes.erase(0, end + 4);
  out.status = std::stoi(out.head.substr(9, 3));
  if (out.status == 100) {
    rest_ = bytes;
    return out;
  }
  if (auto length = out.field("Content-Length"); !length.empty() && !head_only) {
    while (bytes.size() < std::stoul(length))
      if (!more()) return out.status = 0, out;
    out.body = bytes.substr(0, std::stoul(length));
    bytes.erase(0, out.body.size());
  } else if (out.field("Transfer-Encoding") == "chunked") {
    for (;;) {
      std::size_t line;
      while ((line = bytes.find("\r\n")) == std::string::npos)
        if (!more()) return out.status = 0, out;
      std::size_t size = 0;
      std::from_chars(bytes.data(), bytes.data() + line, size, 16);
      while (bytes.size() < line + 2 + size + 2)
        if (!more()) return out.status = 0, out;
      out.body += bytes.substr(line + 2, size);
      bytes.erase(0, line + 2 + size + 2);
      if (size == 0) break;
    }
  }
  rest_ = bytes;
  return out;
}

// ── the server

ServerBench::ServerBench(ServerOptions options, std::vector<Route> more) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own writes raise it
  char name[] = "/tmp/holdfast-http-XXXXXX";
  directory = ::mkdtemp(name);
  certificate = *ensure_local_certificate(directory, {}, clock.now());
  auto routes = api.routes();
  for (auto& route : more) routes.push_back(std::move(route));
  options.listen = {{.address = "127.0.0.1", .port = 0}};
  options.log = [this](const RequestLine& line) {
    std::scoped_lock lock(lines_mutex);
    lines.push_back(std::string(line.operation) + ' ' + std::to_string(line.status));
  };
  server = std::make_unique<Server>(Server::Deps{cores, gate, clock, metrics}, std::move(options),
                                    std::move(routes), *server_context(certificate));
  auto started = server->start();
  EXPECT_TRUE(started);
}

ServerBench::~ServerBench() {
  server.reset();
  std::filesystem::remove_all(directory);
}

RawAnswer ServerBench::ask(std::string_view request, bool head_only) const {
  auto made = client();
  made.send(request);
  return made.answer(head_only);
}

std::string ServerBench::get(std::string_view path, std::string_view more) {
  return "GET " + std::string(path) +
         " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n" + std::string(more) +
         "\r\n";
}

std::string ServerBench::post(std::string_view path, std::string_view body, std::string_view more) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n"
         "Content-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + std::string(more) + "\r\n" + std::string(body);
}

}  // namespace holdfast::http
