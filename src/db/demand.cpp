#include "db/demand.h"

namespace holdfast::db {

std::size_t rows_in(const Changes& changes) {
  std::size_t rows = 0;
  for (const Write& write : changes.writes()) rows += write.sql == nullptr ? 1 : write.rows.size();
  return rows;
}

void Demand::note(const Changes& changes, bool others_wait) {
  bool bulk = rows_in(changes) > changes.writes().size();
  if (!bulk || others_wait) others_at_ = clock_.mono();
}

bool Demand::contended() const {
  MonoTime at = others_at_;
  return at != MonoTime::min() && clock_.mono() - at <= std::chrono::seconds(1);
}

}  // namespace holdfast::db
