#include "vault/cards.h"

#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kAccepted = "SAQ D";
constexpr std::string_view kConsequence =
    "A shop that takes or keeps card numbers itself answers PCI DSS 4.0.1 by SAQ D, which asks for "
    "every requirement, instead of SAQ A; all systems that reach this one come into its scope.";
constexpr std::string_view kAdvice =
    "Leave card entry to the payment gateway's own fields, and keep here its token, the brand and "
    "the last four digits: that is enough to charge again and to show.";

CardsStatus status_of(const Schema& schema, bool on) {
  CardsStatus out{.on = on,
                  .consequence = std::string(kConsequence),
                  .advice = std::string(kAdvice),
                  .fields = {},
                  .event = {}};
  for (const auto& [name, collection] : schema.collections)
    for (const auto& field : collection.fields)
      if (is_card(field.type)) out.fields.push_back(name + '.' + field.name);
  return out;
}

}  // namespace

std::span<const Member> SwitchCardsOn::described() {
  using S = SwitchCardsOn;
  static constexpr Member kMembers[] = {
      member<&S::accept>("accept",
                         "`SAQ D`: the PCI DSS self-assessment that the shop has to answer from "
                         "then on, instead of SAQ A.",
                         {.bytes = 16}),
      member<&S::reason>("reason", "Why; kept sealed in the journal.", {.bytes = 1000}, Place::body,
                         Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> SwitchCardsOff::described() {
  static constexpr Member kMembers[] = {
      member<&SwitchCardsOff::reason>("reason", "Why; kept sealed in the journal.", {.bytes = 1000},
                                      Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> CardsStatus::described() {
  using C = CardsStatus;
  static constexpr Member kMembers[] = {
      member<&C::on>("on", "Whether card data is taken."),
      member<&C::consequence>("consequence", "What it means for the shop's PCI DSS duty.",
                              {.bytes = 1000}),
      member<&C::advice>("advice", "What to do instead.", {.bytes = 1000}),
      member<&C::fields>("fields", "Declared fields of card types, as `collection.field`.",
                         {.bytes = 127, .count = 100'000}),
      member<&C::event>("event", "The journal entry that records a change.")};
  return kMembers;
}

Task<Result<CardsStatus>> Cards::status(Caller caller, CardsStatusRequest) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  co_return status_of(*work->schema, work->schema->cards);
}

Task<Result<CardsStatus>> Cards::switch_on(Caller caller, SwitchCardsOn request) {
  if (request.accept != kAccepted)
    co_return Error(Code::invalid,
                    "with card data the shop's PCI DSS duty grows from SAQ A to SAQ D; better keep "
                    "the gateway's own fields, and here its token, the brand and the last four "
                    "digits; to do it all the same, accept `SAQ D`")
        .at("accept");
  co_return co_await put(std::move(caller), true, request.reason.value_or(""), "cards.switch_on");
}

Task<Result<CardsStatus>> Cards::switch_off(Caller caller, SwitchCardsOff request) {
  co_return co_await put(std::move(caller), false, request.reason.value_or(""), "cards.switch_off");
}

Task<Result<CardsStatus>> Cards::put(Caller caller, bool on, std::string reason,
                                     std::string_view activity) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto out = status_of(*work->schema, on);
  if (work->schema->cards == on) co_return out;
  auto rows = co_await context_.journal.reader().read(kListSwitches, {}, caller.deadline);
  if (!rows) co_return std::move(rows).error();
  std::int64_t version = 1;
  for (std::size_t i = 0; i < rows->size(); ++i)
    if ((*rows)[i].text(0) == kCardsSwitch) version = (*rows)[i].integer(1) + 1;
  std::string declared(on ? kSwitchedOn : kSwitchedOff);
  auto mac = authority_mac(*work->keys, "switches", kCardsSwitch, version, declared);
  db::Changes changes;
  changes.write(kPutSwitch, {std::string(kCardsSwitch), version, declared, mac},
                db::Expect::exactly(1),
                Error(Code::conflict, "card data was switched meanwhile: look and repeat"));
  journal::Journal::bump_generation(changes);
  journal::Event event{
      .activity = activity,
      .touches = {{{},
                   "switches",
                   to_bytes(kCardsSwitch),
                   declared_digest(*work->keys, "switches", kCardsSwitch, declared, mac)}},
      .facts = {{"pci_dss", std::string(on ? "SAQ D" : "SAQ A, once no card data is held")},
                {"version", version}},
      .note = std::move(reason)};
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  out.event = done->receipt.event;
  co_return out;
}

std::vector<http::Route> card_routes(Cards* cards) {
  std::vector<http::Route> out;
  out.push_back(
      http::route<&Cards::status>(cards, "cards.status", "GET", "/v1/cards",
                                  "Show whether card data is taken, and what that means"));
  out.push_back(http::route<&Cards::switch_on>(
      cards, "cards.switch_on", "POST", "/v1/cards/switch-on",
      "Take card data: the shop's PCI DSS duty grows from SAQ A to SAQ D",
      {.examples = {{"Knowing what it means", R"({"accept":"SAQ D"})"}}}));
  out.push_back(http::route<&Cards::switch_off>(
      cards, "cards.switch_off", "POST", "/v1/cards/switch-off",
      "Take no more card data; what is held stays until it is deleted"));
  return out;
}

}  // namespace holdfast::vault
