#include "http/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <map>
#include <mutex>

namespace holdfast::http {
namespace {

/// Values that live elsewhere and are read when asked for.
class Readings final : public prometheus::Collectable {
 public:
  void add(std::string name, std::string help, prometheus::MetricType type,
           std::function<double()> read) {
    std::scoped_lock lock(mutex_);
    rows_.push_back({std::move(name), std::move(help), type, std::move(read)});
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::scoped_lock lock(mutex_);
    std::vector<prometheus::MetricFamily> out;
    for (const auto& row : rows_) {
      prometheus::ClientMetric metric;
      if (row.type == prometheus::MetricType::Counter)
        metric.counter.value = row.read();
      else
        metric.gauge.value = row.read();
      out.push_back({row.name, row.help, row.type, {metric}});
    }
    return out;
  }

 private:
  struct Row {
    std::string name, help;
    prometheus::MetricType type;
    std::function<double()> read;
  };
  mutable std::mutex mutex_;
  std::vector<Row> rows_;
};

const prometheus::Histogram::BucketBoundaries kSeconds{
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

class CountedOperation final : public Metrics::Operation {
 public:
  CountedOperation(std::string id, prometheus::Family<prometheus::Counter>& requests,
                   prometheus::Family<prometheus::Histogram>& seconds)
      : id_(std::move(id)),
        requests_(requests),
        seconds_(seconds.Add({{"operation", id_}}, kSeconds)) {}

  void served(int status, std::chrono::nanoseconds took) override {
    auto& slot = by_status_[static_cast<std::size_t>(status) % by_status_.size()];
    auto* counter = slot.load(std::memory_order_acquire);
    if (!counter) {  // Add gives the same counter for the same labels
      counter = &requests_.Add({{"operation", id_}, {"status", std::to_string(status)}});
      slot.store(counter, std::memory_order_release);
    }
    counter->Increment();
    seconds_.Observe(std::chrono::duration<double>(took).count());
  }

 private:
  std::string id_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Histogram& seconds_;
  std::array<std::atomic<prometheus::Counter*>, 600> by_status_{};
};

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;
  Readings readings;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("holdfast_requests_total")
          .Help("Requests by operation and HTTP status.")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& seconds =
      prometheus::BuildHistogram()
          .Name("holdfast_request_seconds")
          .Help("Time from the end of a request's header to the end of its response.")
          .Register(registry);
  std::mutex mutex;
  std::map<std::string, CountedOperation, std::less<>> operations;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
  gauge("holdfast_connections", "Open connections.", [this] { return double(connections.load()); });
  counter("holdfast_connections_total", "Connections accepted.",
          [this] { return double(accepted.load()); });
  counter("holdfast_connections_refused_total",
          "Connections refused: too many, or from one address.",
          [this] { return double(refused.load()); });
  counter("holdfast_handshakes_failed_total", "TLS handshakes that failed or took too long.",
          [this] { return double(failed_handshakes.load()); });
  counter("holdfast_timeouts_total", "Connections cut because the client was too slow.",
          [this] { return double(timed_out.load()); });
}
Metrics::~Metrics() = default;

void Metrics::gauge(std::string name, std::string help, std::function<double()> read) {
  impl_->readings.add(std::move(name), std::move(help), prometheus::MetricType::Gauge,
                      std::move(read));
}

void Metrics::counter(std::string name, std::string help, std::function<double()> read) {
  impl_->readings.add(std::move(name), std::move(help), prometheus::MetricType::Counter,
                      std::move(read));
}

Metrics::Operation& Metrics::operation(std::string_view id) {
  std::scoped_lock lock(impl_->mutex);
  auto found = impl_->operations.find(id);
  if (found == impl_->operations.end())
    found = impl_->operations
                .try_emplace(std::string(id), std::string(id), impl_->requests, impl_->seconds)
                .first;
  return found->second;
}

std::string Metrics::text() const {
  auto families = impl_->registry.Collect();
  for (auto& family : impl_->readings.Collect()) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace holdfast::http
