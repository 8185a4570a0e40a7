#include "vault/canaries/service.h"

#include <algorithm>

#include "base/text.h"
#include "vault/draft.h"
#include "vault/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kAddCanary{"vault.add_canary",
                                    "insert into vault_canaries (mark, sealed) values ($1, $2)"};
inline constexpr db::Sql kCanarySubjects{
    "vault.canary_subjects", "select id, erased_ms from vault_subjects where id {{in $1}}"};

constexpr std::size_t kMark = 16;
constexpr std::int64_t kLookedAt = 100;  // records, for one whose shape a canary takes
constexpr std::size_t kDigits = 6;       // of an invented customer's number
constexpr std::size_t kMostDigits = 18;
constexpr int kTries = 8;  // to invent a number that no customer has

std::uint64_t random_seed() {
  std::uint64_t out = 0;
  for (auto byte : random_bytes(sizeof out)) out = out << 8 | byte;
  return out;
}

Error taken() {
  return Error(Code::conflict, "a customer with this external id exists").at("external_id");
}

bool wants_email(const Collection& collection) {
  return std::ranges::any_of(collection.fields,
                             [](const Field& field) { return field.type == FieldType::email; });
}

std::string text_for(const Field& field, const Invented& person) {
  const auto& name = field.name;
  auto has = [&](std::string_view part) { return name.contains(part); };
  switch (field.type) {
    case FieldType::name:
      if (has("first") || has("given")) return person.first_name;
      if (has("last") || has("family") || has("sur")) return person.last_name;
      if (has("middle") || has("company")) return {};
      return person.first_name + ' ' + person.last_name;
    case FieldType::phone:
      return has("fax") ? std::string() : person.phone;
    case FieldType::address_line:
      if (has("2") || has("company")) return {};
      if (has("city") || has("town")) return person.city;
      if (has("region") || has("province") || has("state")) return person.region;
      return person.street;
    case FieldType::postal_code:
      return person.postal_code;
    case FieldType::country:
      return person.country;
    case FieldType::date:
      return has("birth") || has("dob") ? person.birthday : std::string();
    case FieldType::text:
      if (has("city") || has("town")) return person.city;
      if (has("region") || has("province") || has("state")) return person.region;
      if (has("country")) return person.country;
      return {};
    default:
      return {};
  }
}

/// As many digits as the shop gives its customers.
std::string number_of(std::size_t digits) {
  std::uint64_t first = 1;
  for (std::size_t i = 1; i < digits; ++i) first *= 10;
  return std::to_string(first + random_seed() % (9 * first));
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= kMostDigits &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Whether the sample's own values may be looked at: its customer has neither left nor had the use
/// of their data restricted.
bool may_open(const crypto::KeySet& keys, const Openable& sample) {
  const auto standing = standing_of(keys, *sample.subject);
  return standing && !standing->restricted && !sample.subject->erased;
}

/// The same values, but only of fields that the sample has, and with its plain ones that nothing
/// was invented for; their names go to `opened`. Plain values of a unique index stay its own.
Values shaped(const Collection& collection, Values invented, const Working& work, Openable& sample,
              std::span<const SealedField> fields, std::vector<std::string>& opened) {
  const bool may = may_open(*work.keys, sample);
  Values out;
  for (const auto& one : fields) {
    const auto* field = collection.find(one.field);
    if (!field) continue;
    auto known = std::ranges::find(invented.entries, field->name, &Values::Entry::name);
    if (known != invented.entries.end()) {
      out.entries.push_back(std::move(*known));
      continue;
    }
    if (!may || field->field_class != FieldClass::plain || field->index == IndexKind::unique ||
        expired(*field, sample.record, work.now))
      continue;
    const Binding place{sample.record.subject, sample.record.id, collection.id, field->id,
                        one.since};
    auto plain = sample.keys->open(*work.keys, field->keep_group, place, one.sealed);
    if (!plain || !checked_value(*field, plain->expose_text())) continue;
    opened.push_back(field->name);
    out.entries.push_back(
        {{field->name, std::move(*plain), field->type == FieldType::json}, false});
  }
  return out;
}

}  // namespace

std::span<const std::string_view> enum_names(CanaryState) {
  static constexpr std::string_view kNames[] = {"planted", "erased", "missing"};
  return kNames;
}

Values values_of(const Collection& collection, const Invented& person, std::string_view email) {
  Values out;
  for (const auto& field : collection.fields) {
    auto text = field.type == FieldType::email ? std::string(email) : text_for(field, person);
    if (!text.empty()) out.entries.push_back({{field.name, Secret::copy(text), false}, false});
  }
  return out;
}

/// Of the collection's first records the one with most fields, with its customer; canaries apart.
Task<Result<Loaded>> Canaries::sample_of(const Collection& collection, CanaryCache::Known others,
                                         MonoTime deadline) {
  auto records = co_await context_.store.page(collection.id, RecordId{}, kLookedAt, deadline);
  if (!records) co_return std::move(records).error();
  const Record* best = nullptr;
  std::size_t most = 0;
  for (const auto& record : *records)
    if (auto fields = unpack(record.sealed);
        fields && fields->size() > most && !others.contains(record.subject)) {
      best = &record;
      most = fields->size();
    }
  if (!best) co_return Loaded{};
  co_return co_await context_.store.load({best->id}, deadline);
}

Task<Result<PlantedCanary>> Canaries::plant(Caller caller, PlantCanary request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  const auto* collection = work->schema->find(request.collection);
  if (!collection) co_return Error(Code::not_found, "no such collection").at("collection");
  if (request.email && request.email_domain)
    co_return Error(Code::invalid, "give either an address or a domain").at("email");
  if (wants_email(*collection) && !request.email && !request.email_domain)
    co_return Error(
        Code::invalid,
        "give an address, or a domain, whose mail you receive: an invented one could be "
        "somebody's")
        .at("email_domain");
  const auto person = invent(request.locale, random_seed());
  const auto email =
      request.email.value_or(person.mailbox + '@' + request.email_domain.value_or(""));
  for (const auto& field : collection->fields)
    if (field.type == FieldType::email && !checked_value(field, email)) {
      if (request.email)
        co_return Error(Code::invalid, "not an email address for this collection").at("email");
      co_return Error(Code::invalid, "not a domain of email addresses: such as post.example.org")
          .at("email_domain");
    }
  auto known = co_await context_.journal.reader().read(kListCanaries, {}, caller.deadline);
  if (!known) co_return std::move(known).error();
  if (known->size() >= kMostCanaries)
    co_return Error(Code::conflict, "there are 1,000 canaries: that is enough");
  CanaryCache::Known others;
  for (std::size_t i = 0; i < known->size(); ++i)
    if (auto one = open_canary(*work->keys, (*known)[i].bytes(0), (*known)[i].bytes(1)))
      others.insert(one->subject);

  auto values = values_of(*collection, person, email);
  auto digits = kDigits;
  auto slot = request.slot;
  auto sample = co_await sample_of(*collection, std::move(others), caller.deadline);
  if (!sample) co_return std::move(sample).error();
  if (!sample->records.empty()) {
    auto& one = sample->records.front();
    if (!slot) slot = one.record.slot;
    journal::Event event{
        .activity = "canaries.sample",
        .collection = collection->name,
        .touches = {{one.record.subject, "records", to_bytes(one.record.id.bytes()), {}}}};
    if (auto fields = unpack(one.record.sealed)) {
      auto like = shaped(*collection, values_of(*collection, person, email), *work, one, *fields,
                         event.fields);
      if (!like.entries.empty()) values = std::move(like);
    }
    if (may_open(*work->keys, one)) {
      auto id = one.keys->open(*work->keys, "account", external_binding(one.record.subject),
                               one.subject->external_sealed);
      if (id && is_number(id->expose_text())) digits = id->expose_text().size();
      event.opened = true;
    }
    auto looked = co_await context_.journal.commit(caller, {}, std::move(event));
    if (!looked) co_return std::move(looked).error();
  }
  auto checked = check_values(*collection, values, FieldPath("values"));
  if (!checked) co_return std::move(checked).error();
  if (checked->empty())
    co_return Error(Code::invalid, "nothing of an invented customer fits this collection's fields")
        .at("collection");

  // Numbers as the shop gives them, unless it says one.
  std::string external;
  for (int tries = 0;; ++tries) {
    external = request.external_id.value_or(number_of(digits));
    auto ref = parse_subject_ref("ext:" + external);
    if (!ref) co_return std::move(ref).error().at("external_id");
    auto there = co_await context_.store.subject_by_term(external_term(*work->keys, external),
                                                         caller.deadline);
    if (!there) co_return std::move(there).error();
    if (!*there) break;
    if (request.external_id || tries == kTries) co_return taken();
  }

  Draft draft(*work->keys, work->now);
  SubjectKeys keys{SubjectId{}};
  auto subject = draft.add_subject(external, keys);
  if (!subject) co_return std::move(subject).error();
  PlantedCanary out{.subject = *subject,
                    .external_id = external,
                    .record = {},
                    .values = std::move(values),
                    .event = {}};
  if (!request.without_records) {
    auto record = draft.add_record(keys, *collection, slot, *checked);
    if (!record) co_return std::move(record).error();
    out.record = record->id;
  }

  const auto mark = random_bytes(kMark);
  auto sealed = seal_canary(
      *work->keys, mark,
      {*subject, external,
       std::string(enum_names(Locale{})[static_cast<std::size_t>(request.locale)]), work->now});
  db::Changes row;
  const auto left = canary_digest(*work->keys, mark, sealed);
  row.write(kAddCanary, {mark, std::move(sealed)}, db::Expect::exactly(1));
  journal::Journal::bump_generation(row);
  auto marked = co_await context_.journal.commit(
      caller, std::move(row),
      {.activity = "canaries.plant", .touches = {{{}, "canaries", mark, left}}});
  if (!marked) co_return std::move(marked).error();
  out.event = marked->receipt.event;

  // From here on as for any other customer.
  caller.generation = 0;
  journal::Event event{.activity = "records.create",
                       .collection = collection->name,
                       .touches = std::move(draft.touches())};
  auto done =
      co_await context_.journal.commit(caller, std::move(draft).changes(), std::move(event));
  if (!done && done.error().code == Code::conflict) co_return taken();
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<CanaryList>> Canaries::list(Caller caller, ListCanaries) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto& reader = context_.journal.reader();
  auto rows = co_await reader.read(kListCanaries, {}, caller.deadline);
  if (!rows) co_return std::move(rows).error();
  CanaryList out;
  db::List ids;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto canary = open_canary(*work->keys, (*rows)[i].bytes(0), (*rows)[i].bytes(1));
    if (!canary) {
      ++out.damaged;
      continue;
    }
    ids.cells.emplace_back(to_bytes(canary->subject.bytes()));
    out.canaries.push_back({canary->subject, std::move(canary->external_id),
                            std::move(canary->locale), canary->planted, CanaryState::missing});
  }
  auto subjects = co_await reader.read(kCanarySubjects, {std::move(ids)}, caller.deadline);
  if (!subjects) co_return std::move(subjects).error();
  for (std::size_t i = 0; i < subjects->size(); ++i)
    for (auto& one : out.canaries)
      if (SubjectId::from((*subjects)[i].bytes(0)) == one.subject)
        one.state = (*subjects)[i].null(1) ? CanaryState::planted : CanaryState::erased;
  std::ranges::sort(out.canaries, {}, &CanaryView::planted);
  auto done = co_await context_.journal.commit(
      caller, {},
      {.activity = "canaries.list",
       .facts = {{"shown", static_cast<std::int64_t>(out.canaries.size())}}});
  if (!done) co_return std::move(done).error();
  out.event = done->receipt.event;
  co_return out;
}

std::vector<http::Route> canary_routes(Canaries* canaries) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Canaries::plant>(
      canaries, "canaries.plant", "POST", "/v1/canaries",
      "Invent a customer whose opening is an alarm",
      {.status = 201,
       .grows = true,
       .examples = {
           {"A German one",
            R"({"collection":"customers","locale":"de","email_domain":"post.example.org"})"}}}));
  out.push_back(http::route<&Canaries::list>(canaries, "canaries.list", "GET", "/v1/canaries",
                                             "List the invented customers"));
  return out;
}

std::span<const db::Sql* const> canary_statements() {
  static constexpr const db::Sql* kAll[] = {&kAddCanary, &kCanarySubjects, &kListCanaries};
  return kAll;
}

// ── members

std::span<const Member> PlantCanary::described() {
  using C = PlantCanary;
  static constexpr Member kMembers[] = {
      member<&C::collection>("collection", "Whose fields are filled, such as `customers`.",
                             {.bytes = 63}),
      member<&C::locale>("locale", "Where the customer seems to live."),
      member<&C::external_id>("external_id",
                              "The shop's own id for it; unless said, a number with as many digits "
                              "as the shop's, or six.",
                              {.bytes = 256}, Place::body, Sensitivity::personal),
      member<&C::email>("email", "An address of yours: mail that arrives there is a sign, too.",
                        {.bytes = 254}, Place::body, Sensitivity::personal),
      member<&C::email_domain>("email_domain", "Or a domain whose mail you receive.",
                               {.bytes = 253}),
      member<&C::slot>("slot", "The record's slot; that of a record that is there unless said.",
                       {.bytes = 63}),
      member<&C::without_records>("without_records",
                                  "Only make the customer: the shop's connector writes the values "
                                  "that the answer gives.")};
  return kMembers;
}

std::span<const Member> PlantedCanary::described() {
  using C = PlantedCanary;
  static constexpr Member kMembers[] = {
      member<&C::subject>("subject", "The invented customer."),
      member<&C::external_id>("external_id", "The shop's id for it.", {.bytes = 256}, Place::body,
                              Sensitivity::personal),
      member<&C::record>("record", "Its record; absent with without_records."),
      member<&C::values>("values", "What was invented, to be written into the shop's lists too.",
                         {.bytes = 65'536, .count = 200}, Place::body, Sensitivity::personal),
      member<&C::event>("event", "The journal entry that recorded the planting.")};
  return kMembers;
}

std::span<const Member> CanaryView::described() {
  using C = CanaryView;
  static constexpr Member kMembers[] = {
      member<&C::subject>("subject", "The invented customer."),
      member<&C::external_id>("external_id", "The shop's id for it.", {.bytes = 256}, Place::body,
                              Sensitivity::personal),
      member<&C::locale>("locale", "Where it seems to live."),
      member<&C::planted>("planted", "When it was planted."),
      member<&C::state>("state", "planted, erased, or missing.")};
  return kMembers;
}

std::span<const Member> CanaryList::described() {
  using C = CanaryList;
  static constexpr Member kMembers[] = {
      member<&C::canaries>("canaries", "Oldest first.", {}, Place::body, Sensitivity::personal),
      member<&C::damaged>("damaged",
                          "Rows that do not authenticate: see `holdfast journal verify "
                          "--state`."),
      member<&C::event>("event", "The journal entry that recorded it.")};
  return kMembers;
}

}  // namespace holdfast::vault
