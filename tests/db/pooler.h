// A connection pooler before PostgreSQL, as PgBouncer in session mode is one: it passes everything
// on, until a server connection "dies". Then it says so itself, in place of whatever the server had
// still to answer.
#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace holdfast::db::shop {

/// The first commit that holds `marker` reaches the server and is done there; the client hears only
/// the pooler (FATAL 08P01). Threads: one of its own.
class Pooler {
 public:
  Pooler(int server, std::string marker)
      : server_(boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(server)),
        marker_(std::move(marker)),
        acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
        thread_([this] {
          boost::asio::co_spawn(context_, accept(), boost::asio::detached);
          context_.run();
        }) {}
  ~Pooler() {
    context_.stop();
    thread_.join();
  }
  Pooler(const Pooler&) = delete;
  Pooler& operator=(const Pooler&) = delete;

  int port() const { return acceptor_.local_endpoint().port(); }
  bool spoke() const { return spoke_; }

 private:
  using Socket = boost::asio::ip::tcp::socket;
  static constexpr auto kTuple = boost::asio::as_tuple(boost::asio::use_awaitable);

  struct Pair {
    Socket client, server;
    bool dying = false;

    void close() {
      boost::system::error_code ignored;
      client.close(ignored);
      server.close(ignored);
    }
  };

  boost::asio::awaitable<void> accept() {
    for (;;) {
      auto [failed, client] = co_await acceptor_.async_accept(kTuple);
      if (failed) co_return;
      auto pair = std::make_shared<Pair>(std::move(client), Socket(context_));
      auto [away] = co_await pair->server.async_connect(server_, kTuple);
      if (away) continue;
      boost::asio::co_spawn(context_, up(pair), boost::asio::detached);
      boost::asio::co_spawn(context_, down(pair), boost::asio::detached);
    }
  }

  boost::asio::awaitable<void> up(std::shared_ptr<Pair> pair) {
    for (std::string buffer(1 << 16, '\0');;) {
      auto [failed, size] =
          co_await pair->client.async_read_some(boost::asio::buffer(buffer), kTuple);
      if (failed) break;
      if (!spoke_ && std::string_view(buffer).substr(0, size).contains(marker_)) pair->dying = true;
      auto [lost, sent] = co_await boost::asio::async_write(
          pair->server, boost::asio::buffer(buffer, size), kTuple);
      if (lost) break;
    }
    pair->close();
  }

  boost::asio::awaitable<void> down(std::shared_ptr<Pair> pair) {
    for (std::string buffer(1 << 16, '\0');;) {
      auto [failed, size] =
          co_await pair->server.async_read_some(boost::asio::buffer(buffer), kTuple);
      if (failed) break;
      std::string_view answer = std::string_view(buffer).substr(0, size);
      if (pair->dying) {
        // ReadyForQuery, six bytes: the commit is done.
        if (size < 6 || answer[size - 6] != 'Z') continue;
        spoke_ = true;
        answer = kDied;
      }
      auto [lost, sent] =
          co_await boost::asio::async_write(pair->client, boost::asio::buffer(answer), kTuple);
      if (lost || pair->dying) break;
    }
    pair->close();
  }

  static constexpr std::string_view kDied{
      "E\0\0\0\x30"
      "SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0",
      1 + 4 + 7 + 7 + 7 + 22 + 1};

  boost::asio::ip::tcp::endpoint server_;
  std::string marker_;
  std::atomic<bool> spoke_ = false;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

}  // namespace holdfast::db::shop
