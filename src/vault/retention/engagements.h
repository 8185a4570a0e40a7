// Engagements as retention sees them: keep times count from the end of the last one, and rows go
// some time after it.
#pragma once

#include <map>
#include <set>

#include "vault/context.h"
#include "vault/retention/holds.h"

namespace holdfast::vault {

/// Rows are kept for this long after the end, for who looks into what was opened under them.
inline constexpr Millis kEngagementsKept = std::chrono::days(90);

/// When customers' last engagements closed. Whose deciding row does not authenticate is left out as
/// if it were open: nothing of them is destroyed, and `journal verify --state` names the row.
class ClosedEngagements final : public Closings {
 public:
  explicit ClosedEngagements(Context context) : context_(context) {}
  Task<Result<std::map<SubjectId, Time>>> last_closed(std::vector<SubjectId> subjects,
                                                      MonoTime deadline) override;
  void guard(db::Changes& changes,
             const std::map<Time, std::set<SubjectId>>& closed_by) const override;

 private:
  Context context_;
};

/// Engagements that closed long ago. Those of held customers stay, also of who has a record in a
/// held collection, and so does a customer's last one while records of theirs may count a keep time
/// from it, and any that does not authenticate.
/// Threads: one at a time, the sweep's own.
class PastEngagements final : public Remains {
 public:
  PastEngagements(Context context, LegalHolds& holds) : context_(context), holds_(holds) {}
  std::string_view what() const override { return "engagements"; }
  /// Looks at no more than 50,000 rows (10 µs each), and goes on behind them the next time.
  Task<Result<std::int64_t>> forget(Time now, std::int64_t most) override;

 private:
  struct Batch;
  Task<Result<void>> look(Batch& batch, Time before, std::int64_t most);

  Context context_;
  LegalHolds& holds_;
  Time after_closed_{};  // rows up to here were looked at in this round
  EngagementId after_{};
};

std::span<const db::Sql* const> past_engagement_statements();

}  // namespace holdfast::vault
