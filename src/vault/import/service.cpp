#include "vault/import/service.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <set>

#include "base/later.h"
#include "vault/draft.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kFirstBatch = 500;
constexpr std::size_t kBatch = 5'000;
constexpr std::size_t kContendedBatch = 150;
constexpr std::size_t kSealedAtOnce = 2;  // while one is written
constexpr std::size_t kListedRefusals = 1000;
constexpr std::size_t kReports = 100;
constexpr std::string_view kMainSlot = "main";

struct UniqueTerm {
  const Field* field;
  std::int64_t index;
  Bytes term;
};

struct CheckedRecord {
  const Collection* collection;
  std::string slot;
  std::vector<CheckedValue> values;
  std::vector<UniqueTerm> unique;  // of values that must be unique
};

struct CheckedRow {
  std::string external_id;
  Bytes term;
  Place place;
  std::vector<CheckedRecord> records;
};

/// What the rows of a batch need to know of what is stored already.
struct Known {
  std::map<Bytes, SubjectId> subjects;
  std::set<SubjectId> restricted;
  bool aliases = false;  // two of the external ids are one customer's
  std::map<SubjectId, SubjectKeys> keys;
  std::map<std::tuple<SubjectId, std::uint32_t, std::string>, Record> records;
  /// Whose a unique value is: by index and term.
  std::map<std::pair<std::int64_t, Bytes>, RecordId> taken;
};

struct Sealed {
  db::Changes changes;
  journal::Event event;
  std::int64_t customers = 0, created = 0, updated = 0, unchanged = 0;
  std::vector<RefusedRow> refused;
  /// Rows of a customer whom an earlier row of the batch wrote under another name: they must see
  /// what that one left.
  std::vector<std::size_t> later;
};

RefusedRow refusal(Place place, std::string_view reason, std::string field = {}) {
  return {static_cast<std::int64_t>(place.line), static_cast<std::int64_t>(place.column),
          std::move(field), std::string(reason)};
}

/// The field of the row whose value must be unique and is another record's; nullptr without.
const Field* taken_field(const CheckedRow& row, const Known& known) {
  auto subject = known.subjects.find(row.term);
  for (const auto& record : row.records) {
    auto own = subject == known.subjects.end()
                   ? known.records.end()
                   : known.records.find({subject->second, record.collection->id, record.slot});
    for (const auto& [field, index, term] : record.unique) {
      auto found = known.taken.find({index, term});
      if (found != known.taken.end() &&
          (own == known.records.end() || own->second.id != found->second))
        return field;
    }
  }
  return nullptr;
}

void add_unique(const crypto::KeySet& keys, const Field& field, const Secret& value,
                std::vector<UniqueTerm>& out) {
  for (const auto& index : field.indexes) {
    if (index.kind != IndexKind::unique) continue;
    BlindTerms terms(keys, index);
    auto normal = index_term(field, value.expose_text(), index.calling_code);
    if (terms.usable() && !normal.empty())
      out.push_back({&field, index.number, terms.term(normal.expose_text())});
  }
}

/// Rows that were checked under an older schema, as the newest has their fields: these may have got
/// another index. Errors: conflict (a collection or field is gone).
template <class Rows>
Result<void> carry_over(const Working& work, Rows& rows) {
  for (auto& row : rows)
    for (auto& record : row.records) {
      const auto* collection = work.schema->find(record.collection->id);
      Error gone(Code::conflict, "the collection was changed during the import: run it again");
      if (!collection) return gone;
      record.unique.clear();
      for (auto& value : record.values) {
        const auto* field = collection->find(value.field->id);
        if (!field || field->type != value.field->type) return gone;
        value.field = field;
        add_unique(*work.keys, *field, value.value, record.unique);
      }
      record.collection = collection;
    }
  return {};
}

}  // namespace

/// One import on its way. Parsing, checking and sealing run on the pool, ahead of the database.
class ImportRun {
 public:
  ImportRun(Imports& imports, Caller caller, Working work, RowSource source)
      : imports_(imports),
        context_(imports.context_),
        caller_(std::move(caller)),
        work_(std::move(work)),
        source_(std::move(source)) {
    report_.import = ImportId::make(work_.now);
  }

  Task<Result<ImportReport>> run(http::BodyReader& body);

 private:
  enum class Step { more, end, failed };

  Result<Step> parse(std::string_view chunk, bool end);
  void check_row(ImportRow& row);
  void refuse(Place place, std::string_view reason, const FieldPath& field);
  void unstage();
  Task<Result<void>> flush(bool all);
  Task<Result<Known>> known(const std::vector<CheckedRow>& rows);
  Result<Sealed> seal(const Working& work, const std::vector<CheckedRow>& rows, Known& known);
  Task<Result<Sealed>> prepare(Working work, const std::vector<CheckedRow>& rows);
  Task<Result<void>> write(Working work, std::vector<CheckedRow> rows, Sealed sealed);
  Task<Result<void>> landed();
  Task<Result<void>> pass_on(std::size_t most);
  Task<Result<bool>> caught_up(std::vector<CheckedRow>& rows);

  Imports& imports_;
  const Context& context_;
  Caller caller_;
  Working work_;
  std::optional<Working> renewed_;  // what a batch was decided under again, when the policy changed
  RowSource source_;
  ImportReport report_;  // only the caller's core touches it
  struct {
    std::int64_t rows = 0, refused = 0;
    std::vector<RefusedRow> refusals;
  } staged_;  // what the pool found since unstage()
  std::deque<CheckedRow> ready_;
  std::unique_ptr<std::vector<CheckedRow>> next_;  // taken out of them, and not yet being sealed
  std::size_t batch_ = kFirstBatch;
  struct Batch {
    std::unique_ptr<std::vector<CheckedRow>> rows;  // where the sealing finds them
    std::set<Bytes> terms;                          // of its customers
    Later<Result<Sealed>> sealed;
  };
  std::deque<Batch> sealing_;
  std::optional<Later<Result<void>>> writing_;
  std::set<Bytes> writing_terms_;
  std::string failure_;
};

void ImportRun::refuse(Place place, std::string_view reason, const FieldPath& field) {
  staged_.refused += 1;
  if (staged_.refusals.size() < kListedRefusals)
    staged_.refusals.push_back(refusal(place, reason, field.text()));
}

void ImportRun::unstage() {
  report_.rows += staged_.rows;
  report_.refused += staged_.refused;
  for (auto& one : staged_.refusals)
    if (report_.refusals.size() < kListedRefusals) report_.refusals.push_back(std::move(one));
  staged_ = {};
}

void ImportRun::check_row(ImportRow& row) {
  CheckedRow out{
      .external_id = std::move(row.external_id), .term = {}, .place = row.place, .records = {}};
  out.term = external_term(*work_.keys, out.external_id);
  for (auto& record : row.records) {
    const auto* collection = work_.schema->find(record.collection);
    if (!collection)
      return refuse(row.place, "the collection is not declared", FieldPath(record.collection));
    CheckedRecord checked{
        .collection = collection,
        .slot = record.key.empty() ? std::string(kMainSlot) : std::move(record.key),
        .values = {},
        .unique = {}};
    for (std::size_t i = 0; i < record.values.size(); ++i) {
      auto& [name, text] = record.values[i];
      auto place = i < record.places.size() ? record.places[i] : row.place;
      const auto* field = collection->find(name);
      if (!field)
        return refuse(place, "the collection does not declare this field", FieldPath(name));
      auto value = checked_value(*field, text);
      wipe(text);
      if (!value) return refuse(place, value.error().text, FieldPath(name));
      add_unique(*work_.keys, *field, *value, checked.unique);
      checked.values.push_back({field, std::move(*value), false});
    }
    out.records.push_back(std::move(checked));
  }
  ready_.push_back(std::move(out));
}

/// On the pool: everything that the chunk makes complete.
Result<ImportRun::Step> ImportRun::parse(std::string_view chunk, bool end) {
  if (end)
    source_.finish();
  else
    source_.feed(chunk);
  for (;;) {
    switch (source_.next()) {
      case ReadEvent::more:
        return Step::more;
      case ReadEvent::end:
        return Step::end;
      case ReadEvent::row:
        staged_.rows += 1;
        check_row(source_.row());
        break;
      case ReadEvent::refused:
        staged_.rows += 1;
        refuse(source_.refusal().place, source_.refusal().reason, source_.refusal().field);
        break;
      case ReadEvent::failed:
        refuse(source_.refusal().place, source_.refusal().reason, source_.refusal().field);
        failure_ = source_.refusal().reason;
        return Step::failed;
    }
  }
}

Task<Result<Known>> ImportRun::known(const std::vector<CheckedRow>& rows) {
  std::vector<Bytes> terms;
  terms.reserve(rows.size());
  for (const auto& row : rows) terms.push_back(row.term);
  Known out;
  auto subjects = co_await subjects_of(context_, *work_.keys, std::move(terms), caller_.deadline);
  if (!subjects) co_return std::move(subjects).error();
  std::set<SubjectId> whose;
  for (const auto& [term, subject] : *subjects) {
    out.subjects.emplace(term, subject.id);
    whose.insert(subject.id);
    auto standing = decode_standing(subject.standing);  // its MAC was checked
    if (!standing || standing->restricted) out.restricted.insert(subject.id);
  }
  out.aliases = whose.size() < subjects->size();
  std::vector<SubjectId> ids(whose.begin(), whose.end());
  auto keys = co_await context_.store.keys(ids, caller_.deadline);
  if (!keys) co_return std::move(keys).error();
  out.keys = std::move(*keys);
  auto records = co_await context_.store.slots_of(std::move(ids), caller_.deadline);
  if (!records) co_return std::move(records).error();
  for (auto& record : *records) {
    auto place = std::tuple(record.subject, record.collection, *record.slot);
    out.records.emplace(std::move(place), std::move(record));
  }
  std::map<std::int64_t, std::vector<Bytes>> unique;
  for (const auto& row : rows)
    for (const auto& record : row.records)
      for (const auto& one : record.unique) unique[one.index].push_back(one.term);
  for (auto& [index, wanted] : unique) {
    auto taken =
        co_await context_.store.with_unique_terms(index, std::move(wanted), caller_.deadline);
    if (!taken) co_return std::move(taken).error();
    for (auto& [term, record] : *taken) out.taken.emplace(std::pair(index, term), record);
  }
  co_return out;
}

/// On the pool.
Result<Sealed> ImportRun::seal(const Working& work, const std::vector<CheckedRow>& rows,
                               Known& known) {
  Draft draft(*work.keys, work.now);
  Sealed out;
  std::set<SubjectId> written;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    auto stored = known.subjects.find(row.term);
    if (known.aliases && stored != known.subjects.end() && !written.insert(stored->second).second) {
      out.later.push_back(i);
      continue;
    }
    if (const auto* field = taken_field(row, known)) {
      out.refused.push_back(
          refusal(row.place, "another record has this value, which must be unique", field->name));
      continue;
    }
    SubjectKeys* keys = nullptr;
    if (stored != known.subjects.end()) {
      keys = &known.keys.at(stored->second);
      draft.expect_living(stored->second);
    } else {
      SubjectKeys fresh{SubjectId{}};
      auto id = draft.add_subject(row.external_id, fresh);
      if (!id) return std::move(id).error();
      keys = &known.keys.insert_or_assign(*id, std::move(fresh)).first->second;
      out.customers += 1;
    }
    for (const auto& record : row.records) {
      auto take = [&](RecordId id) {
        for (const auto& one : record.unique)
          known.taken.insert_or_assign({one.index, one.term}, id);
      };
      auto existing = known.records.find({keys->subject(), record.collection->id, record.slot});
      if (existing == known.records.end()) {
        auto made = draft.add_record(*keys, *record.collection, record.slot, record.values);
        if (!made) return std::move(made).error();
        take(made->id);
        out.created += 1;
        continue;
      }
      if (known.restricted.contains(keys->subject())) {
        out.refused.push_back(
            refusal(row.place, "this customer's data is restricted: rectify it instead"));
        continue;
      }
      auto changed =
          draft.change_record(*keys, *record.collection, existing->second, record.values);
      if (!changed) {
        out.refused.push_back(refusal(
            row.place, "the stored record is damaged: run `holdfast journal verify --state`"));
        continue;
      }
      take(existing->second.id);
      (*changed ? out.updated : out.unchanged) += 1;
    }
  }
  out.event = {.activity = "imports.create",
               .touches = std::move(draft.touches()),
               .facts = {{"import", report_.import.text()},
                         {"rows", static_cast<std::int64_t>(rows.size())}}};
  out.changes = std::move(draft).changes();
  return out;
}

Task<Result<Sealed>> ImportRun::prepare(Working work, const std::vector<CheckedRow>& rows) {
  auto stored = co_await known(rows);
  if (!stored) co_return std::move(stored).error();
  co_return co_await imports_.pool_.run([&] { return seal(work, rows, *stored); });
}

/// When somebody else wrote or erased one of these customers meanwhile, or the policy changed, the
/// batch is made again from what is stored now.
Task<Result<void>> ImportRun::write(Working work, std::vector<CheckedRow> rows, Sealed sealed) {
  for (int tries = 0; !sealed.event.touches.empty(); ++tries) {
    auto done = co_await context_.journal.commit(caller_, std::move(sealed.changes),
                                                 std::move(sealed.event));
    if (done) break;
    auto code = done.error().code;
    if (tries == 3 || (code != Code::stale && code != Code::conflict && code != Code::gone))
      co_return std::move(done).error();
    auto renewed = co_await context_.permits.renewed(caller_);
    if (!renewed) co_return std::move(renewed).error();
    if (!context_.permits.may(*renewed, "imports.create"))
      co_return Error(Code::forbidden,
                      "this key may not import any more: what went in before stays");
    caller_ = std::move(*renewed);
    auto fresh = co_await begin(context_, caller_);
    if (!fresh) co_return std::move(fresh).error();
    auto carried = carry_over(*fresh, rows);  // before the old schema goes
    if (!carried) co_return carried;
    work = *fresh;
    renewed_ = std::move(*fresh);
    auto again = co_await prepare(work, rows);
    if (!again) co_return std::move(again).error();
    sealed = std::move(*again);
  }
  for (auto& one : sealed.refused) {
    report_.refused += 1;
    if (report_.refusals.size() < kListedRefusals) report_.refusals.push_back(std::move(one));
  }
  report_.customers += sealed.customers;
  report_.created += sealed.created;
  report_.updated += sealed.updated;
  report_.unchanged += sealed.unchanged;
  imports_.publish(report_);
  if (sealed.later.empty()) co_return Result<void>();
  std::vector<CheckedRow> later;
  for (auto row : sealed.later) later.push_back(std::move(rows[row]));
  auto next = co_await prepare(work, later);
  if (!next) co_return std::move(next).error();
  co_return co_await write(work, std::move(later), std::move(*next));
}

/// Waits for the batch that is being written.
Task<Result<void>> ImportRun::landed() {
  if (!writing_) co_return Result<void>();
  auto done = co_await writing_->wait();
  writing_.reset();
  writing_terms_.clear();
  co_return done;
}

/// After a batch landed: true when it was decided under a newer policy, which then holds for these
/// rows, for those that are being sealed, and for what waits behind them.
Task<Result<bool>> ImportRun::caught_up(std::vector<CheckedRow>& rows) {
  if (!renewed_) co_return false;
  auto newer = std::move(*renewed_);
  renewed_.reset();
  if (auto done = carry_over(newer, rows); !done) co_return std::move(done).error();
  for (auto& batch : sealing_) {
    (void)co_await batch.sealed.wait();  // it reads the rows; what it made is made again
    if (auto done = carry_over(newer, *batch.rows); !done) co_return std::move(done).error();
    batch.sealed = Later<Result<Sealed>>(co_await boost::asio::this_coro::executor,
                                         prepare(newer, *batch.rows));
  }
  if (next_)
    if (auto done = carry_over(newer, *next_); !done) co_return std::move(done).error();
  if (auto done = carry_over(newer, ready_); !done) co_return std::move(done).error();
  work_ = std::move(newer);
  co_return true;
}

/// Hands sealed batches to the database, one after another, until at most `most` are left. After
/// a failure the rest is waited for, but not written.
Task<Result<void>> ImportRun::pass_on(std::size_t most) {
  Result<void> out;
  while (sealing_.size() > most || (!out && !sealing_.empty())) {
    auto batch = std::move(sealing_.front());
    sealing_.pop_front();
    auto sealed = co_await batch.sealed.wait();
    if (out && !sealed) out = sealed.error();
    if (auto done = co_await landed(); out && !done) out = std::move(done);
    if (!out) continue;
    auto newer = co_await caught_up(*batch.rows);
    if (newer && *newer) sealed = co_await prepare(work_, *batch.rows);
    if (!newer || !sealed) {
      out = newer ? std::move(sealed).error() : std::move(newer).error();
      continue;
    }
    writing_terms_ = std::move(batch.terms);
    writing_.emplace(co_await boost::asio::this_coro::executor,
                     write(work_, std::move(*batch.rows), std::move(*sealed)));
  }
  co_return out;
}

Task<Result<void>> ImportRun::flush(bool all) {
  while (ready_.size() >= batch_ || (all && !ready_.empty())) {
    next_ = std::make_unique<std::vector<CheckedRow>>();
    std::set<Bytes> terms;
    bool repeats = false;
    while (!ready_.empty() && next_->size() < batch_ && terms.insert(ready_.front().term).second) {
      const auto& term = ready_.front().term;
      auto has_it = [&](const Batch& batch) { return batch.terms.contains(term); };
      repeats |= writing_terms_.contains(term) || std::ranges::any_of(sealing_, has_it);
      next_->push_back(std::move(ready_.front()));
      ready_.pop_front();
    }
    if (auto done = co_await pass_on(repeats ? 0 : kSealedAtOnce - 1); !done) co_return done;
    // A customer who comes again must be seen as the batch before left them.
    if (repeats)
      if (auto done = co_await landed(); !done) co_return done;
    auto sealed =
        Later<Result<Sealed>>(co_await boost::asio::this_coro::executor, prepare(work_, *next_));
    sealing_.push_back({std::move(next_), std::move(terms), std::move(sealed)});
    batch_ = context_.journal.contended() ? kContendedBatch : kBatch;
  }
  if (all) co_return co_await pass_on(0);
  co_return Result<void>();
}

Task<Result<ImportReport>> ImportRun::run(http::BodyReader& body) {
  Step step = Step::more;
  Result<void> outcome;
  while (step == Step::more && outcome) {
    auto chunk = co_await body.next();
    if (!chunk) {
      outcome = std::move(chunk).error();
      break;
    }
    report_.bytes += static_cast<std::int64_t>(chunk->size());
    auto parsed = co_await imports_.pool_.run([&] { return parse(*chunk, chunk->empty()); });
    unstage();
    if (!parsed) {
      outcome = std::move(parsed).error();
      break;
    }
    step = *parsed;
    outcome = co_await flush(step == Step::end);
  }
  auto last = co_await pass_on(0);
  if (outcome && !last) outcome = std::move(last);
  last = co_await landed();
  if (outcome && !last) outcome = std::move(last);
  const auto& columns = source_.columns();
  report_.shape = columns.shape;
  report_.unknown_columns = columns.unknown;
  for (const auto& one : columns.left_out)
    report_.left_out.push_back({one.column, std::string(one.reason)});
  if (!outcome) failure_ = outcome.error().text;
  report_.failure = failure_;
  report_.state = failure_.empty() ? ImportState::done : ImportState::failed;
  imports_.publish(report_);
  if (!outcome) co_return std::move(outcome).error();
  co_return std::move(report_);
}

namespace {

/// A body of which the beginning was looked at already.
class Begun final : public http::BodyReader {
 public:
  explicit Begun(http::BodyReader& body) : body_(body) {}
  ~Begun() override {
    wipe(current_);
    for (auto& one : kept_) wipe(one);
  }
  Begun(const Begun&) = delete;
  Begun& operator=(const Begun&) = delete;

  /// Whether `source` finds a first row, wrong or right, in it. Errors: those of the body.
  Task<Result<bool>> has_rows(RowSource source) {
    for (;;) {
      auto chunk = co_await body_.next();
      if (!chunk) co_return std::move(chunk).error();
      kept_.emplace_back(*chunk);
      if (chunk->empty())
        source.finish();
      else
        source.feed(*chunk);
      auto event = source.next();
      if (event != ReadEvent::more)
        co_return event == ReadEvent::row || event == ReadEvent::refused;
    }
  }

  Task<Result<std::string_view>> next() override {
    if (kept_.empty()) co_return co_await body_.next();
    wipe(current_);
    current_ = std::move(kept_.front());
    kept_.pop_front();
    co_return std::string_view(current_);
  }
  std::uint64_t size() const override { return body_.size(); }
  std::string_view type() const override { return body_.type(); }

 private:
  http::BodyReader& body_;
  std::deque<std::string> kept_;
  std::string current_;
};

}  // namespace

Task<Result<ImportReport>> Imports::create(Caller caller, CreateImport request,
                                           http::BodyReader& body) {
  if (request.preset.has_value() == request.mapping.has_value())
    co_return Error(Code::invalid, "give either a preset or a mapping").at("preset");
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  if (request.mapping) {
    auto mapping = parse_json_as<Mapping>(*request.mapping);
    if (!mapping) co_return std::move(mapping).error();
    const auto* collection = work->schema->find(mapping->collection);
    if (!collection)
      co_return Error(Code::not_found,
                      "the collection of the mapping is not declared: `holdfast collections put`")
          .at("collection");
    if (auto fits = check_fields(*mapping, *collection); !fits) co_return std::move(fits).error();
    auto source = RowSource::of(*mapping, request.format.value_or(ImportFormat::csv));
    if (!source) co_return std::move(source).error();
    ImportRun run(*this, std::move(caller), std::move(*work), std::move(*source));
    co_return co_await run.run(body);
  }
  if (request.format && *request.format != format_of(*request.preset))
    co_return Error(Code::invalid, "the preset has a format of its own").at("format");
  // Nothing is declared for a file that is of another kind.
  Begun begun(body);
  auto fits = co_await begun.has_rows(RowSource::of(*request.preset));
  if (!fits) co_return std::move(fits).error();
  bool declared = false;
  for (auto& spec : collections_of(*request.preset)) {
    if (!*fits || work->schema->find(spec.collection)) continue;
    if (!context_.permits.may(caller, "collections.put"))
      co_return Error(Code::forbidden,
                      "a collection of the preset is not declared, and this key may not declare it")
          .at(spec.collection);
    auto made = co_await declarations_.put(caller, std::move(spec));
    if (!made) co_return std::move(made).error();
    declared = true;
    auto renewed = co_await context_.permits.renewed(std::move(caller));
    if (!renewed) co_return std::move(renewed).error();
    caller = std::move(*renewed);
  }
  if (declared) {
    work = co_await begin(context_, caller);
    if (!work) co_return std::move(work).error();
  }
  ImportRun run(*this, std::move(caller), std::move(*work), RowSource::of(*request.preset));
  co_return co_await run.run(begun);
}

Task<Result<ImportReport>> Imports::get(Caller, ImportRequest request) {
  std::scoped_lock lock(mutex_);
  auto found = std::ranges::find(reports_, request.import, &ImportReport::import);
  if (found == reports_.end())
    co_return Error(Code::not_found, "no such import since the server started").at("import");
  co_return *found;
}

void Imports::publish(const ImportReport& report) {
  std::scoped_lock lock(mutex_);
  auto found = std::ranges::find(reports_, report.import, &ImportReport::import);
  if (found != reports_.end()) {
    *found = report;
    return;
  }
  reports_.push_back(report);
  if (reports_.size() > kReports) reports_.pop_front();
}

std::vector<http::Route> import_routes(Imports* imports) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Imports::create>(imports, "imports.create", "POST", "/v1/imports",
                                              "Import a shop's export (CSV or JSON lines)",
                                              {.limits = {.body = 64ull << 30}, .status = 201}));
  out.push_back(http::route<&Imports::get>(imports, "imports.get", "GET", "/v1/imports/{import}",
                                           "How far an import is, or how it ended"));
  return out;
}

}  // namespace holdfast::vault
