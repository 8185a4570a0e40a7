// Who is asking. Made once per request by access control (http/gate.h) and passed down by value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"

namespace holdfast {

/// The compiled rights of a principal; access/ knows what is inside.
class Rights;

struct Caller {
  /// The principal: `key_...`, `staff_...`, or `system` for the server's own work.
  std::string principal = "system";
  /// Who the key says is behind the call, such as `staff:17` or `customer:4711`: asserted by the
  /// key, not proved. Empty without.
  std::string on_behalf_of{};
  /// Named in answers, logs and the journal entry.
  std::string request_id{};
  /// Personal data: kept sealed and under retention, never logged.
  std::string address{};
  std::string user_agent{};
  /// The policy generation under which `rights` were read. A commit guards it.
  std::uint64_t generation = 0;
  /// Shared, because a policy change may replace the snapshot while requests still use it.
  std::shared_ptr<const Rights> rights{};
  /// Every wait inside the request takes what is left of this.
  MonoTime deadline = MonoTime::max();
};

}  // namespace holdfast
