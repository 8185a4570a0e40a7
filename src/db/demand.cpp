#include "db/demand.h"

namespace holdfast::db {

std::size_t rows_in(const Changes& changes) {
  std::size_t rows = 0;
  for (const Write& write : changes.writes()) rows += write.sql == nullptr ? 1 : write.rows.size();
  return rows;
}

void Demand::note(const Changes& changes, bool others_wait) {
  if (changes.background()) return;
  bool bulk = rows_in(changes) > changes.writes().size();
  (bulk && !others_wait ? bulk_at_ : others_at_) = clock_.mono();
}

bool Demand::lately(const std::atomic<MonoTime>& at) const {
  MonoTime then = at;
  return then != MonoTime::min() && clock_.mono() - then <= std::chrono::seconds(1);
}

Load Demand::load() const {
  if (lately(others_at_)) return Load::others;
  return lately(bulk_at_) ? Load::bulk : Load::none;
}

}  // namespace holdfast::db
