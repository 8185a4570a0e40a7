#include "http/client.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

#include "http/chunks.h"

namespace holdfast::http {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t kPiece = 64 * 1024;
constexpr std::size_t kLargestHead = 64 * 1024;
constexpr std::chrono::seconds kFreshFor{30};  // half of what the server keeps an idle connection

/// The head of a response. Bodies are read by hand, as in request_parser.cpp.
class ResponseHeadParser final : public beast::http::basic_parser<false> {
 public:
  explicit ResponseHeadParser(ClientResponse& out) : out_(out) {
    header_limit(kLargestHead);
    body_limit(boost::none);
    eager(false);
  }

 private:
  void on_response_impl(int status, beast::string_view, int, error_code&) override {
    out_.status = status;
  }
  void on_field_impl(beast::http::field id, beast::string_view name, beast::string_view value,
                     error_code&) override {
    if (id == beast::http::field::content_type) out_.type = value;
    if (id == beast::http::field::etag) out_.etag = value;
    if (beast::iequals(name, "x-request-id")) out_.request_id = value;
  }
  // Never called, or of no interest: only heads are put in.
  void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int,
                       error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view, error_code&) override {
    return 0;
  }
  void on_finish_impl(error_code&) override {}

  ClientResponse& out_;
};

/// `Name: value` by line, in the order sent.
std::vector<std::pair<std::string, std::string>> trailer_fields(std::string_view lines) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!lines.empty()) {
    auto end = lines.find('\n');
    auto line = lines.substr(0, end);
    lines.remove_prefix(std::min(end, lines.size() - 1) + 1);
    auto colon = line.find(':');
    auto value = line.substr(std::min(colon + 1, line.size()));
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    out.emplace_back(line.substr(0, colon), value);
  }
  return out;
}

/// What follows a head.
struct Framing {
  bool chunked = false, until_end = false, keep_alive = false;
  std::uint64_t left = 0;  // when neither of the first two
  ChunkReader chunks{true};

  bool done() const { return chunked ? chunks.done() : !until_end && left == 0; }
  std::optional<BodyStep> step(std::string_view bytes) {
    if (chunked) return chunks.step(bytes);
    auto piece = until_end ? bytes : bytes.substr(0, std::min<std::uint64_t>(left, bytes.size()));
    if (!until_end) left -= piece.size();
    return BodyStep{piece.size(), piece};
  }
};

bool clean(std::string_view text) {
  return std::ranges::none_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

struct Client::Impl {
  using Stream = ssl::stream<tcp::socket>;

  explicit Impl(ClientOptions given) : options(std::move(given)) {}

  Result<void> prepare();
  Result<ClientResponse> send(const ClientRequest& request);
  Result<void> connect();
  bool usable();
  Result<std::string> head_of(const ClientRequest& request) const;
  Result<void> write(std::string_view bytes);
  Result<bool> wants_body();
  Result<void> write_source(const ClientRequest& request);
  Result<bool> next_piece(const ClientRequest& request, std::string& framed);
  Result<Framing> read_head(bool head, ClientResponse& out);
  Result<void> read(const ClientRequest& request, ClientResponse& out);
  Result<bool> take_arrived(Framing& framing, const ClientRequest& request, ClientResponse& out);
  Result<void> converse(const ClientRequest& request, ClientResponse& out);
  void consume(std::size_t count);
  Result<void> take(std::string_view piece, const ClientRequest& request, ClientResponse& out);
  Result<std::size_t> fill(std::chrono::milliseconds time);
  Error failed(const error_code& ec) const;

  /// Runs until `done` was set by a completion, or the time is up and the connection closed.
  error_code wait(std::optional<error_code>& done, std::chrono::milliseconds time) {
    io.restart();
    auto until = std::chrono::steady_clock::now() + time;
    while (!done && io.run_one_until(until) > 0) {
    }
    if (done) return *done;
    drop();
    while (!done && io.run_one() > 0) {
    }
    return asio::error::timed_out;
  }

  void drop() {
    error_code ignored;
    if (stream) stream->next_layer().close(ignored);
    resolver.cancel();
    open = false;
    wipe(in);
  }

  ClientOptions options;
  std::string host, port, authority;
  asio::io_context io;
  tcp::resolver resolver{io};
  ssl::context context{ssl::context::tls_client};
  std::optional<Stream> stream;
  bool open = false;
  std::chrono::steady_clock::time_point used{};
  std::string in;           // arrived and not parsed yet
  std::uint64_t sent_ = 0;  // of the request's source
};

Result<void> Client::Impl::prepare() {
  auto url = boost::urls::parse_uri(options.url);
  bool plain = url && (url->encoded_path().empty() || url->encoded_path() == "/") &&
               !url->has_query() && !url->has_userinfo() && !url->encoded_host().empty();
  if (!plain || url->scheme_id() != boost::urls::scheme::https)
    return Error(Code::invalid, "the server's URL must look like https://host:port");
  host = url->host_address();
  port = url->has_port() ? std::string(url->port()) : "443";
  authority = url->encoded_host_and_port();

  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  error_code bad;
  if (options.ca_file.empty())
    context.set_default_verify_paths(bad);
  else
    context.load_verify_file(options.ca_file.string(), bad);
  if (bad)
    return Error(Code::invalid, "the CA file cannot be read or is not PEM (HOLDFAST_CA_FILE)");
  context.set_verify_mode(ssl::verify_peer);
  return {};
}

Error Client::Impl::failed(const error_code& ec) const {
  if (ec == asio::error::timed_out)
    return Error(Code::unavailable, "the server did not answer in time");
  if (ec == asio::error::connection_refused)
    return Error(Code::unavailable, "nothing listens at the server's address");
  if (ec.category() == asio::error::get_ssl_category() &&
      ERR_GET_REASON(static_cast<unsigned long>(ec.value())) == SSL_R_CERTIFICATE_VERIFY_FAILED)
    return Error(
        Code::unauthenticated,
        "the server's certificate is not trusted, or is for another name: check the CA file "
        "and the URL");
  return Error(Code::unavailable, "the connection to the server failed");
}

Result<void> Client::Impl::connect() {
  drop();
  stream.emplace(io, context);
  std::optional<error_code> done;
  auto deadline = std::chrono::steady_clock::now() + options.connect_time;
  auto left = [&] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(deadline -
                                                                 std::chrono::steady_clock::now());
  };
  tcp::resolver::results_type found;
  resolver.async_resolve(host, port, [&](error_code ec, auto results) {
    found = std::move(results);
    done = ec;
  });
  if (wait(done, left())) return Error(Code::unavailable, "the server's name cannot be resolved");
  done.reset();
  asio::async_connect(stream->next_layer(), found, [&](error_code ec, const auto&) { done = ec; });
  if (auto ec = wait(done, left())) return failed(ec);
  error_code ignored;
  stream->next_layer().set_option(tcp::no_delay(true), ignored);

  error_code is_name;
  asio::ip::make_address(host, is_name);
  if (is_name) SSL_set_tlsext_host_name(stream->native_handle(), host.c_str());
  stream->set_verify_callback(ssl::host_name_verification(host));
  done.reset();
  stream->async_handshake(ssl::stream_base::client, [&](error_code ec) { done = ec; });
  if (auto ec = wait(done, left())) return failed(ec);
  open = true;
  return {};
}

/// A kept connection that the server has not ended meanwhile.
bool Client::Impl::usable() {
  if (!open || !in.empty() || std::chrono::steady_clock::now() - used > kFreshFor) return false;
  auto& socket = stream->next_layer();
  error_code ec;
  socket.non_blocking(true, ec);
  char byte;
  socket.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, ec);
  return ec == asio::error::would_block;  // nothing was said: neither an end nor an alert
}

Result<std::string> Client::Impl::head_of(const ClientRequest& request) const {
  if (!clean(request.method) || !clean(request.target) ||
      request.target.find(' ') != std::string::npos)
    return Error(Code::invalid, "the method or target has a space or control character");
  std::string out = request.method + ' ' + request.target + " HTTP/1.1\r\nHost: " + authority +
                    "\r\nUser-Agent: " + options.user_agent + "\r\n";
  for (const auto& [name, value] : request.headers) {
    if (!clean(name) || !clean(value))
      return Error(Code::invalid, "a header has a control character").at(name);
    out += name + ": " + value + "\r\n";
  }
  bool body = request.source || !request.body.empty();
  if (body) out += "Content-Type: " + request.type + "\r\n";
  if (request.source) out += "Expect: 100-continue\r\n";
  if (request.source && !request.source_bytes)
    out += "Transfer-Encoding: chunked\r\n";
  else if (body || request.method != "GET")
    out += "Content-Length: " + std::to_string(request.source_bytes.value_or(request.body.size())) +
           "\r\n";
  if (!options.api_key.empty()) {
    out.reserve(out.size() + options.api_key.size() + request.body.size() + 64);
    ((out += "Authorization: Bearer ") += options.api_key.expose_text()) += "\r\n";
  }
  return out + "\r\n";
}

Result<void> Client::Impl::write(std::string_view bytes) {
  std::optional<error_code> done;
  asio::async_write(*stream, asio::buffer(bytes), [&](error_code ec, std::size_t) { done = ec; });
  if (auto ec = wait(done, options.quiet_time)) return failed(ec);
  return {};
}

/// Waits for more bytes and appends them to `in`. 0 at the end of the stream.
Result<std::size_t> Client::Impl::fill(std::chrono::milliseconds time) {
  auto size = in.size();
  in.resize(size + kPiece);
  std::optional<error_code> done;
  std::size_t count = 0;
  stream->async_read_some(asio::buffer(in.data() + size, kPiece),
                          [&](error_code ec, std::size_t got) {
                            count = got;
                            done = ec;
                          });
  auto ec = wait(done, time);
  if (in.size() >= size + count) in.resize(size + count);
  if (ec == asio::error::eof || ec == ssl::error::stream_truncated) return 0;
  if (ec) return failed(ec);
  return count;
}

/// After the head of an upload: true for 100 Continue, false when the answer came at once.
Result<bool> Client::Impl::wants_body() {
  constexpr std::string_view kContinue = "HTTP/1.1 100";
  for (;;) {
    auto end = in.find("\r\n\r\n");
    if (end != std::string::npos) {
      if (!in.starts_with(kContinue)) return false;
      in.erase(0, end + 4);
      return true;
    }
    auto got = fill(options.quiet_time);
    if (!got) return std::move(got).error();
    if (*got == 0) return Error(Code::unavailable, "the server ended the connection");
  }
}

/// The next of the source as it goes out; false behind the last.
Result<bool> Client::Impl::next_piece(const ClientRequest& request, std::string& framed) {
  std::string buffer(kPiece, '\0');
  wipe(framed);
  auto got = request.source(buffer);
  if (!got) return std::move(got).error();
  if (request.source_bytes) {
    framed.append(buffer, 0, *got);
  } else {
    char size[16];
    framed.append(size, std::to_chars(size, size + sizeof size, *got, 16).ptr) += "\r\n";
    framed.append(buffer, 0, *got) += "\r\n";
  }
  wipe(buffer);
  sent_ += *got;
  if (request.progress && *got > 0) request.progress(sent_);
  if (*got == 0 && request.source_bytes && sent_ != *request.source_bytes)
    return Error(Code::invalid, "the file changed its size while it was sent");
  return *got > 0;
}

Result<void> Client::Impl::write_source(const ClientRequest& request) {
  std::string framed;
  for (bool more = true; more;) {
    auto next = next_piece(request, framed);
    if (!next) {
      drop();
      return std::move(next).error();
    }
    more = *next;
    auto wrote = framed.empty() ? Result<void>() : write(framed);
    if (!wrote) return wrote;
  }
  wipe(framed);
  return {};
}

/// Sends and takes at once: neither side has to hold what the other does not take yet.
Result<void> Client::Impl::converse(const ClientRequest& request, ClientResponse& out) {
  std::string framed, arrived(kPiece, '\0');
  std::optional<Framing> framing;
  std::optional<error_code> wrote, got;
  std::size_t count = 0;
  bool writing = false, reading = false, more = true;
  auto leave = [&](Result<void> how) {
    if (!how || writing || reading) drop();
    while ((writing && !wrote) || (reading && !got))
      io.run_one();  // they use what is on this stack
    wipe(framed);
    wipe(arrived);
    return how;
  };
  for (;;) {
    if (more && !writing) {
      auto next = next_piece(request, framed);
      if (!next) return leave(std::move(next).error());
      more = *next;
      wrote.reset();
      writing = !framed.empty();
      if (writing)
        asio::async_write(*stream, asio::buffer(framed),
                          [&](error_code ec, std::size_t) { wrote = ec; });
    }
    if (!reading) {
      got.reset();
      reading = true;
      stream->async_read_some(asio::buffer(arrived), [&](error_code ec, std::size_t size) {
        got = ec;
        count = size;
      });
    }
    io.restart();
    auto until = std::chrono::steady_clock::now() + options.quiet_time;
    while (!(writing && wrote) && !got && io.run_one_until(until) > 0) {
    }
    if (!(writing && wrote) && !got) return leave(failed(asio::error::timed_out));
    if (writing && wrote) {
      writing = false;
      more = more && !*wrote;  // a server that has heard enough still answers
    }
    if (!got) continue;
    reading = false;
    if (*got == asio::error::eof || *got == ssl::error::stream_truncated)
      return leave(Error(Code::unavailable,
                         "the server ended the connection before its answer was complete"));
    if (*got) return leave(failed(*got));
    in.append(arrived, 0, count);
    if (!framing && in.find("\r\n\r\n") == std::string::npos && in.size() <= kLargestHead) continue;
    if (!framing) {
      auto head = read_head(false, out);
      if (!head) return leave(std::move(head).error());
      framing = std::move(*head);
    }
    auto whole = take_arrived(*framing, request, out);
    if (!whole) return leave(std::move(whole).error());
    if (!open) return leave({});
    if (!*whole) continue;
    if (!framing->keep_alive || more) drop();
    return leave({});
  }
}

Result<void> Client::Impl::take(std::string_view piece, const ClientRequest& request,
                                ClientResponse& out) {
  if (request.sink && out.good()) {
    if (request.sink(piece)) return {};
    drop();
    return {};
  }
  if (out.body.size() + piece.size() > options.body_bytes)
    return Error(Code::too_large, "the server's answer is larger than this client takes");
  out.body += piece;
  return {};
}

void Client::Impl::consume(std::size_t count) {
  wipe({reinterpret_cast<std::uint8_t*>(in.data()), count});
  in.erase(0, count);
}

Result<Framing> Client::Impl::read_head(bool head_only, ClientResponse& out) {
  std::size_t end;
  while ((end = in.find("\r\n\r\n")) == std::string::npos) {
    if (in.size() > kLargestHead) return Error(Code::corrupt, "the server's answer is not HTTP");
    auto got = fill(options.quiet_time);
    if (!got) return std::move(got).error();
    if (*got == 0)
      return Error(Code::unavailable, "the server ended the connection without an answer");
  }
  ResponseHeadParser parser(out);
  error_code ec;
  auto taken = parser.put(asio::buffer(in.data(), end + 4), ec);
  if (ec || !parser.is_header_done())
    return Error(Code::corrupt, "the server's answer is not HTTP");
  consume(taken);
  Framing framing{
      .chunked = parser.chunked(), .until_end = false, .keep_alive = parser.keep_alive()};
  if (head_only || out.status == 204 || out.status == 304) return framing.chunked = false, framing;
  auto length = parser.content_length();
  framing.until_end = !framing.chunked && !length;
  framing.left = length.value_or(0);
  return framing;
}

/// Hands on what has arrived of the body; true at its end.
Result<bool> Client::Impl::take_arrived(Framing& framing, const ClientRequest& request,
                                        ClientResponse& out) {
  std::size_t done = 0;
  while (!framing.done()) {
    auto step = framing.step(std::string_view(in).substr(done));
    if (!step) return Error(Code::corrupt, "the server's answer is not HTTP");
    if (!step->body.empty()) {
      auto taken = take(step->body, request, out);
      if (!taken) return std::move(taken).error();
      if (!open) return false;
    }
    done += step->used;
    if (step->used == 0) break;
  }
  consume(done);
  if (!framing.done()) return false;
  out.trailer = trailer_fields(framing.chunks.trailer());
  return true;
}

Result<void> Client::Impl::read(const ClientRequest& request, ClientResponse& out) {
  auto framing = read_head(request.method == "HEAD", out);
  if (!framing) return std::move(framing).error();
  for (;;) {
    auto whole = take_arrived(*framing, request, out);
    if (!whole) return std::move(whole).error();
    if (!open) return {};  // the sink wants no more
    if (*whole) break;
    auto got = fill(options.quiet_time);
    if (!got) return std::move(got).error();
    if (*got > 0) continue;
    if (framing->until_end) break;
    return Error(Code::unavailable,
                 "the server ended the connection before its answer was complete");
  }
  if (!framing->keep_alive) drop();
  return {};
}

Result<ClientResponse> Client::Impl::send(const ClientRequest& request) {
  auto head = head_of(request);
  if (!head) return std::move(head).error();
  if (!usable()) {
    auto connected = connect();
    if (!connected) return std::move(connected).error();
  }
  if (!request.source) *head += request.body;
  auto wrote = write(*head);
  wipe(*head);
  if (wrote && request.source) {
    auto wanted = wants_body();
    if (!wanted) return std::move(wanted).error();
    sent_ = 0;
    if (*wanted && request.sink) {
      ClientResponse out;
      auto done = converse(request, out);
      if (!done) return std::move(done).error();
      used = std::chrono::steady_clock::now();
      return out;
    }
    if (*wanted) wrote = write_source(request);
    if (!wrote && !open) return std::move(wrote).error();
  }
  // A server that refuses an upload answers before it has read it all: look before giving up.
  ClientResponse out;
  auto got = read(request, out);
  if (!got) {
    drop();
    if (!wrote) return std::move(wrote).error();
    return std::move(got).error();
  }
  used = std::chrono::steady_clock::now();
  return out;
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::make(ClientOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  auto prepared = impl->prepare();
  if (!prepared) return std::move(prepared).error();
  return Client(std::move(impl));
}

Result<ClientResponse> Client::send(const ClientRequest& request) {
  return impl_->send(request);
}

}  // namespace holdfast::http
