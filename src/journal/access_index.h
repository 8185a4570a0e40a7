// Who saw whom: which events touched a subject, and which subjects an actor saw. Derived from the
// entries into scratch, and made again when scratch is lost or is of another log.
//
// What it answers is complete: a query first follows the log to its end. The entries that it gives
// back were checked against the tree. That no row was taken out of scratch it cannot know; removing
// scratch makes the index anew from the entries, each checked against the tree, and from the leaves
// of batches, checked against the root in their entry.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "journal/access_rows.h"
#include "journal/access_runs.h"
#include "journal/entry.h"
#include "journal/log.h"

namespace holdfast::journal {

struct AccessOptions {
  std::size_t run_rows = 100'000;  // rows in memory before they become a run
  Millis run_age{10'000};          // or how long they may stay there
  std::size_t chunk_rows = 1'000;
  std::size_t fan_in = 8;    // runs of a tier that become one of the next
  std::int64_t batch = 500;  // entries followed at a time
};

/// One event that touched a subject.
struct Access {
  Stored stored;
  Entry entry;
  /// Its touches of this subject. For a batch, what its leaves say, and where they stand.
  struct Row {
    std::string kind;
    Bytes row;
    std::optional<std::uint64_t> leaf;
  };
  std::vector<Row> rows;
};

struct AccessPage {
  std::vector<Access> accesses;            // newest first
  std::optional<std::int64_t> before_seq;  // of the next page
};

/// One subject that an actor saw; `seen` holds entries' numbers and how many events it was.
struct SeenSubject {
  SubjectId subject;
  Seen seen;
};

struct ScopePage {
  std::vector<SeenSubject> subjects;  // by id
  std::optional<SubjectId> after;     // for the next page
  std::optional<std::int64_t> total;  // on the first page only: counting reads them all
};

class AccessIndex {
 public:
  /// Errors: unavailable (scratch or database).
  static Task<Result<std::unique_ptr<AccessIndex>>> open(Log& log, const Clock& clock,
                                                         AccessOptions options = {});
  ~AccessIndex();

  /// Takes in every entry that was committed before the call. Threads: any; one follows and the
  /// others wait for it. Cost: about 2 µs an entry, and two hashes a leaf. Errors: corrupt (an
  /// entry is not the one in the tree, or a leaf not one of its entry).
  Task<Result<void>> catch_up();
  /// Catches up, writes what is old enough, merges runs. The app calls it each second.
  Task<Result<void>> tend();

  /// Events with a touch of the subject and a number below `before_seq`, newest first, at most
  /// `limit` (1,000). `opened` leaves out those that opened nothing: then it says who saw.
  /// Cost: one point read per run, then about 50 µs an entry. Errors: corrupt, unavailable.
  Task<Result<AccessPage>> accesses(SubjectId subject, std::int64_t before_seq, std::size_t limit,
                                    bool opened = true);
  /// Subjects of which the actor (`key_...`, `per_...`) opened something, behind `after`.
  /// Cost: about 0.1 µs for each of the actor's rows that it passes.
  Task<Result<ScopePage>> scope(std::string actor, std::optional<SubjectId> after,
                                std::size_t limit);

  /// The next entry to follow.
  std::int64_t position() const;

 private:
  /// Rows on their way into a run.
  struct Frozen {
    AccessRows rows;
    std::int64_t to;
    Bytes last;
  };

  AccessIndex(Log& log, const Clock& clock, AccessOptions options);

  Task<Result<void>> load();
  Task<Result<void>> follow();
  Task<Result<void>> take_batch(std::int64_t from);
  Task<Result<void>> flush(bool all);
  Task<Result<void>> write(std::shared_ptr<const Frozen> frozen);
  Task<Result<void>> merge();
  Task<Result<void>> settled(Result<RunState> next);
  Task<Result<std::vector<SubjectRow>>> rows_of(SubjectId subject, std::int64_t before,
                                                std::size_t limit, bool opened);
  Task<Result<void>> rows_in(Run run, SubjectId subject, std::int64_t before, std::size_t limit,
                             bool opened, std::vector<SubjectRow>& out);
  Task<Result<ScopePage>> scope_once(ActorName actor, std::optional<SubjectId> after,
                                     std::size_t limit);
  Task<Result<bool>> unchanged(std::int64_t merges);
  Task<Result<Access>> access_from(Stored stored, SubjectId subject);

  Log& log_;
  const Clock& clock_;
  AccessOptions options_;
  RunStore store_;
  boost::asio::thread_pool pool_{1};  // parsing and sorting

  mutable std::mutex mutex_;  // guards the rest
  RunState state_;
  std::int64_t cursor_ = 0;
  Bytes last_;
  AccessRows tail_;
  MonoTime tail_since_{};
  std::shared_ptr<const Frozen> frozen_;
  bool following_ = false, writing_ = false, merging_ = false;
};

}  // namespace holdfast::journal
