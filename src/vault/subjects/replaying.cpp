// The afterlog's lines done again, in order: what was erased, merged and decided outlives a
// restore.
#include <algorithm>
#include <map>
#include <set>
#include <variant>

#include "vault/subjects/afterlog.h"
#include "vault/subjects/service.h"
#include "vault/subjects/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kAccount = "account";
constexpr std::size_t kChunk = 1000;

using Line = std::variant<ErasedLine, MergedLine, StandingLine>;

/// Lines of other kinds are other rooms'. Errors: corrupt.
Result<std::vector<Line>> read_lines(const std::vector<journal::AfterlogEntry>& entries) {
  std::vector<Line> out;
  auto take = [&](auto line) {
    if (line) out.emplace_back(std::move(*line));
    return line.has_value();
  };
  for (const auto& entry : entries) {
    bool good = entry.kind == kErased            ? take(read_erased_line(entry.id))
                : entry.kind == kMerged          ? take(read_merged_line(entry.id))
                : entry.kind == kStandingDecided ? take(read_standing_line(entry.id))
                                                 : true;
    if (!good) return Error(Code::corrupt, "a line of the afterlog cannot be read");
  }
  return out;
}

/// Rows and keep groups as they are before anything is done again.
struct Present {
  std::map<SubjectId, Subject> rows;
  std::set<std::pair<SubjectId, std::string>> groups;

  const Subject* find(SubjectId id) const {
    auto found = rows.find(id);
    return found == rows.end() ? nullptr : &found->second;
  }
  bool lacks(const ErasedLine& line) const {
    const auto* row = find(line.subject);
    if (!row || row->merged_into || row->version >= line.version) return false;
    bool whole = !row->erased && std::ranges::find(line.groups, kAccount) != line.groups.end();
    return whole || std::ranges::any_of(line.groups, [&](const std::string& group) {
             return groups.contains({line.subject, group});
           });
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

Task<Result<Present>> present(const Context& context, const std::vector<Line>& lines) {
  std::set<SubjectId> named;
  for (const auto& line : lines) {
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
    db::List list;
    for (auto id : some) list.cells.emplace_back(to_bytes(id.bytes()));
    auto rows = co_await context.store.subjects(std::move(some), MonoTime::max());
    if (!rows) co_return std::move(rows).error();
    out.rows.merge(std::move(*rows));
    auto groups = co_await context.journal.reader().read(kGroupsOfMany, {std::move(list)});
    if (!groups) co_return std::move(groups).error();
    for (std::size_t i = 0; i < groups->size(); ++i)
      if (auto id = SubjectId::from((*groups)[i].bytes(0)))
        out.groups.emplace(*id, (*groups)[i].text(1));
  }
  co_return out;
}

}  // namespace

/// One replay on its way.
class Replay {
 public:
  Replay(Subjects& subjects, bool older)
      : subjects_(subjects), context_(subjects.context_), older_(older) {}

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
  Task<Result<void>> erase(SubjectId id, ErasedLine line);
  Task<Result<void>> decide(SubjectId id, StandingLine line);
  /// Whether a hold forbids what was never done; one that cannot be read forbids it.
  Task<Result<bool>> forbidden(SubjectId id);

  Subjects& subjects_;
  const Context& context_;
  const bool older_;
  std::map<SubjectId, SubjectId> apart_;
  /// Merged again: their versions say nothing of the lines that follow, whose order does.
  std::set<SubjectId> joined_;
};

Task<Result<bool>> Replay::forbidden(SubjectId id) {
  if (older_) co_return false;
  auto held = co_await subjects_.deps_.holds.held(id, MonoTime::max());
  if (!held && held.error().code != Code::corrupt) co_return std::move(held).error();
  const bool out = !held || *held;
  count.held += out;
  co_return out;
}

Task<Result<void>> Replay::erase(SubjectId id, ErasedLine line) {
  const auto& groups = line.groups;
  auto row = co_await context_.store.subject(id, MonoTime::max());
  if (!row) co_return std::move(row).error();
  if (!*row || (*row)->merged_into) co_return Result<void>();
  const bool later = joined_.contains(id) || id != line.subject || (*row)->version < line.version;
  if (!later) co_return Result<void>();
  auto names = co_await subjects_.names_of(id, MonoTime::max());
  if (!names) co_return std::move(names).error();
  db::List list;
  for (auto name : *names) list.cells.emplace_back(to_bytes(name.bytes()));
  auto held = co_await context_.journal.reader().read(kGroupsOf, {std::move(list)});
  if (!held) co_return std::move(held).error();
  std::vector<std::string> again;
  for (std::size_t i = 0; i < held->size(); ++i)
    if (std::ranges::find(groups, (*held)[i].text(0)) != groups.end())
      again.emplace_back((*held)[i].text(0));
  bool whole = !(*row)->erased && std::ranges::find(groups, kAccount) != groups.end();
  if (again.empty() && !whole) co_return Result<void>();
  if (whole && std::ranges::find(again, kAccount) == again.end()) again.emplace_back(kAccount);
  auto held_now = co_await forbidden(id);
  if (!held_now) co_return std::move(held_now).error();
  if (*held_now) co_return Result<void>();
  auto erased = co_await subjects_.destroy(Caller{}, std::move(**row), std::move(again), {},
                                           kEraseAgain, "", line.version);
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
  bool later = joined_.contains(id) || id != line.subject || (*row)->version < line.version;
  if (!later && (*row)->version > line.version) co_return Result<void>();
  // With the same version one of two was never committed, and nobody knows which.
  auto next = later ? line.standing : strictest(*standing, line.standing);
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
  auto held_now = co_await forbidden(line.from);
  if (!held_now) co_return std::move(held_now).error();
  if (*held_now) co_return Result<void>();
  apart_[line.from] = line.into;
  if (!*into || (*into)->erased) co_return Result<void>();
  auto joined =
      co_await subjects_.join(Caller{}, std::move(**into), std::move(**from), kMergeAgain, "");
  if (joined) {
    apart_.erase(line.from);
    joined_.insert(joined->subject);
    ++count.merged;
    co_return Result<void>();
  }
  // What cannot be joined any more stays apart, and what follows is done to both.
  auto code = joined.error().code;
  if (code == Code::corrupt || code == Code::conflict || code == Code::too_large)
    co_return Result<void>();
  co_return std::move(joined).error();
}

Task<Result<Replayed>> Subjects::replay(std::vector<journal::AfterlogEntry> entries, bool older) {
  auto lines = read_lines(entries);
  if (!lines) co_return std::move(lines).error();
  auto before = co_await present(context_, *lines);
  if (!before) co_return std::move(before).error();
  bool lacks = std::ranges::any_of(*lines, [&](const Line& line) {
    return std::visit([&](const auto& one) { return before->lacks(one); }, line);
  });
  Replay replay(*this, older);
  if (!lacks) co_return replay.count;
  for (const auto& line : *lines) {
    Result<void> done;
    if (const auto* erased = std::get_if<ErasedLine>(&line)) done = co_await replay.again(*erased);
    if (const auto* merged = std::get_if<MergedLine>(&line)) done = co_await replay.again(*merged);
    if (const auto* decided = std::get_if<StandingLine>(&line))
      done = co_await replay.again(*decided);
    if (!done) co_return std::move(done).error();
  }
  co_return replay.count;
}

}  // namespace holdfast::vault
