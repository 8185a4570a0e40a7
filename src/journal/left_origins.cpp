#include "journal/left_origins.h"

#include "journal/statements.h"

namespace holdfast::journal {

std::span<const Member> LeftOrigin::described() {
  using L = LeftOrigin;
  static constexpr Member kMembers[] = {
      member<&L::origin>("origin", "A name of the log."),
      member<&L::size>("size", "The entries up to which its keys are held.")};
  return kMembers;
}

void leave_origin(db::Changes& changes, const LeftOrigin& left) {
  changes.write(kLeaveOrigin, {left.origin, left.size});
}

}  // namespace holdfast::journal
