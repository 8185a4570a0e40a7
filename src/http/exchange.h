// One request and its response: match, authenticate, allow, read the body, call, answer.
#pragma once

#include <atomic>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "http/access_log.h"
#include "http/body_budget.h"
#include "http/gate.h"
#include "http/metrics.h"
#include "http/request_parser.h"
#include "http/router.h"
#include "http/streams.h"
#include "http/target.h"
#include "http/transport.h"

namespace holdfast::http {

/// What all connections of a server share.
struct Site {
  const ServerLimits& limits;
  const Router& router;
  Gate& gate;
  const Clock& clock;
  Metrics& metrics;
  std::vector<Metrics::Operation*> operations;  // as in router.routes(), then one for all the rest
  AccessLog log;                                // may be empty
  std::function<Result<void>()> ready;          // may be empty
  std::function<Result<void>()> may_grow;       // may be empty
  std::function<std::string_view()> warning;    // may be empty
  std::string openapi;
  BodyBudget bodies{limits.bodies_together};
  std::atomic<bool> stopping = false;
};

struct Peer {
  std::string address;
  bool loopback = false;
  bool proxy = false;  // may name the address that it speaks for
};

class Exchange {
 public:
  Exchange(Site& site, Transport& transport, RequestParser& parser, const Peer& peer)
      : site_(site),
        transport_(transport),
        parser_(parser),
        peer_(peer),
        body_(transport, parser, site.limits, site.bodies) {}
  ~Exchange();

  /// What the connection can do next.
  enum class Next { request, close, linger };
  Task<Next> serve();

 private:
  /// False: the connection ended between requests. Otherwise a head, or the fault in it.
  Task<std::expected<bool, Fault>> read_head();
  Task<Next> respond();
  Task<Next> page();
  Task<Next> run(const Route& route);
  using Handled = std::expected<Answer, Problem>;
  Task<Handled> handle(const Route& route);
  Task<Handled> attempt(const Route& route);
  Task<Result<Caller>> admit(std::string_view operation, MonoTime deadline);
  Result<void> read_fields(const Route& route);
  Task<Next> stream(const Route& route);

  Task<Next> answer(int status, std::string_view type, std::string body,
                    std::string_view extra = {});
  Task<Next> refuse(const Problem& problem, std::string_view extra = {});
  Task<Next> refuse_slow(const Problem& problem);
  Next finished(int status, std::uint64_t sent, bool keep, bool complete);
  Result<std::string> client_address() const;

  Site& site_;
  Transport& transport_;
  RequestParser& parser_;
  const Peer& peer_;
  RequestBody body_;

  MonoTime started_{};
  std::string request_id_, text_, out_;
  std::string_view operation_ = "-";
  std::string_view bug_;
  std::size_t index_ = std::string_view::npos;
  Target target_;
  Router::Match match_;
  Call call_;
};

}  // namespace holdfast::http
