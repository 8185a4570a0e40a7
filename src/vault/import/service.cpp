#include "vault/import/service.h"

#include <algorithm>
#include <ranges>

namespace holdfast::vault {
namespace {

constexpr std::size_t kReports = 100;
// A header line and a row, each at its longest (CSV or JSON lines), and their line ends.
constexpr std::size_t kMaxBegun = 2 * std::max(kMaxCsvRow, kMaxJsonLine) + 1024;

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

  /// Whether `source` finds a first row, wrong or right, in it. Keeps at most kMaxBegun and a
  /// chunk. Errors: those of the body; invalid (so much without a row).
  Task<Result<bool>> has_rows(RowSource source) {
    for (std::size_t kept = 0;;) {
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
      kept += kept_.back().size();
      if (kept > kMaxBegun)
        co_return Error(
            Code::invalid,
            "no row in the first 2 MiB of the file: take out the empty lines before the "
            "first row, and import again");
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

/// Else each row with such a value would be refused by itself. Errors: conflict (each field that is
/// missing).
Result<void> check_preset(const CollectionSpec& spec, const Collection& there) {
  std::vector<Error> missing;
  for (const auto& field : spec.fields)
    if (!there.find(field.name))
      missing.push_back(
          Error(Code::conflict,
                "the collection is declared already, without this field of the preset: add it "
                "with `holdfast collections put`, or import with a mapping of your own")
              .at(FieldPath(spec.collection) / field.name));
  if (missing.empty()) return {};
  auto first = std::move(missing.front());
  first.also.assign(std::make_move_iterator(missing.begin() + 1),
                    std::make_move_iterator(missing.end()));
  return first;
}

}  // namespace

ImportRun::Uses Imports::uses() {
  return {context_, pool_, [this](const ImportReport& report) { publish(report); }};
}

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
    ImportRun run(uses(), std::move(caller), std::move(*work), std::move(*source));
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
    if (!*fits) continue;
    if (const auto* there = work->schema->find(spec.collection)) {
      if (auto has_all = check_preset(spec, *there); !has_all) co_return std::move(has_all).error();
      continue;
    }
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
  ImportRun run(uses(), std::move(caller), std::move(*work), RowSource::of(*request.preset));
  co_return co_await run.run(begun);
}

Task<Result<ImportReport>> Imports::get(Caller, ImportRequest request) {
  std::scoped_lock lock(mutex_);
  auto found = std::ranges::find(reports_, request.import, &ImportReport::import);
  if (found == reports_.end())
    co_return Error(Code::not_found, "no such import since the server started").at("import");
  co_return *found;
}

Task<Result<ImportList>> Imports::list(Caller, ListImports) {
  ImportList out;
  std::scoped_lock lock(mutex_);
  for (const auto& one : std::views::reverse(reports_))
    out.imports.push_back(
        {one.import, time_of(one.import.uuid), one.state, one.bytes, one.rows, one.refused});
  co_return out;
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
                                              {.limits = {.body = 64ull << 30},
                                               .status = 201,
                                               .grows = true,
                                               .example_options = "--preset shopify"}));
  out.push_back(http::route<&Imports::get>(imports, "imports.get", "GET", "/v1/imports/{import}",
                                           "How far an import is, or how it ended"));
  out.push_back(http::route<&Imports::list>(
      imports, "imports.list", "GET", "/v1/imports",
      "List the last hundred imports since the server started, those that run too"));
  return out;
}

}  // namespace holdfast::vault
