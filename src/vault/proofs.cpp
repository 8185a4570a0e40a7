#include "vault/proofs.h"

namespace holdfast::vault {

Task<Result<journal::AccessPage>> LogProofs::events(SubjectId subject, std::int64_t before,
                                                    std::size_t limit) {
  return index_.accesses(subject, before, limit, false);
}

Task<Result<journal::EventProof>> LogProofs::prove(EventId event, SubjectId subject) {
  auto stored = co_await log_.find(event);
  if (!stored) co_return std::move(stored).error();
  auto theirs = [subject](const journal::Touch& touch) { return touch.subject == subject; };
  co_return co_await journal::prove_event(log_, pool_.get_executor(), std::move(*stored), theirs);
}

}  // namespace holdfast::vault
