#include "journal/noted.h"

#include <algorithm>

#include "base/bytes.h"

namespace holdfast::journal {

Task<Result<Written>> commit_noted(Journal& journal, std::optional<Line> line, Caller caller,
                                   db::Changes changes, Event event) {
  if (line) {
    auto noted = co_await journal.afterlog(line->kind, line->id);
    if (!noted) co_return std::move(noted).error();
  }
  auto done = co_await journal.commit(caller, std::move(changes), std::move(event));
  if (!line || done || done.error().code == Code::unavailable ||
      done.error().code == Code::internal)
    co_return done;
  if (auto taken = co_await take_back(journal, std::move(*line)); !taken)
    co_return std::move(taken).error();
  co_return done;
}

Task<Result<void>> take_back(Journal& journal, Line line) {
  Bytes id;
  put_part(id, line.kind);
  put_part(id, line.id);
  co_return co_await journal.afterlog(kTakenBack, std::move(id));
}

std::vector<AfterlogEntry> without_taken_back(std::vector<AfterlogEntry> entries) {
  std::vector<AfterlogEntry> out;
  for (auto& entry : entries) {
    if (entry.kind != kTakenBack) {
      out.push_back(std::move(entry));
      continue;
    }
    ByteReader reader(entry.id);
    const auto kind = reader.part();
    const auto id = reader.part();
    if (!kind || !id) continue;  // of nobody: the lines carry a MAC
    const auto last = std::ranges::find_if(out.rbegin(), out.rend(), [&](const AfterlogEntry& one) {
      return one.kind == as_text(*kind) && std::ranges::equal(one.id, *id);
    });
    if (last != out.rend()) out.erase(std::next(last).base());
  }
  return out;
}

}  // namespace holdfast::journal
