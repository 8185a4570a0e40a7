#include "vault/requests/policy.h"

namespace holdfast::vault {

Time months_after(Time from, int months) {
  using namespace std::chrono;
  auto day = floor<days>(from);
  auto date = year_month_day(day) + std::chrono::months(months);
  if (!date.ok()) date = date.year() / date.month() / last;
  return time_point_cast<Millis>(sys_days(date)) + (from - day);
}

}  // namespace holdfast::vault
