#include "http/server.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <unordered_set>

#include "http/connection.h"
#include "http/openapi.h"

namespace holdfast::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
/// When the process is out of file descriptors, accepting again at once would only spin.
constexpr std::chrono::milliseconds kAcceptPause{100};

asio::ip::address unmapped(const asio::ip::address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
}

/// Who counts as one client: an IPv4 address, or an IPv6 /64, which one person usually holds.
std::string client_key(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  return asio::ip::network_v6(address.to_v6(), 64).canonical().to_string();
}

struct Network {
  asio::ip::address base;
  unsigned short bits;

  bool contains(const asio::ip::address& address) const {
    if (address.is_v4() != base.is_v4()) return false;
    if (base.is_v4())
      return asio::ip::network_v4(address.to_v4(), bits).canonical() ==
             asio::ip::network_v4(base.to_v4(), bits).canonical();
    return asio::ip::network_v6(address.to_v6(), bits).canonical() ==
           asio::ip::network_v6(base.to_v6(), bits).canonical();
  }
};

Result<Network> parse_network(const std::string& text) {
  error_code bad;
  auto slash = text.find('/');
  auto base = asio::ip::make_address(text.substr(0, slash), bad);
  if (bad)
    return Error(Code::invalid, "a proxy is neither an address nor a network (server.proxies)");
  unsigned short widest = base.is_v4() ? 32 : 128, bits = widest;
  if (slash != std::string::npos) {
    auto digits = text.substr(slash + 1);
    bool number = !digits.empty() && digits.size() <= 3 &&
                  digits.find_first_not_of("0123456789") == std::string::npos;
    if (!number || std::stoi(digits) > widest)
      return Error(Code::invalid, "a proxy's network has a wrong prefix length");
    bits = static_cast<unsigned short>(std::stoi(digits));
  }
  return Network{base, bits};
}

Result<asio::ip::address> parse_address(const std::string& text) {
  error_code bad;
  auto address = asio::ip::make_address(text, bad);
  if (bad) return Error(Code::invalid, "the address to listen on is not an IP address");
  return address;
}

}  // namespace

Result<void> check_addresses(const ServerOptions& options) {
  for (const auto& text : options.proxies)
    if (auto network = parse_network(text); !network) return std::move(network).error();
  for (const auto& listen : options.listen)
    if (auto address = parse_address(listen.address); !address) return std::move(address).error();
  return {};
}

struct Server::Impl : std::enable_shared_from_this<Impl> {
  Impl(Deps d, ServerOptions o, std::vector<Route> routes, TlsContext t)
      : deps(d),
        options(std::move(o)),
        router(std::move(routes)),
        site{.limits = options.limits,
             .router = router,
             .gate = d.gate,
             .clock = d.clock,
             .metrics = d.metrics,
             .operations = {},
             .log = options.log,
             .ready = options.ready,
             .may_grow = options.may_grow,
             .warning = options.warning,
             .openapi = openapi_document(router.routes(), options.title, options.version)},
        tls(std::move(t)),
        open(d.cores.size()) {
    for (const auto& route : router.routes())
      site.operations.push_back(&d.metrics.operation(route.id));
    site.operations.push_back(&d.metrics.operation("other"));
  }

  Result<void> bind();
  Task<void> accept(std::size_t listener);
  void take(std::size_t core, tcp::socket socket);
  Task<void> serve(std::size_t core, std::shared_ptr<Connection> connection, std::string client);
  bool admit(const std::string& client, bool proxy);
  void leave(const std::string& client);
  void each_core(void (*what)(Impl&, std::size_t core));

  Deps deps;
  const ServerOptions options;
  const Router router;
  Site site;
  std::vector<Network> proxies;
  std::vector<tcp::acceptor> acceptors;
  std::vector<std::uint16_t> ports;

  std::mutex mutex;  // for what follows
  TlsContext tls;
  std::map<std::string, std::size_t> clients;
  std::size_t total = 0;
  std::size_t accepting = 0;
  std::condition_variable changed;

  /// By core, and touched only there.
  std::vector<std::unordered_set<std::shared_ptr<Connection>>> open;
};

Result<void> Server::Impl::bind() {
  for (const auto& text : options.proxies) {
    auto network = parse_network(text);
    if (!network) return std::move(network).error();
    proxies.push_back(*network);
  }
  for (const auto& listen : options.listen) {
    error_code bad;
    auto address = parse_address(listen.address);
    if (!address) return std::move(address).error();
    tcp::endpoint endpoint(*address, listen.port);
    tcp::acceptor acceptor(deps.cores.at(0));
    acceptor.open(endpoint.protocol(), bad);
    if (!bad) acceptor.set_option(tcp::acceptor::reuse_address(true), bad);
    if (!bad) acceptor.bind(endpoint, bad);
    if (bad == asio::error::address_in_use)
      return Error(
          Code::unavailable,
          "the port to listen on is taken by another program (server.listen, or --listen)");
    if (bad == asio::error::access_denied)
      return Error(Code::unavailable, "listening on this port needs rights that this user lacks");
    if (!bad) acceptor.listen(asio::socket_base::max_listen_connections, bad);
    if (bad) return Error(Code::unavailable, "the address to listen on is not one of this machine");
    ports.push_back(acceptor.local_endpoint().port());
    acceptors.push_back(std::move(acceptor));
  }
  return {};
}

Task<void> Server::Impl::accept(std::size_t listener) {
  auto& acceptor = acceptors[listener];
  asio::steady_timer pause(acceptor.get_executor());
  bool failed = false;
  for (std::size_t turn = 0; !site.stopping; ++turn) {
    try {
      if (std::exchange(failed, false)) {
        pause.expires_after(kAcceptPause);
        co_await pause.async_wait(kTuple);
      }
      auto core = turn % deps.cores.size();
      tcp::socket socket(deps.cores.at(core));
      auto [ec] = co_await acceptor.async_accept(socket, kTuple);
      if (ec == asio::error::operation_aborted || ec == asio::error::bad_descriptor) break;
      failed = bool(ec);
      if (!ec) take(core, std::move(socket));
    } catch (const std::exception&) {
      failed = true;  // out of memory, at best: this client is lost, the next ones need not be
    }
  }
  std::scoped_lock lock(mutex);
  --accepting;
  changed.notify_all();
}

/// Counts the connection and starts it on its core.
void Server::Impl::take(std::size_t core, tcp::socket socket) {
  error_code bad;
  auto endpoint = socket.remote_endpoint(bad);
  if (bad) return;
  auto address = unmapped(endpoint.address());
  bool proxy = std::ranges::any_of(proxies, [&](const auto& n) { return n.contains(address); });
  auto client = client_key(address);
  if (!admit(client, proxy)) {
    ++site.metrics.refused;
    return;
  }
  ++site.metrics.accepted;
  ++site.metrics.connections;
  try {
    TlsContext context;
    {
      std::scoped_lock lock(mutex);
      context = tls;
    }
    auto connection = std::make_shared<Connection>(
        site, std::move(socket), *context, Peer{address.to_string(), address.is_loopback(), proxy});
    asio::co_spawn(
        deps.cores.at(core),
        [](std::shared_ptr<Impl> self, std::size_t at, std::shared_ptr<Connection> taken,
           std::string key) -> Task<void> {
          co_await self->serve(at, std::move(taken), std::move(key));
        }(shared_from_this(), core, std::move(connection), client),
        asio::detached);
  } catch (const std::exception&) {
    --site.metrics.connections;
    leave(client);
    throw;
  }
}

Task<void> Server::Impl::serve(std::size_t core, std::shared_ptr<Connection> connection,
                               std::string client) {
  try {
    open[core].insert(connection);
    if (site.stopping) connection->stop();
    co_await connection->run();
  } catch (const std::exception&) {
    connection->cut();  // out of memory, at best
  }
  open[core].erase(connection);
  connection.reset();
  --site.metrics.connections;
  leave(client);
}

bool Server::Impl::admit(const std::string& client, bool proxy) {
  std::scoped_lock lock(mutex);
  if (total >= options.limits.connections) return false;
  auto& count = clients[client];
  if (!proxy && count >= options.limits.connections_per_address) return false;
  ++count;
  ++total;
  return true;
}

void Server::Impl::leave(const std::string& client) {
  std::scoped_lock lock(mutex);
  auto at = clients.find(client);
  if (--at->second == 0) clients.erase(at);
  --total;
  changed.notify_all();
}

void Server::Impl::each_core(void (*what)(Impl&, std::size_t core)) {
  for (std::size_t core = 0; core < deps.cores.size(); ++core)
    asio::post(deps.cores.at(core), [self = shared_from_this(), what, core] { what(*self, core); });
}

Server::Server(Deps deps, ServerOptions options, std::vector<Route> routes, TlsContext tls)
    : impl_(std::make_shared<Impl>(deps, std::move(options), std::move(routes), std::move(tls))) {}

Server::~Server() {
  stop();
}

Result<void> Server::start() {
  auto bound = impl_->bind();
  if (!bound) return bound;
  impl_->accepting = impl_->acceptors.size();
  for (std::size_t i = 0; i < impl_->acceptors.size(); ++i)
    asio::co_spawn(
        impl_->deps.cores.at(0),
        [](std::shared_ptr<Impl> self, std::size_t listener) -> Task<void> {
          co_await self->accept(listener);
        }(impl_, i),
        asio::detached);
  return {};
}

std::vector<std::uint16_t> Server::ports() const {
  return impl_->ports;
}

void Server::reload(TlsContext tls) {
  std::scoped_lock lock(impl_->mutex);
  impl_->tls = std::move(tls);
}

bool Server::stop() {
  const auto& limits = impl_->options.limits;
  auto quiet = [this] { return impl_->total == 0 && impl_->accepting == 0; };
  std::unique_lock lock(impl_->mutex, std::defer_lock);
  if (!impl_->site.stopping.exchange(true)) {
    auto until = MonoTime::clock::now() + limits.stop_time;
    asio::post(impl_->deps.cores.at(0), [self = impl_] {
      error_code ignored;
      for (auto& acceptor : self->acceptors) acceptor.close(ignored);
    });
    impl_->each_core([](Impl& self, std::size_t core) {
      for (const auto& connection : self.open[core]) connection->stop();
    });
    lock.lock();
    if (impl_->changed.wait_until(lock, until, quiet)) return true;
    lock.unlock();
    impl_->each_core([](Impl& self, std::size_t core) {
      for (const auto& connection : self.open[core]) connection->cut();
    });
  }
  lock.lock();
  return impl_->changed.wait_for(lock, limits.end_time, quiet);
}

const std::string& Server::openapi() const {
  return impl_->site.openapi;
}

}  // namespace holdfast::http
