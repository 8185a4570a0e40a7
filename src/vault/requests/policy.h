// When a request must be answered. Pure.
#pragma once

#include "base/clock.h"

namespace holdfast::vault {

inline constexpr int kMonthsToAnswer = 1;  // GDPR art. 12(3)
inline constexpr int kMonthsExtended = 3;  // and with the two that may be added

/// The same time of day so many calendar months later; where that month is shorter, on its last day
/// (Regulation 1182/71 art. 3(2)(c)). That the day may be a holiday is left to the shop: this date
/// is never too late.
Time months_after(Time from, int months);

}  // namespace holdfast::vault
