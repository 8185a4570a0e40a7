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

const db::Sql& leave_origin_statement() {
  return kLeaveOrigin;
}

}  // namespace holdfast::journal
