// What the log proves of a customer: the port Proofs over the journal's log and index.
#pragma once

#include <boost/asio/thread_pool.hpp>

#include "vault/ports.h"

namespace holdfast::vault {

/// Threads: any. Log and index outlive it.
class LogProofs final : public Proofs {
 public:
  LogProofs(journal::Log& log, journal::AccessIndex& index) : log_(log), index_(index) {}
  ~LogProofs() override { pool_.join(); }

  Task<Result<journal::AccessPage>> events(SubjectId subject, std::int64_t before,
                                           std::size_t limit) override;
  Task<Result<journal::EventProof>> prove(EventId event, SubjectId subject) override;

 private:
  journal::Log& log_;
  journal::AccessIndex& index_;
  boost::asio::thread_pool pool_{1};  // hashes of large batches
};

}  // namespace holdfast::vault
