#include "vault/context.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "vault/engagement.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kLongestExternal = 256;

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
    return SubjectRef{{}, std::string(external)};
  }
  auto id = SubjectId::parse(text);
  if (!id) return Error(Code::invalid, "a customer is written sub_... or ext:<the shop's own id>");
  return SubjectRef{id, {}};
}

Task<Result<Subject>> find_subject(const Context& context, const crypto::KeySet& keys,
                                   std::string_view ref, MonoTime deadline) {
  auto parsed = parse_subject_ref(ref);
  if (!parsed) co_return std::move(parsed).error().at("subject");
  auto found = parsed->id ? co_await context.store.subject(*parsed->id, deadline)
                          : co_await context.store.subject_by_term(
                                external_term(keys, parsed->external), deadline);
  if (!found) co_return std::move(found).error();
  if (!*found) co_return Error(Code::not_found, "no such customer").at("subject");
  co_return std::move(**found);
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
  if (from == KeepFrom::closed) return false;  // counts from an engagement's end
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
  if (out.view <= View::masked || field.purposes.empty() ||
      std::ranges::find(field.purposes, purpose) != field.purposes.end())
    return out;
  return {View::masked, 0, out.missing};
}

View view_of_field(const Context& context, const Caller& caller, std::string_view operation,
                   const Collection& collection, const Field& field, std::string_view purpose) {
  return permitted_field(context, caller, operation, collection, field, purpose, nullptr).view;
}

}  // namespace holdfast::vault
