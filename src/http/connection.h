// One client's connection, from the TLS handshake to the end. Lives on one core.
#pragma once

#include <functional>
#include <memory>

#include "http/exchange.h"

namespace holdfast::http {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Site& site, boost::asio::ip::tcp::socket socket, boost::asio::ssl::context& context,
             Peer peer);

  /// Serves until the client, a limit or the server's stop ends it.
  Task<void> run();

  /// The server stops: an idle connection ends now, a busy one after its response. On the core.
  void stop();
  /// Ends it whatever it does. On the core.
  void cut() { transport_->cut(); }

 private:
  Site& site_;
  Peer peer_;
  std::shared_ptr<Transport> transport_;
};

}  // namespace holdfast::http
