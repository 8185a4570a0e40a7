#include "vault/search/service.h"

#include <algorithm>

#include "vault/index_terms.h"
#include "vault/policy.h"
#include "vault/records/service.h"
#include "vault/search/candidates.h"
#include "vault/search/guesses.h"
#include "vault/token_row.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kOperation = "records.search";
constexpr std::size_t kSlice = 64;
constexpr std::size_t kSortSlice = 500;
constexpr std::size_t kMostCandidates = 10'000;
constexpr std::size_t kPage = 20;
constexpr int kTries = 30;

inline constexpr db::Sql kTokensOfMany{
    "vault.tokens_of_many",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where record {{in $1}} order by record, id"};

}  // namespace

struct Search::Run {
  Working work;
  Caller caller;
  const Collection* collection;
  Query query;
  std::optional<SubjectId> own;  // under self_service
  std::optional<Cursor> after;
  crypto::Digest fingerprint{};
  std::size_t limit = kPage;
  bool cut = false;  // to what the budgets have room for: whether there is more is not looked at
  const Purpose* purpose;
  journal::Event event;
  Showing showing;
  View external_id = View::none;
  std::int64_t shut = 0;              // left out: the customer closed them for this purpose
  std::vector<const Field*> blind{};  // compared for a caller who may not see them
  std::size_t looked = 0;             // candidates

  /// The one customer whom the search may see, if it is one.
  std::optional<SubjectId> only() const { return showing.engaged ? showing.engaged->subject : own; }

  /// That there is a further page tells of this match: to who cannot see what was compared that is
  /// an answer like any other.
  void tell(const Openable& further) {
    if (blind.empty()) return;
    const auto& record = further.record;
    event.touches.push_back({record.subject, "records", to_bytes(record.id.bytes()), {}});
    event.opened = true;
    showing.subjects.push_back(record.subject);
  }

  /// Whether the caller may be told of this record at all, matching or not.
  bool admits(const Openable& openable) {
    const auto& record = openable.record;
    if (record.collection != collection->id) return false;
    if (own && *own != record.subject) return false;
    if (showing.engaged && showing.engaged->subject != record.subject) return false;
    auto standing = standing_of(*work.keys, *openable.subject);
    if (!standing) return false;  // damaged: it does not hide the others
    bool open =
        closed_for(*standing, openable.subject->erased.has_value(), *purpose) == Closed::open;
    shut += !open;
    return open;
  }
};

Task<Result<void>> Search::find_in_order(Run& run, Candidates& candidates, Guesses& guesses,
                                         FoundRecords& out) {
  std::optional<RecordId> shown_last;
  while (run.looked < kMostCandidates) {
    auto ids = co_await candidates.next(kSlice);
    if (!ids) co_return std::move(ids).error();
    if (ids->empty()) break;
    run.looked += ids->size();
    auto loaded = co_await context_.store.load(std::move(*ids), run.caller.deadline);
    if (!loaded) co_return std::move(loaded).error();
    auto spent = co_await guesses.read_spent(context_.journal.reader(), loaded->records,
                                             run.work.now, run.caller.deadline);
    if (!spent) co_return spent;
    std::vector<const Openable*> found;
    bool full = false;
    for (const auto& openable : loaded->records) {
      if (!run.admits(openable)) continue;
      auto record = OpenRecord::of(run.work, *run.collection, openable);
      if (!record || !guesses.matches(*record, candidates.tells(openable.record.id))) continue;
      if (out.records.size() + found.size() == run.limit) {
        full = true;
        run.tell(openable);
        break;
      }
      found.push_back(&openable);
      shown_last = openable.record.id;
      full = run.cut && out.records.size() + found.size() == run.limit;
      if (full) break;
    }
    if (auto done = co_await show(run, found, out); !done) co_return done;
    if (full) {
      out.next = write_cursor(*run.work.keys, run.fingerprint, {*shown_last, {}});
      co_return Result<void>();
    }
    co_await give_way();
  }
  if (!candidates.done())
    out.next = write_cursor(*run.work.keys, run.fingerprint, {candidates.place(), {}});
  co_return Result<void>();
}

Task<Result<void>> Search::find_sorted(Run& run, Candidates& candidates, Guesses& guesses,
                                       FoundRecords& out) {
  using Keyed = std::pair<Secret, RecordId>;
  std::vector<Keyed> keyed;
  Error many(Code::invalid,
             "more than 10,000 records may match, and sorting ends there: narrow the search, or "
             "leave out `sort` and page through it");
  for (;;) {
    auto ids = co_await candidates.next(kSortSlice);
    if (!ids) co_return std::move(ids).error();
    if (ids->empty()) break;
    if ((run.looked += ids->size()) > kMostCandidates) co_return std::move(many).at("sort");
    auto loaded = co_await context_.store.load(std::move(*ids), run.caller.deadline);
    if (!loaded) co_return std::move(loaded).error();
    auto spent = co_await guesses.read_spent(context_.journal.reader(), loaded->records,
                                             run.work.now, run.caller.deadline);
    if (!spent) co_return spent;
    auto opened = co_await pool_.run([&]() -> Result<void> {
      for (const auto& openable : loaded->records) {
        if (!run.admits(openable)) continue;
        auto record = OpenRecord::of(run.work, *run.collection, openable);
        if (record && guesses.matches(*record, candidates.tells(openable.record.id)))
          keyed.emplace_back(sort_key(run.query, *record), openable.record.id);
      }
      return {};
    });
    if (!opened) co_return std::move(opened).error();
  }
  if (!candidates.done()) co_return std::move(many).at("sort");
  bool down = run.query.sort->descending;
  auto before = [down](const Secret& a, RecordId a_id, const Secret& b, RecordId b_id) {
    auto order = a.expose_text() <=> b.expose_text();
    if (order != 0) return down ? order > 0 : order < 0;
    return a_id < b_id;
  };
  std::ranges::sort(keyed, [&](const Keyed& a, const Keyed& b) {
    return before(a.first, a.second, b.first, b.second);
  });
  auto at = keyed.begin();
  if (run.after)
    at = std::ranges::partition_point(keyed, [&](const Keyed& one) {
      return !before(run.after->key, run.after->record, one.first, one.second);
    });
  auto count = std::min<std::size_t>(run.limit, static_cast<std::size_t>(keyed.end() - at));
  std::vector<RecordId> page;
  for (std::size_t i = 0; i < count; ++i) page.push_back(at[static_cast<std::ptrdiff_t>(i)].second);
  const bool further = at + static_cast<std::ptrdiff_t>(count) != keyed.end();
  if (count > 0 && (further || (run.cut && count == run.limit))) {
    auto& last = at[static_cast<std::ptrdiff_t>(count) - 1];
    out.next = write_cursor(*run.work.keys, run.fingerprint, {last.second, std::move(last.first)});
    if (!run.blind.empty() && !run.cut)
      page.push_back(at[static_cast<std::ptrdiff_t>(count)].second);
  }
  if (page.empty()) co_return Result<void>();
  auto loaded = co_await context_.store.load(std::move(page), run.caller.deadline);
  if (!loaded) co_return std::move(loaded).error();
  std::vector<const Openable*> found;
  for (const auto& openable : loaded->records) {  // as they are by now
    if (!run.admits(openable)) continue;
    auto record = OpenRecord::of(run.work, *run.collection, openable);
    if (!record || !matches(run.query, *record)) continue;
    if (found.size() < count)
      found.push_back(&openable);
    else
      run.tell(openable);
  }
  co_return co_await show(run, found, out);
}

namespace {

/// As the shop keeps them. Those of `hidden` fields stay out: a text may show some of the value.
std::vector<FoundToken> tokens_shown(const Working& work, const Collection& collection,
                                     const Openable& openable, const std::vector<TokenRow>& rows,
                                     const std::vector<std::string>& hidden) {
  std::vector<FoundToken> out;
  for (const auto& row : rows) {
    const auto* field = collection.find(row.field);
    if (!field || row.subject != openable.record.subject) continue;
    if (std::ranges::find(hidden, field->name) != hidden.end()) continue;
    if (row.text_term.empty()) {
      out.push_back({row.id.text(), field->name});
      continue;
    }
    auto text =
        openable.keys->open(*work.keys, field->keep_group, token_text_place(row), row.text_sealed);
    if (text) out.push_back({std::string(text->expose_text()), field->name});
  }
  return out;
}

}  // namespace

Task<Result<void>> Search::show(Run& run, const std::vector<const Openable*>& found,
                                FoundRecords& out) {
  if (found.empty()) co_return Result<void>();
  db::List records;
  for (const auto* one : found) records.cells.emplace_back(to_bytes(one->record.id.bytes()));
  std::map<RecordId, std::vector<TokenRow>> tokens;
  auto rows = co_await context_.journal.reader().read(kTokensOfMany, {std::move(records)},
                                                      run.caller.deadline);
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = token_row_from(*run.work.keys, (*rows)[i]);
    if (row) tokens[row->record].push_back(std::move(*row));  // verify --state names the others
  }
  for (const auto* one : found) {
    auto masks = mask_record(context_, run.work, run.caller, kOperation, *one);
    if (!masks) continue;  // damaged elsewhere: `journal verify --state` names it
    FoundRecord shown{.record = masks->record,
                      .subject = masks->subject,
                      .collection = std::move(masks->collection),
                      .external_id = {},
                      .external_id_masked = false,
                      .slot = std::move(masks->slot),
                      .version = masks->version,
                      .created = masks->created,
                      .updated = masks->updated,
                      .values = std::move(masks->values),
                      .hidden = std::move(masks->hidden),
                      .tokens = {}};
    shown.tokens =
        tokens_shown(run.work, *run.collection, *one, tokens[shown.record], shown.hidden);
    const auto& subject = *one->subject;
    if (!subject.external_sealed.empty() && !subject.erased && run.external_id > View::none) {
      auto id = one->keys->open(*run.work.keys, "account", external_binding(shown.subject),
                                subject.external_sealed);
      if (id && run.external_id == View::clear) {
        shown.external_id = std::move(*id);
      } else if (id) {
        Field text{.type = FieldType::text, .mask = Mask::last4};
        shown.external_id = Secret::copy(masked(text, id->expose_text()));
        shown.external_id_masked = true;
      }
    }
    run.event.touches.push_back({shown.subject, "records", to_bytes(shown.record.bytes()), {}});
    run.showing.subjects.push_back(shown.subject);
    out.records.push_back(std::move(shown));
  }
  co_return Result<void>();
}

Task<Result<FoundRecords>> Search::search(Caller caller, SearchRecords request) {
  for (int tries = 0; tries < kTries; ++tries) {
    auto found = co_await once(caller, request);
    if (!found) co_return std::move(found).error();
    if (*found) co_return std::move(**found);
  }
  co_return Error(Code::unavailable,
                  "too many searches are charged to the same budget at this moment: repeat it");
}

Task<Result<std::optional<FoundRecords>>> Search::once(Caller caller,
                                                       const SearchRecords& request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  const auto* collection = work->schema->find(request.collection);
  if (!collection) co_return Error(Code::not_found, "no such collection").at("collection");
  auto acting = co_await opening_.prepare(*work, std::move(caller), kOperation, request.purpose,
                                          request.on_behalf_of);
  if (!acting) co_return std::move(acting).error();
  auto query = read_query(*collection, request);
  if (!query) co_return std::move(query).error();

  auto own = co_await opening_.own_only(*work, *acting, request.purpose);
  if (!own) co_return std::move(own).error();
  auto engaged =
      co_await opening_.engage(*work, *acting, kOperation, request.purpose, request.engagement);
  if (!engaged) co_return std::move(engaged).error();

  Run run{
      .work = std::move(*work),
      .caller = std::move(*acting),
      .collection = collection,
      .query = std::move(*query),
      .own = *own,
      .after = {},
      .limit = static_cast<std::size_t>(request.limit.value_or(kPage)),
      .purpose = nullptr,
      .event = {.activity = kOperation, .purpose = request.purpose, .collection = collection->name},
      .showing = {.subjects = {}, .terms = {}, .engaged = std::move(*engaged), .asks = true}};
  run.purpose = &run.work.schema->purposes.find(request.purpose)->second;
  const auto* under = run.showing.engaged ? &*run.showing.engaged : nullptr;
  std::optional<std::string_view> missing;  // of a field that may not be searched that way
  for (const auto& [field, needed] : views_needed(run.query)) {
    run.event.fields.push_back(field->name);
    auto permitted = permitted_field(context_, run.caller, kOperation, *collection, *field,
                                     request.purpose, under);
    if (permitted.view < needed && (!missing || missing->empty())) missing = permitted.missing;
    run.showing.add(permitted.terms);
    if (needed == View::verify && permitted.view == View::verify) run.blind.push_back(field);
  }
  if (missing)
    co_return co_await opening_.refused_under(
        run.caller, std::move(run.event), under != nullptr, *missing,
        Error(Code::forbidden,
              "you may not search these fields that way for this purpose; this try was recorded"));
  const bool by_update = std::ranges::any_of(
      run.query.filters, [](const auto& one) { return !one.field && !one.created; });
  if (by_update && !run.blind.empty())  // it may name one record, and nothing finds that again
    co_return Error(Code::invalid,
                    "`updated` narrows only searches for what you may see: leave it out, or use "
                    "`created`")
        .at("filter");
  run.fingerprint = search_fingerprint(*run.work.keys, run.caller, request);
  if (request.after) {
    auto cursor = read_cursor(*run.work.keys, run.fingerprint, *request.after);
    if (!cursor) co_return std::move(cursor).error().at("after");
    run.after = std::move(*cursor);
  }

  // Its terms count whether or not anybody is found: a refusal tells nothing then.
  auto external = context_.permits.decide(run.caller, {kOperation, collection->name, "external_id",
                                                       FieldClass::personal, request.purpose});
  run.external_id = external.view;
  if (external.view == View::clear) run.showing.add(external.terms);
  auto room = co_await admission_.room(run.caller, run.showing.terms, run.event);
  if (!room) co_return std::move(room).error();
  // Whoever is shown must fit in, and whom `more` tells of; who was compared is charged beyond
  // that.
  const auto wanted = static_cast<std::int64_t>(run.limit + !run.blind.empty());
  if (*room && **room < wanted) {
    run.limit = std::min(run.limit, static_cast<std::size_t>(**room));
    run.cut = true;
  }

  FoundRecords out;
  Candidates candidates(context_,
                        {.work = run.work,
                         .query = run.query,
                         .deadline = run.caller.deadline,
                         .only = run.only(),
                         .guesses = !run.blind.empty(),
                         .after = run.after && !run.query.sort ? run.after->record : RecordId{}});
  if (auto ready = co_await candidates.prepare(pool_); !ready) co_return std::move(ready).error();
  Guesses guesses(run.query, run.blind, run.only().has_value(), candidates.driver(),
                  candidates.by_any());
  // On the key: whom it speaks for it may say itself.
  const auto guesser = place_of_tries(*run.work.keys, "guessing searches", run.caller.principal);
  if (auto allowed = co_await guesses.allowed(context_.journal.reader(), guesser, run.work.now,
                                              run.caller.deadline);
      !allowed) {
    if (allowed.error().code != Code::exhausted) co_return std::move(allowed).error();
    co_return co_await opening_.refused(run.caller, run.event, std::move(allowed).error());
  }
  auto found = run.query.sort ? co_await find_sorted(run, candidates, guesses, out)
                              : co_await find_in_order(run, candidates, guesses, out);
  if (!found) co_return std::move(found).error();
  out.more = out.next.has_value();
  run.event.opened |= !out.records.empty();
  run.showing.found = run.showing.subjects.size();
  run.event.facts = {{"closed", run.shut},
                     {"matched", static_cast<std::int64_t>(out.records.size())}};
  db::Changes counts;
  guesses.settle(
      {.alone = [&](RecordId record) { return candidates.names(record, run.looked); },
       .whole_without = [&](const auto& fields) { return candidates.whole_without(fields); }},
      guesser, run.work.now, counts, run.showing, run.event);
  auto kept = run.event;
  auto done = co_await admission_.record(run.work, run.caller, std::move(run.showing),
                                         std::move(counts), std::move(run.event));
  if (!done && done.error().code == Code::exhausted &&
      done.error().field.empty())  // others were faster
    co_return co_await opening_.refused(run.caller, std::move(kept), std::move(done).error());
  if (!done && done.error().code == Code::exhausted) co_return std::nullopt;
  if (!done) co_return std::move(done).error();
  out.event = done->receipt.event;
  co_return out;
}

std::vector<http::Route> search_routes(Search* search) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Search::search>(
      search, "records.search", "POST", "/v1/collections/{collection}/search",
      "Find records by values of indexed fields",
      {.examples = {
           {"By email", R"({"q":{"email":"ann@example.org"},"purpose":"support"})"},
           {"A name, wherever it stands",
            R"({"text":"mül","fields":["first_name","last_name"],"purpose":"support"})"},
           {"By the beginning of a name, the newest first",
            R"({"q":{"last_name":"mül"},"sort":{"field":"created","order":"descending"},"purpose":"support"})"}}}));
  return out;
}

std::span<const db::Sql* const> search_statements() {
  static const auto kAll = [] {
    std::vector<const db::Sql*> all = {&kTokensOfMany};
    std::ranges::copy(candidate_statements(), std::back_inserter(all));
    return all;
  }();
  return kAll;
}

}  // namespace holdfast::vault
