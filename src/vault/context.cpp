#include "vault/context.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "http/target.h"
#include "vault/engagement.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kLongestExternal = 256;
constexpr std::string_view kCustomer = "customer:";

/// The row behind an alias; any other as it is. Both must be rows that Holdfast wrote.
Task<Result<std::optional<Subject>>> behind(const Context& context, const crypto::KeySet& keys,
                                            Subject found, MonoTime deadline) {
  if (auto good = standing_of(keys, found); !good) co_return std::move(good).error();
  if (!found.merged_into) co_return std::optional(std::move(found));
  auto target = co_await context.store.subject(*found.merged_into, deadline);
  if (!target) co_return std::move(target).error();
  // The id is bound by the MAC, so that a row cannot stand in for another.
  if (!*target || (*target)->merged_into)
    co_return Error(Code::corrupt, "a customer who was merged into another leads nowhere");
  if (auto good = standing_of(keys, **target); !good) co_return std::move(good).error();
  co_return target;
}

/// All of them, in place.
template <class Key>
Task<Result<std::map<Key, Subject>>> all_behind(const Context& context, const crypto::KeySet& keys,
                                                std::map<Key, Subject> found, MonoTime deadline) {
  std::size_t looked = 0;
  for (auto& [key, subject] : found) {
    auto whose = co_await behind(context, keys, std::move(subject), deadline);
    if (!whose) co_return std::move(whose).error();
    subject = std::move(**whose);
    if (++looked % 256 == 0) co_await give_way();
  }
  co_return found;
}

}  // namespace

Task<Result<Working>> begin(const Context& context, const Caller& caller) {
  auto keys = context.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked: nothing can be sealed or opened");
  auto schema = co_await context.schemas.get(caller);
  if (!schema) co_return std::move(schema).error();
  co_return Working{std::move(keys), std::move(*schema), context.clock.now()};
}

Result<SubjectRef> parse_subject_ref(std::string_view text) {
  if (text.starts_with("ext:")) {
    auto external = text.substr(4);
    if (external.empty() || external.size() > kLongestExternal || !valid_utf8(external) ||
        has_control(external, false))
      return Error(Code::invalid,
                   "an external id is 1 to 256 bytes of text without control characters");
    if (!http::unambiguous(text))
      return Error(Code::invalid,
                   "an external id holds no backslash, no `%` before two hexadecimal digits and no "
                   "`.` or `..` between slashes: no address could name it; give the customer "
                   "another id");
    return SubjectRef{{}, std::string(external)};
  }
  auto id = SubjectId::parse(text);
  if (!id) return Error(Code::invalid, "a customer is written sub_... or ext:<the shop's own id>");
  return SubjectRef{id, {}};
}

Task<Result<std::optional<Subject>>> subject_of(const Context& context, const crypto::KeySet& keys,
                                                SubjectRef ref, MonoTime deadline) {
  auto found =
      ref.id ? co_await context.store.subject(*ref.id, deadline)
             : co_await context.store.subject_by_term(external_term(keys, ref.external), deadline);
  if (!found || !*found) co_return found;
  co_return co_await behind(context, keys, std::move(**found), deadline);
}

Task<Result<std::map<Bytes, Subject>>> subjects_of(const Context& context,
                                                   const crypto::KeySet& keys,
                                                   std::vector<Bytes> terms, MonoTime deadline) {
  auto found = co_await context.store.subjects_by_term(std::move(terms), deadline);
  if (!found) co_return std::move(found).error();
  co_return co_await all_behind(context, keys, std::move(*found), deadline);
}

Task<Result<std::map<SubjectId, Subject>>> subjects_of(const Context& context,
                                                       const crypto::KeySet& keys,
                                                       std::vector<SubjectId> ids,
                                                       MonoTime deadline) {
  auto found = co_await context.store.subjects(std::move(ids), deadline);
  if (!found) co_return std::move(found).error();
  co_return co_await all_behind(context, keys, std::move(*found), deadline);
}

Task<Result<Subject>> find_subject(const Context& context, const crypto::KeySet& keys,
                                   std::string_view ref, MonoTime deadline) {
  auto parsed = parse_subject_ref(ref);
  if (!parsed) co_return std::move(parsed).error().at("subject");
  auto found = co_await subject_of(context, keys, std::move(*parsed), deadline);
  if (!found) co_return std::move(found).error();
  if (!*found) co_return Error(Code::not_found, "no such customer").at("subject");
  co_return std::move(**found);
}

Task<Result<std::optional<SubjectId>>> own_subject(const Context& context,
                                                   const crypto::KeySet& keys, Caller caller) {
  if (!caller.on_behalf_of.starts_with(kCustomer)) co_return std::nullopt;
  auto external = std::string_view(caller.on_behalf_of).substr(kCustomer.size());
  auto found = co_await subject_of(context, keys, {{}, std::string(external)}, caller.deadline);
  if (!found) co_return std::move(found).error();
  co_return std::optional(*found ? (*found)->id : SubjectId{});
}

Task<Result<Caller>> acting_for_own(const Context& context, const crypto::KeySet& keys,
                                    Caller caller, std::string_view activity, SubjectId subject,
                                    std::optional<std::string> on_behalf_of) {
  if (on_behalf_of) {
    auto named = context.permits.acting_for(caller, *on_behalf_of);
    if (!named) {
      auto error = std::move(named).error().at("on_behalf_of");
      if (error.code != Code::forbidden) co_return error;
      co_return co_await refused_for(context, std::move(caller), activity, subject,
                                     std::move(error));
    }
    caller = std::move(*named);
  }
  auto own = co_await own_subject(context, keys, caller);
  if (!own) co_return std::move(own).error();
  if (*own && **own != subject)
    co_return co_await refused_for(
        context, std::move(caller), activity, subject,
        Error(Code::forbidden, "customers may do this for themselves only; this try was recorded")
            .at("subject"));
  co_return caller;
}

Task<Error> refused_for(const Context& context, Caller caller, std::string_view activity,
                        SubjectId subject, Error error) {
  journal::Event event{.activity = activity,
                       .outcome = journal::Outcome::refused,
                       .reason = code_name(error.code),
                       .touches = {{subject, "subjects", to_bytes(subject.bytes()), {}}}};
  auto done = co_await context.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return error;
}

Result<void> changeable(const crypto::KeySet& keys, const Subject& subject) {
  auto standing = standing_of(keys, subject);
  if (!standing) return std::move(standing).error();
  if (standing->restricted)
    return Error(Code::conflict,
                 "this customer's data is restricted: rectify it, or lift the restriction first");
  return {};
}

Result<std::optional<std::int64_t>> expected_version(std::string_view if_match,
                                                     std::optional<std::int64_t> version) {
  if (if_match.empty() || if_match == "*") return version;
  std::int64_t read = 0;
  auto [end, bad] = std::from_chars(if_match.data(), if_match.data() + if_match.size(), read);
  if (bad != std::errc() || end != if_match.data() + if_match.size())
    return Error(Code::invalid, "If-Match takes the ETag that a read gave").at("If-Match");
  if (version && *version != read)
    return Error(Code::invalid, "`version` and If-Match disagree").at("version");
  return std::optional(read);
}

bool expired(const Field& field, const Record& record, Time now) {
  if (!field.keep_for || !field.keep) return false;
  auto from = field.keep->from.value_or(KeepFrom::created);
  if (from == KeepFrom::closed) return false;  // the sweep looks when the last one ended
  return (from == KeepFrom::created ? record.created : record.updated) + *field.keep_for <= now;
}

Permitted permitted_field(const Context& context, const Caller& caller, std::string_view operation,
                          const Collection& collection, const Field& field,
                          std::string_view purpose, const Engaged* engaged) {
  FieldQuestion question{operation, collection.name, field.name, field.field_class, purpose};
  if (engaged && engaged->covers(field.name)) {
    question.engagement = engaged->kind;
    question.assignee = engaged->assignee;
  }
  auto out = context.permits.decide(caller, question);
  if (field.purposes.empty() || std::ranges::find(field.purposes, purpose) != field.purposes.end())
    return out;
  // Whatever else a grant demands would not help.
  return {std::min(out.view, View::masked), out.view > View::masked ? 0 : out.terms, {}};
}

View view_of_field(const Context& context, const Caller& caller, std::string_view operation,
                   const Collection& collection, const Field& field, std::string_view purpose) {
  return permitted_field(context, caller, operation, collection, field, purpose, nullptr).view;
}

}  // namespace holdfast::vault
