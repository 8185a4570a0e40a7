// A real TLS server on a free loopback port with a fake gate and a few routes, and a client that
// sends raw bytes.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/cores.h"
#include "http/server.h"

namespace holdfast::http {

/// Lets `good` in, and everyone with the right to everything but `forbidden`; has no memory for
/// `too much`.
class FakeGate final : public Gate {
 public:
  Task<Result<Caller>> authenticate(Credentials credentials) override;
  Task<Result<void>> allow(const Caller& caller, std::string_view operation) override;

  std::string last_address();

 private:
  std::mutex mutex_;
  std::string last_address_;
};

struct EchoRequest {
  std::string name, text;
  std::vector<std::string> tags;
  std::string idempotency_key, if_match;
  static std::span<const Member> described();
};
struct EchoAnswer {
  std::string name, text, key, match, behind;
  std::vector<std::string> tags;
  std::int64_t version = 7;
  static std::span<const Member> described();
};
struct Nothing {
  static std::span<const Member> described() { return {}; }
};
struct Slow {
  std::int64_t ms = 0;
  static std::span<const Member> described();
};
struct Count {
  std::int64_t bytes = 0;
  static std::span<const Member> described();
};

enum class Size : std::uint8_t { small, large };
std::span<const std::string_view> enum_names(Size);
struct Other {
  std::int64_t count = 0;
  static std::span<const Member> described();
};
struct Choice {
  Size size = Size::small;
  std::int64_t count = 0;
  std::vector<std::string> words;
  std::vector<Other> others;
  static std::span<const Member> described();
};

class TestApi {
 public:
  Task<Result<EchoAnswer>> echo(Caller caller, EchoRequest in);
  Task<Result<Nothing>> constant(Caller caller, Nothing in);
  Task<Result<Nothing>> forbidden(Caller caller, Nothing in);
  Task<Result<Nothing>> choose(Caller caller, Choice in);
  Task<Result<Nothing>> sleep(Caller caller, Slow in);
  Task<Result<Nothing>> fail(Caller caller, Slow in);
  Task<Result<Nothing>> crash(Caller caller, Nothing in);
  Task<Result<Count>> upload(Caller caller, Nothing in, BodyReader& body);
  Task<Result<Nothing>> careless(Caller caller, Nothing in, BodyReader& body);
  Task<Result<void>> download(Caller caller, Count in, BodyWriter& out);
  Task<Result<void>> cut_off(Caller caller, Nothing in, BodyWriter& out);
  Task<Result<void>> events(Caller caller, Nothing in, BodyWriter& out);
  /// The same stream back; ends with an error where it holds `!`.
  Task<Result<void>> copy(Caller caller, Nothing in, BodyReader& body, BodyWriter& out);

  std::vector<Route> routes();
};

/// An answer as it came over the wire.
struct RawAnswer {
  int status = 0;  // 0: the connection ended first
  std::string head, body;
  std::string field(std::string_view name) const;  // empty without
};

/// A blocking TLS client that sends exactly what it is given. Waits at most 10 s.
class RawClient {
 public:
  /// `protocol`: 0 for any, else TLS1_1_VERSION and so on.
  explicit RawClient(std::uint16_t port, int protocol = 0);
  ~RawClient();
  RawClient(RawClient&& other) noexcept;

  bool connected() const { return ssl_ != nullptr; }
  bool send(std::string_view bytes);
  /// What comes next, at most 16 KiB; empty at the end.
  std::string receive();
  /// One answer with Content-Length or chunks. `head_only` for HEAD.
  RawAnswer answer(bool head_only = false);
  /// True when the server ends the connection without a further byte.
  bool ended();
  std::string fingerprint() const;  // of the server's certificate
  std::string cipher() const, version() const;

 private:
  int fd_ = -1;
  struct ssl_ctx_st* context_ = nullptr;
  struct ssl_st* ssl_ = nullptr;
  std::string rest_;
};

class ServerBench {
 public:
  explicit ServerBench(ServerOptions options = {}, std::vector<Route> more = {});

  std::uint16_t port() const { return server->ports().front(); }
  RawClient client(int protocol = 0) const { return RawClient(port(), protocol); }
  /// Sends one request on a connection of its own.
  RawAnswer ask(std::string_view request, bool head_only = false) const;
  /// A GET with a good key.
  static std::string get(std::string_view path, std::string_view more = {});
  static std::string post(std::string_view path, std::string_view body, std::string_view more = {});

  std::string directory;  // of the certificates
  CertificateFiles certificate;
  SystemClock clock;
  FakeGate gate;
  TestApi api;
  Metrics metrics;
  Cores cores{2};
  std::mutex lines_mutex;
  std::vector<std::string> lines;  // of the access log: "operation status"
  std::unique_ptr<Server> server;

  ~ServerBench();
};

}  // namespace holdfast::http
