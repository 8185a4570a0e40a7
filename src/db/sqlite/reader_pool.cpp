#include "db/sqlite/reader_pool.h"

#include <utility>

namespace holdfast::db::sqlite {

class ReaderPool::Lease {
 public:
  Lease(ReaderPool& pool, Slot& slot) : pool_(pool), slot_(slot) {}
  ~Lease() {
    std::lock_guard lock(pool_.mutex_);
    slot_.busy = false;
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Connection& connection() { return *slot_.connection; }

 private:
  ReaderPool& pool_;
  Slot& slot_;
};

Result<std::unique_ptr<ReaderPool>> ReaderPool::open(Connection::Options options, std::size_t count,
                                                     const Clock& clock, const BugSink& bugs) {
  std::unique_ptr<ReaderPool> pool(new ReaderPool(std::move(options), clock, bugs));
  for (std::size_t i = 0; i < count; ++i) {
    auto connection = Connection::open(pool->options_, clock, bugs);
    if (!connection) return std::move(connection).error();
    pool->slots_.push_back(std::make_unique<Slot>(Slot{std::move(*connection), {}}));
  }
  return pool;
}

Result<ReaderPool::Slot*> ReaderPool::take() {
  auto self = std::this_thread::get_id();
  {
    std::lock_guard lock(mutex_);
    Slot* found = nullptr;
    for (auto& slot : slots_) {
      if (slot->busy) continue;
      if (found == nullptr || slot->owner == std::thread::id()) found = slot.get();
      if (slot->owner == self) {
        found = slot.get();
        break;
      }
    }
    if (found != nullptr) {
      found->busy = true;
      found->owner = self;
      return found;
    }
  }
  auto connection = Connection::open(options_, clock_, bugs_);
  if (!connection) return std::move(connection).error();
  auto slot = std::make_unique<Slot>(Slot{std::move(*connection), self, true});
  std::lock_guard lock(mutex_);
  return slots_.emplace_back(std::move(slot)).get();
}

Result<Rows> ReaderPool::read(const Sql& sql, const Args& args, MonoTime deadline) {
  auto slot = take();
  if (!slot) return std::move(slot).error();
  Lease lease(*this, **slot);
  auto ran = lease.connection().run(sql, args, deadline);
  if (ran) return std::move(ran->rows);
  switch (ran.error()) {
    case Fault::refused:
      return lease.connection().refusal();
    case Fault::read_only:
      bugs_(sql.name, "a read tried to write");
      return error_of(Fault::bug);
    default:
      return error_of(ran.error());
  }
}

Result<void> ReaderPool::with(const std::function<Result<void>(Connection&)>& work) {
  auto slot = take();
  if (!slot) return std::move(slot).error();
  Lease lease(*this, **slot);
  return work(lease.connection());
}

}  // namespace holdfast::db::sqlite
