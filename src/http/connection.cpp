#include "http/connection.h"

namespace holdfast::http {

Connection::Connection(Site& site, boost::asio::ip::tcp::socket socket,
                       boost::asio::ssl::context& context, Peer peer)
    : site_(site),
      peer_(std::move(peer)),
      transport_(std::make_shared<Transport>(std::move(socket), context, site.limits)) {}

Task<void> Connection::run() {
  auto ready = co_await transport_->handshake();
  if (!ready) {
    ++site_.metrics.failed_handshakes;
    co_await transport_->close(true);
    co_return;
  }
  RequestParser parser(site_.limits);
  auto next = Exchange::Next::request;
  for (std::size_t served = 0; next == Exchange::Next::request; ++served) {
    if (served == site_.limits.requests_per_connection) break;
    if (served > 0) parser.reset();
    Exchange exchange(site_, *transport_, parser, peer_);
    next = co_await exchange.serve();
  }
  co_await transport_->close(next == Exchange::Next::linger);
}

void Connection::stop() {
  if (transport_->state != Transport::State::busy) transport_->cut();
}

}  // namespace holdfast::http
