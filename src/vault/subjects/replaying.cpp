// The afterlog's lines done again, in order: what was erased, merged and decided outlives a
// restore.
#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <variant>

#include "journal/noted.h"
#include "vault/statements.h"
#include "vault/subjects/afterlog.h"
#include "vault/subjects/service.h"
#include "vault/subjects/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kAccount = "account", kLegal = "legal";
constexpr std::size_t kChunk = 1000;

using Line = std::variant<ErasedLine, MergedLine, StandingLine>;

/// A line and how it stands in the afterlog.
struct Noted {
  Line line;
  const journal::AfterlogEntry* entry;
};

/// Lines of other kinds are other rooms'. `entries` outlives what comes back. Errors: corrupt.
Result<std::vector<Noted>> read_lines(const std::vector<journal::AfterlogEntry>& entries) {
  std::vector<Noted> out;
  for (const auto& entry : entries) {
    auto take = [&](auto line) {
      if (line) out.push_back({std::move(*line), &entry});
      return line.has_value();
    };
    bool good = entry.kind == kErased            ? take(read_erased_line(entry.id))
                : entry.kind == kErasedBefore0_1 ? take(read_erased_before_0_1(entry.id))
                : entry.kind == kMerged          ? take(read_merged_line(entry.id))
                : entry.kind == kStandingDecided ? take(read_standing_line(entry.id))
                                                 : true;
    if (!good) return Error(Code::corrupt, "a line of the afterlog cannot be read");
  }
  return out;
}

bool whole(const ErasedLine& line) {
  return std::ranges::find(line.groups, kAccount) != line.groups.end();
}

/// Rows as they are before anything is done again.
struct Present {
  std::map<SubjectId, Subject> rows;

  const Subject* find(SubjectId id) const {
    auto found = rows.find(id);
    return found == rows.end() ? nullptr : &found->second;
  }
  bool behind(SubjectId id, std::int64_t version) const {
    const auto* row = find(id);
    return row && row->version >= version;
  }
  bool lacks(const ErasedLine& line) const {
    const auto* row = find(line.subject);
    if (!row || row->merged_into) return false;
    return row->version < line.version || (whole(line) && !row->erased);
  }
  bool lacks(const MergedLine& line) const {
    const auto* row = find(line.from);
    return row && !row->erased && !row->merged_into;
  }
  bool lacks(const StandingLine& line) const {
    const auto* row = find(line.subject);
    if (!row || row->erased || row->merged_into || row->version > line.version) return false;
    return row->version < line.version || row->standing != encode_standing(line.standing);
  }
};

Task<Result<Present>> present(const Context& context, const std::vector<Noted>& lines) {
  std::set<SubjectId> named;
  for (const auto& [line, entry] : lines) {
    if (const auto* merged = std::get_if<MergedLine>(&line)) named.insert(merged->from);
    if (const auto* erased = std::get_if<ErasedLine>(&line)) named.insert(erased->subject);
    if (const auto* decided = std::get_if<StandingLine>(&line)) named.insert(decided->subject);
  }
  std::vector<SubjectId> all(named.begin(), named.end());
  Present out;
  for (std::size_t at = 0; at < all.size(); at += kChunk) {
    std::vector<SubjectId> some(
        all.begin() + static_cast<std::ptrdiff_t>(at),
        all.begin() + static_cast<std::ptrdiff_t>(std::min(at + kChunk, all.size())));
    auto rows = co_await context.store.subjects(std::move(some), MonoTime::max());
    if (!rows) co_return std::move(rows).error();
    out.rows.merge(std::move(*rows));
  }
  co_return out;
}

using GroupsOf = std::map<SubjectId, std::set<std::string>>;

/// Customers who are not in the data, since they came after it was made, and of whom the lines say
/// that they were erased as a whole, also as part of another: with the groups that went. Of who
/// lost only some groups nobody can say whether they have been filled again.
GroupsOf absent_and_erased(const std::vector<Noted>& lines, const Present& present) {
  GroupsOf gone;
  for (const auto& [line, entry] : lines)
    if (const auto* erased = std::get_if<ErasedLine>(&line); erased && whole(*erased))
      gone.try_emplace(erased->subject);
  for (const auto& [line, entry] : lines)
    if (const auto* erased = std::get_if<ErasedLine>(&line))
      if (auto found = gone.find(erased->subject); found != gone.end())
        found->second.insert(erased->groups.begin(), erased->groups.end());
  // From the last merge back: who was merged into a guest went along with the guest.
  for (const auto& [line, entry] : std::views::reverse(lines))
    if (const auto* merged = std::get_if<MergedLine>(&line))
      if (auto into = gone.find(merged->into); into != gone.end()) {
        const auto groups = into->second;
        gone[merged->from].insert(groups.begin(), groups.end());
      }
  std::erase_if(gone, [&](const auto& one) { return present.find(one.first) != nullptr; });
  return gone;
}

/// Their keys, which a newer keys file brought along. Gives of how many there were any.
Task<Result<std::int64_t>> drop_keys(const Context& context, const GroupsOf& gone) {
  std::int64_t count = 0;
  for (auto at = gone.begin(); at != gone.end();) {
    std::vector<SubjectId> some;
    for (; at != gone.end() && some.size() < kChunk; ++at) some.push_back(at->first);
    auto keys = co_await context.store.keys(std::move(some), MonoTime::max());
    if (!keys) co_return std::move(keys).error();
    db::Changes changes;
    std::int64_t customers = 0;
    for (const auto& [id, own] : *keys) {
      auto found = gone.find(id);
      if (found == gone.end()) continue;
      bool any = false;
      for (const auto& group : found->second) {
        if (!own.has(group)) continue;
        changes.write(kDropKeys, {to_bytes(id.bytes()), group});
        any = true;
      }
      customers += any;
    }
    if (customers == 0) continue;
    auto done = co_await context.journal.commit(
        Caller{}, std::move(changes),
        {.activity = kEraseAgain, .facts = {{"customers_not_in_the_data", customers}}});
    if (!done) co_return std::move(done).error();
    count += customers;
  }
  co_return count;
}

}  // namespace

/// One replay on its way. Into an older database every line is done again, for each was done once.
/// In the one that was in use only what a crash or a lost answer cut off is missing: it is done, or
/// its line is taken back, so that it is not done later to what came since.
class Replay {
 public:
  Replay(Subjects& subjects, const Present& before, bool older)
      : subjects_(subjects), context_(subjects.context_), before_(before), older_(older) {}

  Task<Result<void>> again(ErasedLine line) {
    for (auto id : stands_for(line.subject))
      if (auto done = co_await erase(id, line); !done) co_return done;
    co_return Result<void>();
  }
  Task<Result<void>> again(StandingLine line) {
    for (auto id : stands_for(line.subject))
      if (auto done = co_await decide(id, line); !done) co_return done;
    co_return Result<void>();
  }
  Task<Result<void>> again(MergedLine line);
  Task<Result<void>> again(const Noted& noted) {
    at_ = noted.entry;
    return std::visit([this](const auto& line) { return again(line); }, noted.line);
  }
  Replayed count{};

 private:
  /// The customer, and those who should be part of them but cannot be merged any more.
  std::vector<SubjectId> stands_for(SubjectId id) const {
    std::vector<SubjectId> out{id};
    for (std::size_t i = 0; i < out.size(); ++i)
      for (const auto& [from, into] : apart_)
        if (into == out[i] && std::ranges::find(out, from) == out.end()) out.push_back(from);
    return out;
  }
  /// Whether the row that the line names has it behind it.
  bool behind(SubjectId id, SubjectId named, std::int64_t version) const {
    return id == named && !joined_.contains(id) && before_.behind(id, version);
  }
  Task<Result<void>> erase(SubjectId id, ErasedLine line);
  Task<Result<void>> decide(SubjectId id, StandingLine line);
  /// Whether a hold, or a duty where the `legal` group is to go, forbids what was never done; a
  /// hold that cannot be read forbids it.
  Task<Result<bool>> forbidden(SubjectId id, bool legal);
  Task<Result<void>> take_back() {
    return journal::take_back(context_.journal, {at_->kind, at_->id});
  }

  Subjects& subjects_;
  const Context& context_;
  const Present& before_;
  const bool older_;
  const journal::AfterlogEntry* at_ = nullptr;  // the line that is being done
  // Of older databases alone.
  std::map<SubjectId, SubjectId> apart_;
  /// Merged again: their versions say nothing of the lines that follow, whose order does.
  std::set<SubjectId> joined_;
};

Task<Result<bool>> Replay::forbidden(SubjectId id, bool legal) {
  if (older_) co_return false;
  auto held = co_await subjects_.deps_.holds.held(id, MonoTime::max());
  if (!held && held.error().code != Code::corrupt) co_return std::move(held).error();
  bool out = !held || *held;
  if (!out && legal) {
    auto work = co_await begin(context_, Caller{});
    if (!work) co_return std::move(work).error();
    auto records = co_await context_.store.records_of(id, MonoTime::max());
    if (!records) co_return std::move(records).error();
    auto duty = co_await subjects_.held_by_duty(*work, id, *records, MonoTime::max());
    if (!duty) co_return std::move(duty).error();
    out = !duty->held.empty();
  }
  count.held += out;
  co_return out;
}

Task<Result<void>> Replay::erase(SubjectId id, ErasedLine line) {
  auto row = co_await context_.store.subject(id, MonoTime::max());
  if (!row) co_return std::move(row).error();
  if (!*row || (*row)->merged_into) co_return Result<void>();
  const bool all = whole(line) && !(*row)->erased;
  const bool done_before = behind(id, line.subject, line.version);
  if (done_before && !all) co_return Result<void>();
  // Somebody who is there was never erased; what took the version was another deed.
  if (done_before && !older_) co_return co_await take_back();
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  // A row that Holdfast did not write gets no MAC here, unless nothing of it stays.
  if (!all && !standing_of(*keys, **row)) co_return Result<void>();
  auto held_now =
      co_await forbidden(id, std::ranges::find(line.groups, kLegal) != line.groups.end());
  if (!held_now) co_return std::move(held_now).error();
  if (*held_now) co_return co_await take_back();
  auto erased = co_await subjects_.destroy(Caller{}, std::move(**row), line.groups, {}, kEraseAgain,
                                           "", line.version);
  if (!erased) co_return std::move(erased).error();
  ++count.erased;
  co_return Result<void>();
}

Task<Result<void>> Replay::decide(SubjectId id, StandingLine line) {
  auto row = co_await context_.store.subject(id, MonoTime::max());
  if (!row) co_return std::move(row).error();
  if (!*row || (*row)->erased || (*row)->merged_into) co_return Result<void>();
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto standing = standing_of(*keys, **row);
  if (!standing) co_return Result<void>();  // such a row opens nothing; the state check names it
  if (behind(id, line.subject, line.version + 1)) co_return Result<void>();
  // With the same version one of two was never committed, and nobody knows which.
  const bool tied = behind(id, line.subject, line.version);
  auto next = tied ? strictest(*standing, line.standing) : line.standing;
  if (next == *standing && (*row)->version >= line.version) co_return Result<void>();
  auto put = co_await subjects_.put_standing(Caller{}, **row, next,
                                             {.activity = kDecideAgain,
                                              .decision = "decided_again",
                                              .purpose = {},
                                              .note = {},
                                              .at_least = line.version});
  if (!put) co_return std::move(put).error();
  ++count.decided;
  co_return Result<void>();
}

Task<Result<void>> Replay::again(MergedLine line) {
  auto from = co_await context_.store.subject(line.from, MonoTime::max());
  if (!from) co_return std::move(from).error();
  if (!*from || (*from)->erased || (*from)->merged_into) co_return Result<void>();
  auto into = co_await context_.store.subject(line.into, MonoTime::max());
  if (into && *into && (*into)->merged_into)
    into = co_await context_.store.subject(*(*into)->merged_into, MonoTime::max());
  if (!into) co_return std::move(into).error();
  const bool gone = !*into || (*into)->erased;
  auto held_now = co_await forbidden(line.from, false);
  if (!held_now) co_return std::move(held_now).error();
  if (!older_ && (*held_now || gone)) co_return co_await take_back();
  if (older_) apart_[line.from] = line.into;
  if (gone) co_return Result<void>();
  auto joined =
      co_await subjects_.join(Caller{}, std::move(**into), std::move(**from), kMergeAgain, "");
  if (joined) {
    if (older_) joined_.insert(joined->subject);
    apart_.erase(line.from);
    ++count.merged;
    co_return Result<void>();
  }
  auto code = joined.error().code;
  if (code != Code::corrupt && code != Code::conflict && code != Code::too_large)
    co_return std::move(joined).error();
  // What cannot be joined any more stays apart, and what follows is done to both.
  if (older_) co_return Result<void>();
  co_return co_await take_back();
}

Task<Result<Replayed>> Subjects::replay(std::vector<journal::AfterlogEntry> entries, bool older) {
  if (older) {
    auto noted = co_await context_.journal.afterlog(kOlderDatabase, {});
    if (!noted) co_return std::move(noted).error();
  }
  const auto began =
      std::ranges::count(entries, kOlderDatabase, &journal::AfterlogEntry::kind) + older;
  least_noted_version_ = began << kVersionBitsOfOneDatabase;
  if (!older) {
    auto last = std::ranges::find(entries.rbegin(), entries.rend(), kOlderDatabase,
                                  &journal::AfterlogEntry::kind);
    entries.erase(entries.begin(), last.base());
  }
  auto lines = read_lines(entries);
  if (!lines) co_return std::move(lines).error();
  auto before = co_await present(context_, *lines);
  if (!before) co_return std::move(before).error();
  auto lacks = [&](const Noted& noted) {
    return std::visit([&](const auto& one) { return before->lacks(one); }, noted.line);
  };
  Replay replay(*this, *before, older);
  if (older) {
    auto dropped = co_await drop_keys(context_, absent_and_erased(*lines, *before));
    if (!dropped) co_return std::move(dropped).error();
    replay.count.erased += *dropped;
  }
  if (std::ranges::none_of(*lines, lacks)) co_return replay.count;
  for (const auto& noted : *lines) {
    if (!older && !lacks(noted)) continue;
    if (auto done = co_await replay.again(noted); !done) co_return std::move(done).error();
  }
  co_return replay.count;
}

}  // namespace holdfast::vault
