#include "ledger/api.h"

#include <utility>

#include "journal/export.h"
#include "journal/slices.h"

namespace holdfast::ledger {
namespace {

constexpr Millis kLook{100};
/// A reader that takes so long for one piece is dropped; it can go on where it was.
constexpr Millis kSlow{10'000};
constexpr std::chrono::milliseconds kLongVerification{600'000};
constexpr std::string_view kExport = "journal.export";
constexpr std::string_view kEvents = "journal.events";

}  // namespace

std::vector<http::Route> Api::rows(Api* api) {
  using http::route;
  return {
      route<&Api::list>(api, "journal.list", "GET", "/v1/journal", "List events, newest first"),
      route<&Api::checkpoint>(api, "journal.checkpoint", "GET", "/v1/journal/checkpoint",
                              "Show the signed head of the log"),
      route<&Api::consistency>(api, "journal.consistency", "GET", "/v1/journal/consistency",
                               "Prove that a newer log holds all of an older one"),
      route<&Api::scope>(api, "journal.scope", "GET", "/v1/journal/scope",
                         "List the subjects whose values an actor has opened"),
      route<&Api::pseudonym>(api, "journal.pseudonym", "POST", "/v1/journal/pseudonym",
                             "Say under which name the journal knows a person",
                             {.examples = {{"A member of staff", R"({"person":"staff:17"})"}}}),
      route<&Api::verify>(
          api, "journal.verify", "POST", "/v1/journal/verify",
          "Check every entry, batch and tile of the log",
          {.limits = {.time = kLongVerification}, .examples = {{"Rows too", R"({"state":true})"}}}),
      route<&Api::export_log>(api, "journal.export", "GET", "/v1/journal/export",
                              "Download the log as one file that verifies offline"),
      route<&Api::events>(api, "journal.events", "GET", "/v1/journal/events",
                          "Follow the log as server-sent events", {.events = true}),
      route<&Api::get>(api, "journal.get", "GET", "/v1/journal/{entry}", "Show one event"),
      route<&Api::proof>(api, "journal.proof", "GET", "/v1/journal/{entry}/proof",
                         "Prove one event, in a file that verifies offline"),
      route<&Api::sides>(api, "journal.sides", "GET", "/v1/journal/{entry}/sides",
                         "Open the address, user agent, person and reason sealed beside an event")};
}

Task<Result<EntryList>> Api::list(Caller, ListEntries request) {
  return service_.list(std::move(request));
}
Task<Result<JournalEntry>> Api::get(Caller, EntryRef request) {
  return service_.get(std::move(request.entry));
}
Task<Result<journal::EventProof>> Api::proof(Caller, ProofRequest request) {
  return service_.proof(std::move(request));
}
Task<Result<EntrySides>> Api::sides(Caller caller, EntryRef request) {
  return service_.sides(std::move(caller), std::move(request.entry));
}
Task<Result<journal::Head>> Api::checkpoint(Caller, NoArguments) {
  return service_.checkpoint();
}
Task<Result<journal::ConsistencyProof>> Api::consistency(Caller, ConsistencyRequest request) {
  return service_.consistency(std::move(request));
}
Task<Result<Verification>> Api::verify(Caller caller, VerifyLog request) {
  return service_.verify(std::move(caller), std::move(request));
}
Task<Result<Scope>> Api::scope(Caller caller, ScopeRequest request) {
  return service_.scope(std::move(caller), std::move(request));
}
Task<Result<Pseudonym>> Api::pseudonym(Caller, PseudonymRequest request) {
  co_return service_.pseudonym(request);
}

Task<Result<void>> Api::export_log(Caller caller, NoArguments, http::BodyWriter& out) {
  if (auto done = co_await service_.record_export(caller); !done) co_return done;
  if (auto done = co_await out.start("application/octet-stream"); !done) co_return done;
  co_return co_await journal::export_log(
      service_.log(),
      [this, &caller, to = &out](std::string_view bytes) { return give(caller, to, bytes); });
}

/// A piece of an export.
Task<Result<void>> Api::give(Caller caller, http::BodyWriter* out, std::string_view bytes) {
  if (auto may = co_await permits_.still(std::move(caller), kExport); !may) co_return may;
  co_return co_await out->write(bytes);
}

Task<Result<void>> Api::events(Caller caller, EventsRequest request, http::BodyWriter& out) {
  auto& log = service_.log();
  auto next = request.after ? *request.after + 1 : log.size();
  if (auto done = co_await out.start("text/event-stream"); !done) co_return done;
  std::string text;
  while (!out.closing() && clock_.mono() < caller.deadline) {
    text.clear();
    if (next >= log.size()) {
      co_await journal::pause_for(kLook);
    } else {
      auto stored = co_await log.read(next, 100);
      if (!stored) co_return std::move(stored).error();
      if (stored->empty()) co_return Error(Code::corrupt, "entries of the journal are missing");
      for (const auto& one : *stored) {
        if (one.seq >= log.size()) break;
        // JSON holds no line break of its own.
        text.append("id: ").append(std::to_string(one.seq)).append("\ndata: ");
        text.append(one.entry).append("\n\n");
        next = one.seq + 1;
      }
    }
    // After the wait and the read, so that nothing leaves behind the reply of a revocation.
    if (auto may = co_await permits_.still(caller, kEvents); !may) co_return may;
    if (text.empty()) continue;
    auto began = clock_.mono();
    if (auto done = co_await out.write(text); !done) co_return done;
    if (clock_.mono() - began > kSlow)
      co_return Error(Code::unavailable, "the reader of events is too slow");
  }
  co_return Result<void>();
}

}  // namespace holdfast::ledger
