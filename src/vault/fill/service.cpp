#include "vault/fill/service.h"

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/secret.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kFill = "fill";
constexpr std::size_t kSlice = 8 << 10;               // bytes taken apart at once
constexpr std::size_t kTokens = 1000;                 // opened and recorded at once
constexpr std::size_t kFull = kTokens - kSlice / 31;  // of them, with room for those of a slice
constexpr std::size_t kWindow = 256 << 10;            // bytes held at most before they go out
constexpr std::size_t kListed = 1000;
constexpr std::size_t kReports = 100;
constexpr auto kWindowTime = std::chrono::seconds(60);  // for the database to open and record one
constexpr int kTries = 4;

constexpr std::string_view kNotFound = "not_found";
constexpr std::string_view kForbidden = "forbidden";
constexpr std::string_view kOutside = "outside";
constexpr std::string_view kUnfit = "unfit";

/// Behind one token: its value, or why it stays.
struct Answered {
  Secret value;
  std::string reason;  // empty: there is a value
};
using Answers = std::map<std::string, Answered>;

Error nothing_open() {
  return {Code::forbidden, "none of these tokens is open to you for this purpose"};
}

}  // namespace

/// One fill on its way.
class FillRun {
 public:
  FillRun(Fills& fills, Caller caller, Working work, FillStream request, FillFormat format,
          std::optional<Engaged> engaged)
      : fills_(fills),
        context_(fills.context_),
        caller_(std::move(caller)),
        work_(std::move(work)),
        request_(std::move(request)),
        engaged_(std::move(engaged)),
        shapes_(*work_.schema),
        format_(
            make_format(format, [this](std::string_view text) { return shapes_.may_be(text); })) {
    report_.fill = FillId::make(work_.now);
    report_.format = format;
  }
  ~FillRun() { wipe(text_); }

  Task<Result<void>> run(http::BodyReader& body, http::BodyWriter& out);

 private:
  Task<Result<void>> pass_all(http::BodyReader& body, http::BodyWriter& out);
  Task<Result<void>> flush(http::BodyWriter& out);
  Task<Result<Answers>> open(std::vector<std::string> tokens);
  Task<Result<Answers>> try_open(const std::vector<std::string>& tokens);
  Task<Result<void>> renew();
  void write(const Answers& answers);
  void refuse(std::string_view token, std::uint64_t line, std::string_view reason);

  Fills& fills_;
  const Context& context_;
  Caller caller_;
  Working work_;
  FillStream request_;
  std::optional<Engaged> engaged_;
  TokenShapes shapes_;  // as they were declared when the fill began
  std::unique_ptr<Format> format_;
  Pieces window_;
  std::string text_;  // about to go out
  FillReport report_;
  bool started_ = false;
};

void FillRun::refuse(std::string_view token, std::uint64_t line, std::string_view reason) {
  report_.refused += 1;
  auto known = std::ranges::find(report_.reasons, reason, &FillReason::reason);
  if (known == report_.reasons.end())
    report_.reasons.push_back({std::string(reason), 1});
  else
    known->count += 1;
  if (report_.refusals.size() < kListed)
    report_.refusals.push_back(
        {std::string(token), static_cast<std::int64_t>(line), std::string(reason)});
}

/// What a batch of tokens stands for, opened and recorded: one event.
Task<Result<Answers>> FillRun::try_open(const std::vector<std::string>& tokens) {
  const auto deadline = std::min(caller_.deadline, context_.clock.mono() + kWindowTime);
  auto caller = caller_;
  caller.deadline = deadline;
  auto begun = co_await begin(context_, caller);
  if (!begun) co_return std::move(begun).error();
  work_ = std::move(*begun);
  auto own = co_await fills_.opening_.own_only(work_, caller, request_.purpose);
  if (!own) co_return std::move(own).error();
  auto found = co_await fills_.tokens_.targets(*work_.keys, tokens, *own, deadline);
  if (!found) co_return std::move(found).error();
  Answers out;
  for (const auto& text : tokens) out[text].reason = kNotFound;
  // What only looks like a token, and is none, is nobody's business.
  auto is_token = [](const std::string& text) { return find_token(text).has_value(); };
  if (found->empty() && std::ranges::none_of(tokens, is_token)) co_return out;
  std::vector<RecordId> ids;
  for (const auto& [text, target] : *found) ids.push_back(target.record);
  auto records = co_await context_.store.records(std::move(ids), deadline);
  if (!records) co_return std::move(records).error();

  std::map<RecordId, OpenItem> items;
  std::map<std::pair<RecordId, std::string>, std::vector<std::string>> wanted;
  for (const auto& text : tokens) {
    auto& answer = out.at(text);
    auto one = found->find(text);
    if (one == found->end()) continue;
    auto record = records->find(one->second.record);
    const auto* collection =
        record == records->end() ? nullptr : work_.schema->find(record->second.collection);
    const auto* field = collection ? collection->find(one->second.field) : nullptr;
    answer.reason = "erased";
    if (!field || record->second.subject != one->second.subject) continue;
    answer.reason = "removed";  // unless something is said of it below
    auto& whose = wanted[{one->second.record, field->name}];
    whose.push_back(text);
    if (whose.size() > 1) continue;
    auto& item =
        items.try_emplace(one->second.record, OpenItem{one->second.record, {}}).first->second;
    item.fields.push_back(field->name);
  }
  std::vector<OpenItem> list;
  for (auto& [id, item] : items) list.push_back(std::move(item));
  auto opened = co_await fills_.opening_.open(work_, caller, kFill, std::move(list),
                                              request_.purpose, engaged_);
  if (!opened) co_return std::move(opened).error();
  // Of what an engagement does not cover nothing is clear: it stays and is listed, like the rest.
  opened->barred = {};
  for (auto& record : opened->records) {
    auto each = [&](const std::string& field, auto&& set) {
      for (const auto& text : wanted.at({record.record, field})) set(out.at(text));
    };
    for (auto& value : record.values.entries) {
      const bool masked = std::ranges::find(record.masked, value.name) != record.masked.end();
      each(value.name, [&](Answered& answer) {
        answer.reason = masked ? kForbidden : std::string_view();
        if (!masked) answer.value = Secret::copy(value.value.expose_text());
      });
    }
    for (const auto& refusal : record.refused)
      each(refusal.field, [&](Answered& answer) { answer.reason = refusal.reason; });
  }
  auto& event = opened->event;
  event.facts.emplace_back("fill", report_.fill.text());
  event.facts.emplace_back("tokens", static_cast<std::int64_t>(tokens.size()));
  if (!event.opened) {
    auto said =
        co_await fills_.opening_.refused(std::move(caller), std::move(event), nothing_open());
    if (said.code != Code::forbidden) co_return said;
    co_return out;
  }
  auto done = co_await fills_.opening_.record(work_, caller, *opened, nothing_open());
  if (done) co_return out;
  const auto code = done.error().code;
  if (code != Code::exhausted && code != Code::forbidden) co_return std::move(done).error();
  const auto why = code == Code::exhausted ? "budget" : "engagement";
  for (auto& [text, answer] : out)
    if (answer.reason.empty()) answer = {.value = {}, .reason = why};
  co_return out;
}

/// A policy that changed meanwhile is asked anew.
Task<Result<void>> FillRun::renew() {
  auto renewed = co_await context_.permits.renewed(caller_);
  if (!renewed) co_return std::move(renewed).error();
  if (!context_.permits.may(*renewed, kFill))
    co_return Error(Code::forbidden, "this key may not fill any more");
  caller_ = std::move(*renewed);
  co_return Result<void>();
}

Task<Result<Answers>> FillRun::open(std::vector<std::string> tokens) {
  // A key that expires makes nothing stale.
  if (auto may = co_await context_.permits.still(caller_, kFill); !may)
    co_return std::move(may).error();
  for (int tries = 1;; ++tries) {
    auto answers = co_await try_open(tokens);
    if (answers || answers.error().code != Code::stale || tries == kTries) co_return answers;
    if (auto done = co_await renew(); !done) co_return std::move(done).error();
  }
}

void FillRun::write(const Answers& answers) {
  std::string_view rest = window_.bytes;
  for (const auto& piece : window_.list) {
    auto bytes = rest.substr(0, piece.size);
    rest.remove_prefix(piece.size);
    std::optional<std::string_view> value;
    std::string_view reason;
    if (piece.part == Part::outside) reason = kOutside;
    if (piece.part == Part::token || piece.part == Part::maybe) {
      const auto& answer = answers.at(std::string(bytes));
      reason = answer.reason;
      // What only might have been a token was none.
      if (piece.part == Part::maybe && reason == kNotFound) reason = {};
      if (answer.reason.empty()) value = answer.value.expose_text();
    }
    if (value && !valid_utf8(*value)) {
      value.reset();
      reason = kUnfit;
    }
    const bool fits = format_->write(piece, bytes, value, text_);
    if (value && !fits) reason = kUnfit;
    if (!reason.empty())
      refuse(bytes, piece.line, reason);
    else if (value)
      report_.filled += 1;
  }
}

Task<Result<void>> FillRun::flush(http::BodyWriter& out) {
  std::set<std::string> tokens;
  std::string_view rest = window_.bytes;
  for (const auto& piece : window_.list) {
    if (piece.part == Part::token || piece.part == Part::maybe)
      tokens.emplace(rest.substr(0, piece.size));
    rest.remove_prefix(piece.size);
  }
  Answers answers;
  for (auto at = tokens.begin(); at != tokens.end();) {
    std::vector<std::string> batch;
    while (at != tokens.end() && batch.size() < kTokens) batch.push_back(*at++);
    auto opened = co_await open(std::move(batch));
    if (!opened) co_return std::move(opened).error();
    answers.merge(*opened);
  }
  if (!std::exchange(started_, true)) {
    out.field("Holdfast-Report", report_.fill.text());
    out.field("Trailer",
              "Holdfast-Report, Holdfast-Filled, Holdfast-Refused, Holdfast-Refused-Reasons");
    if (auto begun = co_await out.start(media_type(report_.format)); !begun) co_return begun;
  }
  write(answers);
  answers.clear();
  window_.clear();
  report_.bytes_out += static_cast<std::int64_t>(text_.size());
  auto sent = co_await out.write(text_);
  wipe(text_);
  fills_.publish(caller_.principal, report_);
  co_return sent;
}

Task<Result<void>> FillRun::pass_all(http::BodyReader& body, http::BodyWriter& out) {
  for (bool more = true; more;) {
    auto piece = co_await body.next();
    if (!piece) co_return std::move(piece).error();
    if (out.closing()) co_return Error(Code::unavailable, "the server is stopping");
    more = !piece->empty();
    report_.bytes_in += static_cast<std::int64_t>(piece->size());
    auto rest = *piece;
    while (!rest.empty() || !more) {
      auto read = more ? format_->read(rest.substr(0, kSlice), window_) : format_->finish(window_);
      if (!read) co_return read;
      rest.remove_prefix(std::min(rest.size(), kSlice));
      const bool full = window_.tokens >= kFull || window_.bytes.size() >= kWindow;
      if (full || !more)
        if (auto sent = co_await flush(out); !sent) co_return sent;
      if (!more) break;
    }
  }
  co_return Result<void>();
}

Task<Result<void>> FillRun::run(http::BodyReader& body, http::BodyWriter& out) {
  fills_.publish(caller_.principal, report_);
  auto done = co_await pass_all(body, out);
  report_.state = done ? FillState::done : FillState::failed;
  if (!done) {
    report_.failure = done.error().text;
    if (!done.error().field.empty()) report_.failure += ": " + done.error().field.text();
  }
  fills_.publish(caller_.principal, report_);
  if (!done) co_return done;
  std::string reasons;
  for (const auto& [reason, count] : report_.reasons)
    ((reasons += reasons.empty() ? "" : ", ") += reason + "=") += std::to_string(count);
  out.field("Holdfast-Report", report_.fill.text());
  out.field("Holdfast-Filled", std::to_string(report_.filled));
  out.field("Holdfast-Refused", std::to_string(report_.refused));
  if (!reasons.empty()) out.field("Holdfast-Refused-Reasons", reasons);
  co_return Result<void>();
}

Task<Result<void>> Fills::fill(Caller caller, FillStream request, http::BodyReader& body,
                               http::BodyWriter& out) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  const auto format = request.format ? request.format : format_of(body.type());
  if (!format)
    co_return Error(Code::invalid,
                    "say what the text is: `format`, or a Content-Type of text/csv, "
                    "application/json, application/xml or message/rfc822")
        .at("format");
  auto acting = co_await opening_.prepare(*work, std::move(caller), kFill, request.purpose,
                                          request.on_behalf_of);
  if (!acting) co_return std::move(acting).error();
  auto engaged =
      co_await opening_.engage(*work, *acting, kFill, request.purpose, request.engagement);
  if (!engaged) co_return std::move(engaged).error();
  FillRun run(*this, std::move(*acting), std::move(*work), std::move(request), *format,
              std::move(*engaged));
  co_return co_await run.run(body, out);
}

Task<Result<FillReport>> Fills::get(Caller caller, FillRequest request) {
  std::scoped_lock lock(mutex_);
  for (const auto& one : reports_)
    if (one.report.fill == request.fill && one.principal == caller.principal) co_return one.report;
  co_return Error(Code::not_found, "no such fill of yours since the server started").at("fill");
}

void Fills::publish(const std::string& principal, const FillReport& report) {
  std::scoped_lock lock(mutex_);
  auto known = std::ranges::find_if(
      reports_, [&](const Kept& one) { return one.report.fill == report.fill; });
  if (known != reports_.end()) {
    known->report = report;
    return;
  }
  reports_.push_back({principal, report});
  if (reports_.size() > kReports) reports_.pop_front();
}

std::vector<http::Route> fill_routes(Fills* fills) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Fills::fill>(
      fills, "fill", "POST", "/v1/fill", "Replace the tokens in a stream of text by their values",
      {.limits = {.body = 64ull << 30}, .example_options = "--purpose PURPOSE --format csv"}));
  out.push_back(http::route<&Fills::get>(fills, "fills.get", "GET", "/v1/fills/{fill}",
                                         "What a fill replaced, and what it left and why"));
  return out;
}

// ── members

std::span<const std::string_view> enum_names(FillState) {
  static constexpr std::string_view kNames[] = {"running", "done", "failed"};
  return kNames;
}

std::span<const Member> FillStream::described() {
  using F = FillStream;
  static constexpr Member kMembers[] = {
      member<&F::purpose>("purpose", "A declared purpose, such as `order_fulfilment`.",
                          {.bytes = 63}, holdfast::Place::query),
      member<&F::format>("format", "What the text is; told from Content-Type unless said.", {},
                         holdfast::Place::query),
      member<&F::on_behalf_of>("on_behalf_of", "Whom the key acts for, such as `staff:17`.",
                               {.bytes = 100}, holdfast::Place::query),
      member<&F::engagement>(
          "engagement",
          "The live engagement (`eng_...`) that this is for, where a grant demands one.",
          {.bytes = 30}, holdfast::Place::query)};
  return kMembers;
}

std::span<const Member> FillRequest::described() {
  static constexpr Member kMembers[] = {member<&FillRequest::fill>(
      "fill", "From the answer's `Holdfast-Report`.", {}, holdfast::Place::path)};
  return kMembers;
}

std::span<const Member> FillRefusal::described() {
  using R = FillRefusal;
  static constexpr Member kMembers[] = {
      member<&R::token>("token", "The token, which stands as it stood."),
      member<&R::line>("line", "Where, counted from 1."),
      member<&R::reason>(
          "reason",
          "`not_found`, `forbidden`, `expired`, `removed`, `erased`, `corrupt`, `budget`, "
          "`engagement`; `outside` (no place for a value), `unfit` (the place cannot "
          "hold this value); or what the customer decided.")};
  return kMembers;
}

std::span<const Member> FillReason::described() {
  using R = FillReason;
  static constexpr Member kMembers[] = {member<&R::reason>("reason", "As in `refusals`."),
                                        member<&R::count>("count", "How often.")};
  return kMembers;
}

std::span<const Member> FillReport::described() {
  using R = FillReport;
  static constexpr Member kMembers[] = {
      member<&R::fill>("fill", "The fill's id."),
      member<&R::state>("state", "How far it is."),
      member<&R::format>("format", "What the text was read as."),
      member<&R::bytes_in>("bytes_in", "Bytes of text read."),
      member<&R::bytes_out>("bytes_out", "Bytes of text written."),
      member<&R::filled>("filled", "Places where a value was put."),
      member<&R::refused>("refused", "Places where a token was left as it stood."),
      member<&R::reasons>("reasons", "How often for which reason."),
      member<&R::refusals>("refusals", "The first 1,000 of them."),
      member<&R::failure>("failure", "Why it did not come to its end; empty otherwise.")};
  return kMembers;
}

}  // namespace holdfast::vault
