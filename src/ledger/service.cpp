#include "ledger/service.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "base/json.h"
#include "journal/scan.h"
#include "journal/slices.h"
#include "journal/verify.h"

namespace holdfast::ledger {
namespace {

constexpr std::int64_t kLookedAt = 20'000;
constexpr std::int64_t kRead = 250;
/// How far entries may be out of order in time.
constexpr Millis kDisorder = std::chrono::days(1);

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t out = 0;
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || bad != std::errc() || end != text.data() + text.size() || out < 0)
    return std::nullopt;
  return out;
}

std::optional<std::string> given(std::string text) {
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

/// Of one that is not as the tree has it, which may be anything.
JournalEntry damaged_row(const journal::Stored& stored) {
  JournalEntry out;
  out.seq = stored.seq;
  out.id = stored.id.text();
  out.outcome = "damaged";
  return out;
}

Result<JournalEntry> shown(const journal::Stored& stored, bool whole) {
  auto entry = journal::decode_entry(stored.entry);
  if (!entry) return std::move(entry).error();
  JournalEntry out;
  out.seq = stored.seq;
  out.id = std::move(entry->id);
  out.at = entry->at;
  out.operation = std::move(entry->operation);
  out.principal = std::move(entry->principal);
  out.actor = std::move(entry->actor);
  out.outcome = std::move(entry->outcome);
  out.reason = given(std::move(entry->reason));
  out.purpose = given(std::move(entry->purpose));
  out.collection = given(std::move(entry->collection));
  out.fields = std::move(entry->fields);
  out.opened = entry->opened;
  out.touched = entry->touched;
  out.kind = given(std::move(entry->kind_text));
  out.request_id = given(std::move(entry->request_id));
  if (!entry->touches.empty() && entry->touches[0].subject)
    out.subject = entry->touches[0].subject->text();
  if (whole) out.event = JsonText{stored.entry};
  return out;
}

bool wanted(const ListEntries& request, const journal::EntryView& entry) {
  if (request.operation && entry.operation != *request.operation) return false;
  if (request.actor && entry.actor != *request.actor && entry.principal != *request.actor)
    return false;
  if (request.outcome &&
      entry.outcome != enum_names(*request.outcome)[static_cast<std::size_t>(*request.outcome)])
    return false;
  if (request.since && entry.at_ms < to_ms(*request.since)) return false;
  return !request.until || entry.at_ms < to_ms(*request.until);
}

/// True when no older entry can be wanted.
bool past(const ListEntries& request, const journal::EntryView& entry) {
  return request.since && entry.at_ms < to_ms(*request.since - kDisorder);
}

Error damaged() {
  return {Code::corrupt,
          "an entry of the journal is damaged; `holdfast journal verify` says which"};
}

std::vector<FoundRow> shown(const std::vector<journal::StateRow>& rows) {
  std::vector<FoundRow> out;
  for (const auto& row : rows)
    out.push_back(
        {row.kind, journal::name_of(row), row.seq < 0 ? std::nullopt : std::optional(row.seq)});
  return out;
}

FoundState shown(const journal::StateReport& report) {
  return {
      report.rows,           report.moving,       report.changed_total,  report.unrecorded_total,
      report.missing_total,  report.closed_total, shown(report.changed), shown(report.unrecorded),
      shown(report.missing), shown(report.closed)};
}

Verification shown(const journal::VerifyReport& report) {
  Verification out;
  out.good = report.good();
  out.entries = report.entries;
  out.batches = report.batches;
  out.leaves = report.leaves;
  out.checkpoint_root = base64(report.head.root);
  out.verifier = report.verifier;
  out.root_matches = report.root_matches;
  out.witness_matches = report.witness_matches;
  out.faults_total = report.faults_total;
  for (const auto& finding : report.faults) out.faults.push_back({finding.fault, finding.seq});
  return out;
}

/// Of whom only the journal knows, so that a mistyped one cannot be told.
bool is_pseudonym(std::string_view actor) {
  return actor.starts_with("per_");
}
Error unknown_actor() {
  return Error(Code::not_found,
               "nothing was opened under this name, and no API key has it: `holdfast api-keys "
               "list` shows the keys (key_...), `holdfast journal pseudonym` gives a person's "
               "name in the journal (per_...)")
      .at("actor");
}

/// Clears a flag when the task ends, however it ends.
class Running {
 public:
  explicit Running(std::atomic<bool>& flag) : flag_(flag), first_(!flag.exchange(true)) {}
  ~Running() {
    if (first_) flag_ = false;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  bool first() const { return first_; }

 private:
  std::atomic<bool>& flag_;
  bool first_;
};

}  // namespace

Service::~Service() {
  pool_.join();
}

Task<Result<void>> Service::record(Caller caller, journal::Event event) {
  auto done = co_await deps_.log.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

Task<Result<journal::Stored>> Service::find(std::string entry) {
  auto stored = co_await look_up(std::move(entry));
  if (!stored) co_return std::move(stored).error().at("entry");
  if (auto whole = co_await deps_.log.check({&*stored, 1}); !whole)
    co_return std::move(whole).error();
  co_return stored;
}

Task<Result<journal::Stored>> Service::look_up(std::string entry) {
  if (auto id = EventId::parse(entry)) co_return co_await deps_.log.find(*id);
  auto seq = number(entry);
  if (!seq) co_return Error(Code::invalid, "neither an entry's number nor `evt_...`");
  if (auto done = co_await deps_.log.sequence(); !done) co_return std::move(done).error();
  auto stored = co_await deps_.log.read(*seq, 1);
  if (!stored) co_return std::move(stored).error();
  if (stored->empty() || stored->front().seq != *seq || *seq >= deps_.log.size())
    co_return Error(Code::not_found, "no such entry in the journal");
  co_return std::move(stored->front());
}

/// Below which number the listing starts: entries from there on are later than `until`.
Task<Result<std::int64_t>> Service::start_of(const ListEntries& request) {
  if (auto done = co_await deps_.log.sequence(); !done) co_return std::move(done).error();
  std::int64_t low = 0, high = deps_.log.size();
  if (request.after) {
    auto after = number(*request.after);
    if (!after) co_return Error(Code::invalid, "not the `next` of a page").at("after");
    co_return std::min(*after, high);
  }
  if (!request.until) co_return high;
  const auto until = to_ms(*request.until + kDisorder);
  while (low < high) {
    auto middle = low + (high - low) / 2;
    auto stored = co_await deps_.log.read(middle, 1);
    if (!stored) co_return std::move(stored).error();
    if (stored->empty()) co_return damaged();
    auto entry = journal::scan_entry(stored->front().entry);
    if (!entry) co_return damaged();
    (entry->at_ms < until ? low : high) = entry->at_ms < until ? middle + 1 : middle;
  }
  co_return low;
}

Task<Result<EntryList>> Service::list(ListEntries request) {
  auto start = co_await start_of(request);
  if (!start) co_return std::move(start).error();
  auto before = *start;
  if (request.subject) co_return co_await list_of_subject(std::move(request), before);
  const auto limit = request.limit.value_or(kPage);
  EntryList out;
  journal::Slices slices;
  for (std::int64_t looked = 0; before > 0 && looked < kLookedAt; looked += kRead) {
    auto stored = co_await deps_.log.read_before(before, kRead);
    if (!stored) co_return std::move(stored).error();
    if (stored->empty()) co_return damaged();
    const auto whole = co_await deps_.log.check(*stored);
    if (!whole && whole.error().code != Code::corrupt) co_return whole.error();
    for (const auto& one : *stored) {
      const auto good = whole ? Result<bool>(true) : co_await deps_.log.in_tree(one);
      if (!good) co_return good.error();
      Result<JournalEntry> row = damaged_row(one);
      if (*good) {
        auto entry = journal::scan_entry(one.entry);
        if (!entry) co_return damaged();
        if (past(request, *entry)) co_return out;
        if (!wanted(request, *entry)) {
          before = one.seq;
          continue;
        }
        row = shown(one, false);
        if (!row) co_return std::move(row).error();
      }
      if (std::ssize(out.entries) == limit) {
        out.next = std::to_string(before);
        co_return out;
      }
      out.entries.push_back(std::move(*row));
      before = one.seq;
    }
    co_await slices.pause();
  }
  if (before > 0) out.next = std::to_string(before);
  co_return out;
}

Task<Result<EntryList>> Service::list_of_subject(ListEntries request, std::int64_t before) {
  const auto limit = request.limit.value_or(kPage);
  EntryList out;
  for (std::int64_t looked = 0; looked < kLookedAt; looked += limit + 1) {
    auto page = co_await deps_.index.accesses(*request.subject, before,
                                              static_cast<std::size_t>(limit + 1), false);
    if (!page) co_return std::move(page).error();
    for (const auto& access : page->accesses) {
      auto entry = journal::scan_entry(access.stored.entry);
      if (!entry) co_return damaged();
      if (past(request, *entry)) co_return out;
      if (wanted(request, *entry)) {
        if (std::ssize(out.entries) == limit) {
          out.next = std::to_string(before);
          co_return out;
        }
        auto row = shown(access.stored, false);
        if (!row) co_return std::move(row).error();
        out.entries.push_back(std::move(*row));
      }
      before = access.stored.seq;
    }
    if (!page->before_seq) co_return out;
  }
  out.next = std::to_string(before);
  co_return out;
}

Task<Result<JournalEntry>> Service::get(std::string entry) {
  auto stored = co_await find(std::move(entry));
  if (!stored) co_return std::move(stored).error();
  co_return shown(*stored, true);
}

Task<Result<journal::EventProof>> Service::proof(ProofRequest request) {
  auto stored = co_await find(std::move(request.entry));
  if (!stored) co_return std::move(stored).error();
  journal::LeafFilter filter;
  if (request.subject)
    filter = [subject = *request.subject](const journal::Touch& touch) {
      return touch.subject == subject;
    };
  auto made = co_await journal::prove_event(deps_.log, pool_.get_executor(), std::move(*stored),
                                            std::move(filter));
  if (!made || !request.subject || !made->leaves.empty()) co_return made;
  auto entry = journal::decode_entry(made->entry);
  if (!entry) co_return std::move(entry).error();
  // One that touched a single row names it itself; of several there would be leaves.
  const bool theirs = entry->touches.size() == 1 && entry->touches[0].subject == request.subject;
  if (!theirs)
    co_return Error(Code::not_found, "this entry did nothing to that subject").at("subject");
  co_return made;
}

Task<Result<journal::Head>> Service::checkpoint() {
  if (auto done = co_await deps_.log.sequence(); !done) co_return std::move(done).error();
  auto note = co_await deps_.log.checkpoint();
  if (!note) co_return std::move(note).error();
  auto verifier = deps_.log.verifier();
  auto key = journal::parse_verifier_key(verifier);
  if (!key) co_return std::move(key).error();
  auto head = journal::open_checkpoint(*note, key->key);
  if (!head) co_return std::move(head).error();
  co_return journal::Head{std::move(*note), std::move(verifier), std::move(head->origin),
                          base64(head->root), static_cast<std::int64_t>(head->size)};
}

Task<Result<journal::ConsistencyProof>> Service::consistency(ConsistencyRequest request) {
  auto head = co_await checkpoint();
  if (!head) co_return std::move(head).error();
  journal::ConsistencyProof out{.format = std::string(journal::kConsistencyFormat),
                                .from = request.from,
                                .to = request.to.value_or(head->size),
                                .path = {},
                                .verifier = {},
                                .checkpoint = {}};
  auto path = co_await deps_.log.consistency(static_cast<std::uint64_t>(out.from),
                                             static_cast<std::uint64_t>(out.to));
  if (!path) co_return std::move(path).error();
  for (const auto& hash : *path) out.path.push_back(base64(hash));
  if (out.to == head->size) {
    out.verifier = std::move(head->verifier);
    out.checkpoint = std::move(head->checkpoint);
  }
  co_return out;
}

Task<Result<EntrySides>> Service::sides(Caller caller, std::string entry) {
  auto stored = co_await find(std::move(entry));
  if (!stored) co_return std::move(stored).error();
  auto decoded = journal::decode_entry(stored->entry);
  if (!decoded) co_return std::move(decoded).error();
  auto recorded = co_await record(
      std::move(caller),
      {.activity = "journal.sides", .opened = true, .facts = {{"event", stored->id.text()}}});
  if (!recorded) co_return std::move(recorded).error();

  EntrySides out;
  out.seq = stored->seq;
  out.id = stored->id.text();
  if (decoded->context) {
    auto context = co_await deps_.log.side(*decoded->context);
    if (!context && context.error().code != Code::gone) co_return std::move(context).error();
    out.gone |= !context;
    auto parsed =
        context ? parse_json(context->expose_text()) : Result<boost::json::value>(damaged());
    if (context && (!parsed || !parsed->is_object())) co_return damaged();
    auto take = [&](std::string_view name, std::optional<Secret>& to) {
      const auto* value = context ? parsed->get_object().if_contains(name) : nullptr;
      if (value && value->is_string() && !value->get_string().empty())
        to = Secret::copy(std::string_view(value->get_string()));
    };
    take("address", out.address);
    take("user_agent", out.user_agent);
    take("on_behalf_of", out.on_behalf_of);
  }
  if (decoded->note) {
    auto note = co_await deps_.log.side(*decoded->note);
    if (!note && note.error().code != Code::gone) co_return std::move(note).error();
    out.gone |= !note;
    if (note) out.note = std::move(*note);
  }
  co_return out;
}

Task<Result<Scope>> Service::scope(Caller caller, ScopeRequest request) {
  auto page = co_await deps_.index.scope(request.actor, request.after,
                                         static_cast<std::size_t>(request.limit.value_or(kPage)));
  if (!page) co_return std::move(page).error();
  if (page->total == 0 && !is_pseudonym(request.actor)) {
    auto known = co_await deps_.permits.known(request.actor, caller.deadline);
    if (!known) co_return std::move(known).error();
    if (!*known) co_return unknown_actor();
  }
  std::vector<std::int64_t> seqs;
  for (const auto& one : page->subjects) {
    seqs.push_back(one.seen.first);
    seqs.push_back(one.seen.last);
  }
  std::ranges::sort(seqs);
  auto twice = std::ranges::unique(seqs);
  seqs.erase(twice.begin(), twice.end());
  auto stored = co_await deps_.log.read_at(seqs);
  if (!stored) co_return std::move(stored).error();
  if (auto good = co_await deps_.log.check(*stored); !good) co_return std::move(good).error();
  std::map<std::int64_t, Time> times;
  for (const auto& one : *stored)
    if (auto entry = journal::scan_entry(one.entry)) times[one.seq] = from_ms(entry->at_ms);
  if (times.size() != seqs.size()) co_return damaged();

  auto recorded = co_await record(
      std::move(caller), {.activity = "journal.scope", .facts = {{"actor", request.actor}}});
  if (!recorded) co_return std::move(recorded).error();
  Scope out;
  out.actor = std::move(request.actor);
  out.total = page->total;
  if (page->after) out.next = page->after->text();
  for (const auto& [subject, seen] : page->subjects)
    out.subjects.push_back(
        {subject, times[seen.first], times[seen.last], seen.first, seen.last, seen.count});
  co_return out;
}

Result<Pseudonym> Service::pseudonym(const PseudonymRequest& request) const {
  auto keys = deps_.keys.get();
  if (!keys) return Error(Code::locked, "the server is locked: unlock it first");
  return Pseudonym{journal::Log::pseudonym(*keys, request.person.expose_text())};
}

Task<Result<Verification>> Service::verify(Caller caller, VerifyLog request) {
  Running running(verifying_);
  if (!running.first())
    co_return Error(Code::exhausted, "a verification is running; wait for it to end");
  auto report = co_await journal::verify_log(deps_.log);
  if (!report) co_return std::move(report).error();
  auto out = shown(*report);
  if (request.state) {
    auto state = co_await journal::check_state(deps_.log, deps_.state);
    if (!state) co_return std::move(state).error();
    out.good = out.good && state->good();
    out.state = shown(*state);
  }
  caller.generation = 0;  // holds under any policy, and a long walk is not done again
  auto recorded =
      co_await record(std::move(caller),
                      {.activity = "journal.verify",
                       .outcome = out.good ? journal::Outcome::success : journal::Outcome::failed,
                       .facts = {{"entries", out.entries},
                                 {"faults", out.faults_total},
                                 {"state", std::int64_t{request.state}}}});
  if (!recorded) co_return std::move(recorded).error();
  co_return out;
}

Task<Result<void>> Service::record_export(Caller caller) {
  co_return co_await record(std::move(caller), {.activity = "journal.export"});
}

}  // namespace holdfast::ledger
