#include "journal/state_check.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/id.h"
#include "journal/access_rows.h"
#include "journal/slices.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kNamed = 100;

/// Kinds of rows whose key is the bytes of a TypeID, and its prefix.
constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
    {"records", "rec"},   {"subjects", "sub"},    {"subject_keys", "sub"}, {"canaries", "sub"},
    {"tokens", "tok"},    {"engagements", "eng"}, {"decisions", "dec"},    {"requests", "dsr"},
    {"rotations", "rot"}, {"holds", "hold"}};

/// SHA-256 of kind and row, and digests, cut to 128 bits.
using Short = std::array<std::uint8_t, 16>;
struct ShortHash {
  std::size_t operator()(const Short& key) const {
    std::size_t out;
    std::memcpy(&out, key.data(), sizeof out);
    return out;
  }
};

Short cut(const crypto::Digest& digest) {
  Short out;
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

Short key_of(std::string_view kind, BytesView row) {
  Bytes input;
  put_part(input, kind);
  put_part(input, row);
  return cut(crypto::sha256(input));
}

Error damaged() {
  return {Code::corrupt,
          "an entry of the journal is damaged; `holdfast journal verify` says which"};
}

/// Of an event that only restates rows (journal::kRestate): how long the log was when it read them;
/// what events touched since then was not meant. -1 for all other events.
std::int64_t restated_as_of(std::string_view entry) {
  static const auto operation = "\"operation\":\"" + std::string(kRestate) + '"';
  static constexpr std::string_view kAsOf = "\"as_of\":";
  if (!entry.contains(operation)) return -1;
  auto at = entry.find(kAsOf);
  std::int64_t out = -1;
  if (at != entry.npos)
    std::from_chars(entry.data() + at + kAsOf.size(), entry.data() + entry.size(), out);
  return out;
}

enum class Seen : std::uint8_t { not_yet, same, differs };

struct Known {
  Short left{};
  std::int64_t seq = -1;
  bool there = false;  // the event left a row; else it removed it
  bool moving = false;
  bool broken = false;  // a rotation found another row than the event before had left
  Seen seen = Seen::not_yet;
};

class StateCheck {
 public:
  StateCheck(Log& log, Progress progress) : log_(log), progress_(std::move(progress)) {}

  Task<Result<StateReport>> run(std::vector<StateSource*> sources) {
    if (auto done = co_await take_events(); !done) co_return std::move(done).error();
    settled_ = true;
    for (auto* source : sources) {
      auto done =
          co_await source->rows([this](std::string_view kind, BytesView row,
                                       const crypto::Digest& now) { meet(kind, row, now); });
      if (!done) co_return std::move(done).error();
      done = co_await source->closed([this](std::string_view kind, BytesView row) {
        if (report_.closed_total++ < static_cast<std::int64_t>(kNamed))
          report_.closed.push_back({std::string(kind), to_bytes(row)});
      });
      if (!done) co_return std::move(done).error();
    }
    // What events touched since the first pass may or may not have been read before them.
    if (auto done = co_await take_events(); !done) co_return std::move(done).error();
    if (auto done = co_await tally(); !done) co_return std::move(done).error();
    co_return std::move(report_);
  }

 private:
  /// Every touch of entries that were not looked at yet.
  Task<Result<void>> take_events() {
    if (auto done = co_await log_.sequence(); !done) co_return std::move(done).error();
    const auto size = log_.size();
    Slices slices;
    while (next_ < size) {
      auto stored = co_await log_.read(next_, std::min<std::int64_t>(256, size - next_));
      if (!stored) co_return std::move(stored).error();
      if (stored->empty() || stored->front().seq != next_) co_return damaged();
      for (const auto& one : *stored) {
        const auto as_of = restated_as_of(one.entry);
        if (auto done =
                co_await each_touch(one, [&](const Touch& touch) { take(touch, one.seq, as_of); });
            !done)
          co_return std::move(done).error();
        if (slices.due()) co_await slices.pause();
      }
      next_ = stored->back().seq + 1;
      if (progress_ && !settled_) progress_(next_, size);
      co_await slices.pause();
    }
    co_return Result<void>();
  }

  template <class Do>
  Task<Result<void>> each_touch(const Stored& stored, Do action) {
    if (wants_leaves(stored.entry)) {
      auto leaves = co_await log_.leaves(stored.id);
      if (!leaves) co_return std::move(leaves).error();
      for (const auto& leaf : *leaves) {
        auto touch = decode_leaf(leaf);
        if (!touch) co_return damaged();
        if (touch->left) action(*touch);
      }
    } else if (stored.entry.contains(R"("left":")")) {
      auto entry = decode_entry(stored.entry);
      if (!entry) co_return damaged();
      for (auto& touch : entry->touches) {
        touch.kind = entry->kind_text;
        if (touch.left) action(touch);
      }
    }
    co_return Result<void>();
  }

  void take(const Touch& touch, std::int64_t seq, std::int64_t as_of) {
    auto key = key_of(touch.kind, touch.row);
    auto& known = known_[key];
    if (settled_) {
      known.moving = true;
      return;
    }
    if (as_of >= 0 && known.seq >= as_of) return;
    if (touch.was) {
      bool as_left = known.there && (known.left == cut(*touch.was) ||
                                     (as_of >= 0 && known.left == cut(*touch.left)));
      known.broken |= !as_left;
    } else {
      known.broken = false;
    }
    known.left = cut(*touch.left);
    known.there = *touch.left != crypto::Digest{};
    known.seq = seq;
  }

  void meet(std::string_view kind, BytesView row, const crypto::Digest& now) {
    auto key = key_of(kind, row);
    auto known = known_.find(key);
    const bool again = known != known_.end() && known->second.seen != Seen::not_yet;
    if (!again) ++report_.rows;
    if (known == known_.end() || !known->second.there) {
      if (again) return;
      auto seq = known == known_.end() ? -1 : known->second.seq;
      known_[key].seen = Seen::differs;
      if (strangers_.size() < 10 * kNamed)
        strangers_.emplace_back(key, StateRow{std::string(kind), to_bytes(row), seq});
      return;
    }
    bool same = known->second.left == cut(now) && !known->second.broken;
    if (known->second.seen != Seen::same) known->second.seen = same ? Seen::same : Seen::differs;
  }

  Task<Result<void>> tally() {
    std::vector<std::pair<std::int64_t, std::pair<Short, bool>>> named;  // seq, key, changed
    for (const auto& [key, known] : known_) {
      if (known.moving) {
        if (known.seen != Seen::same) ++report_.moving;
      } else if (!known.there) {
        if (known.seen != Seen::not_yet) ++report_.unrecorded_total;
      } else if (known.seen != Seen::same) {
        bool changed = known.seen == Seen::differs;
        auto& total = changed ? report_.changed_total : report_.missing_total;
        if (total++ < static_cast<std::int64_t>(kNamed))
          named.emplace_back(known.seq, std::pair(key, changed));
      }
    }
    for (auto& [key, row] : strangers_)
      if (!known_[key].moving && report_.unrecorded.size() < kNamed)
        report_.unrecorded.push_back(std::move(row));
    std::ranges::sort(named);
    for (const auto& [seq, what] : named)
      if (auto done = co_await name(seq, what.first, what.second); !done)
        co_return std::move(done).error();
    co_return Result<void>();
  }

  /// Only hashes were kept: the event says which row it was.
  Task<Result<void>> name(std::int64_t seq, Short key, bool changed) {
    auto stored = co_await log_.read(seq, 1);
    if (!stored) co_return std::move(stored).error();
    if (stored->empty()) co_return damaged();
    auto& rows = changed ? report_.changed : report_.missing;
    bool done = false;
    co_return co_await each_touch(stored->front(), [&](const Touch& touch) {
      if (done || key_of(touch.kind, touch.row) != key) return;
      rows.push_back({std::string(touch.kind), touch.row, seq});
      done = true;
    });
  }

  Log& log_;
  Progress progress_;
  std::unordered_map<Short, Known, ShortHash> known_;
  std::vector<std::pair<Short, StateRow>> strangers_;
  std::int64_t next_ = 0;
  bool settled_ = false;  // the first pass is over
  StateReport report_;
};

}  // namespace

std::string name_of(const StateRow& row) {
  const auto* known =
      std::ranges::find(kPrefixes, row.kind, [](const auto& one) { return one.first; });
  Uuid uuid{};
  if (known != std::end(kPrefixes) && row.row.size() == uuid.size()) {
    std::ranges::copy(row.row, uuid.begin());
    return std::string(known->second) + '_' + base32(uuid);
  }
  const bool shown = std::ranges::all_of(row.row, [](auto c) { return c > ' ' && c < 0x7f; });
  return shown ? std::string(as_text(row.row)) : base64url(row.row);
}

Task<Result<StateReport>> check_state(Log& log, std::vector<StateSource*> sources,
                                      Progress progress) {
  StateCheck check(log, std::move(progress));
  co_return co_await check.run(std::move(sources));
}

}  // namespace holdfast::journal
