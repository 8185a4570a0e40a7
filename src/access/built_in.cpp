// The roles that come with the program, as data. Purposes and fields are those of the import
// presets; a purpose that a shop has not declared opens nothing.
#include <algorithm>

#include "access/policy.h"

namespace holdfast::access {
namespace {

using Classes = std::vector<FieldClass>;
using Names = std::vector<std::string>;

const Classes& all_classes() {
  static const Classes kAll = {FieldClass::plain, FieldClass::personal, FieldClass::sensitive,
                               FieldClass::payment};
  return kAll;
}

/// What a parcel or a letter needs.
Names delivery_fields() {
  return {"name",     "first_name", "last_name", "company",     "address",       "address1",
          "address2", "street",     "city",      "postal_code", "province",      "province_code",
          "region",   "country",    "phone",     "telephone",   "delivery_note", "country_code"};
}

Grant masks(Classes classes) {
  return {.collection = "*", .classes = std::move(classes)};
}

Grant shows(Classes classes, Names purposes, View view = View::clear, bool needs_person = false) {
  return {.collection = "*",
          .classes = std::move(classes),
          .view = view,
          .purposes = std::move(purposes),
          .needs_person = needs_person};
}

Grant shows_fields(Names fields, Names purposes) {
  return {.collection = "*",
          .fields = std::move(fields),
          .view = View::clear,
          .purposes = std::move(purposes)};
}

Role role(std::string name, std::string doc, Names permissions, std::vector<Grant> grants) {
  return {.role = std::move(name),
          .doc = std::move(doc),
          .permissions = std::move(permissions),
          .grants = std::move(grants),
          .built_in = true};
}

std::vector<Role> make() {
  using enum FieldClass;
  std::vector<Role> out;
  out.push_back(
      role("owner", "Everything, for every purpose.", {"*"}, {shows(all_classes(), {"*"})}));
  out.push_back(
      role("admin", "Runs the server: keys, roles, collections, imports. Sees masks only.",
           {"access.*",          "api_keys.*",      "budgets.*",       "canaries.*",
            "cards.status",      "collections.*",   "purposes.list",   "engagement_kinds.*",
            "engagements.*",     "imports.*",       "indexes.rebuild", "journal.*",
            "keys.progress",     "keys.rehearse",   "keys.status",     "records.get",
            "records.list",      "reports.*",       "requests.answer", "requests.list",
            "requests.open",     "requests.update", "retention.*",     "roles.*",
            "subjects.accesses", "subjects.get"},
           {masks(all_classes())}));
  out.push_back(role("security", "Watches: the journal, keys, canaries; may revoke and lock.",
                     {"access.*", "api_keys.get", "api_keys.list", "api_keys.revoke", "budgets.*",
                      "canaries.*", "cards.status", "engagement_kinds.list", "engagements.list",
                      "journal.*", "keys.lock", "keys.progress", "keys.status", "reports.*",
                      "roles.get", "roles.list", "roles.observed", "subjects.accesses"},
                     {}));
  out.push_back(role("privacy", "Answers customers' rights: access, rectify, restrict, erase.",
                     {"access.explain", "cards.status", "collections.get", "collections.list",
                      "purposes.list", "engagements.list", "journal.*", "records.get",
                      "records.list", "reports.*", "requests.*", "retention.*", "subjects.*"},
                     {masks(all_classes()), shows(all_classes(), {"subject_request"})}));
  out.push_back(role("support", "Helps customers: opens personal fields for support.",
                     {"access.explain", "collections.get", "collections.list", "purposes.list",
                      "engagement_kinds.list", "engagements.*", "records.get", "records.list",
                      "records.reveal", "records.reveal_batch", "records.search", "records.verify",
                      "requests.list", "requests.open", "subjects.get", "tokens.reveal"},
                     {masks(all_classes()), shows({plain, personal}, {"support"})}));
  out.push_back(role("fulfilment", "Sends orders: opens names, addresses and phones for that.",
                     {"access.explain", "collections.get", "collections.list", "purposes.list",
                      "fill", "fills.get", "records.get", "records.list", "records.reveal",
                      "records.reveal_batch", "records.search", "subjects.get", "tokens.reveal"},
                     {masks({plain, personal}), shows({plain}, {"order_fulfilment"}),
                      shows_fields(delivery_fields(), {"order_fulfilment"})}));
  out.push_back(role(
      "marketing", "Mailings to those who agreed: opens emails and first names.",
      {"access.explain", "collections.get", "collections.list", "purposes.list", "fill",
       "fills.get", "records.get", "records.list", "records.search", "reports.art30",
       "reports.art30_page", "reports.data_map", "reports.data_map_csv", "reports.key_versions",
       "reports.unused", "subjects.get", "subjects.object", "tokens.reveal"},
      {masks({plain, personal}), shows({plain}, {"marketing"}),
       shows_fields({"email", "first_name"}, {"marketing"})}));
  auto invoice = delivery_fields();
  invoice.insert(invoice.end(), {"email", "tax_id", "vat_id", "taxvat", "iban"});
  out.push_back(role("finance", "Invoices and accounts: opens what they must state.",
                     {"access.explain", "collections.get", "collections.list", "purposes.list",
                      "fill", "fills.get", "records.get", "records.list", "records.reveal",
                      "records.reveal_batch", "records.search", "reports.art30",
                      "reports.art30_page", "reports.data_map", "reports.data_map_csv",
                      "reports.key_versions", "reports.unused", "subjects.get", "tokens.reveal"},
                     {masks({plain, personal, payment}), shows({plain}, {"accounting"}),
                      shows_fields(std::move(invoice), {"accounting"})}));
  out.push_back(role("developer",
                     "Builds the integration: declares, imports, writes. Opens nothing.",
                     {"access.explain", "collections.*", "purposes.list", "imports.*",
                      "indexes.rebuild", "keys.status", "records.create", "records.get",
                      "records.list", "records.update", "reports.unused", "subjects.get",
                      "tokens.create", "tokens.delete", "tokens.exchange", "tokens.sealing_key"},
                     {masks({plain, personal})}));
  out.push_back(role("auditor", "Reads and verifies the journal.", {"journal.*"}, {}));
  out.push_back(role(
      "service", "The shop's backend: writes, searches, verifies; opens for the person it names.",
      {"access.explain",   "collections.get",       "collections.list",
       "purposes.list",    "engagement_kinds.list", "engagements.close",
       "engagements.find", "engagements.open",      "fill",
       "fills.get",        "records.create",        "records.get",
       "records.list",     "records.reveal",        "records.reveal_batch",
       "records.search",   "records.update",        "records.verify",
       "requests.open",    "subjects.consent",      "subjects.export",
       "subjects.get",     "subjects.object",       "tokens.*"},
      {masks(all_classes()),
       shows({plain, personal},
             {"accounting", "fraud_check", "marketing", "order_fulfilment", "support"},
             View::verify),
       shows({plain, personal},
             {"accounting", "fraud_check", "marketing", "order_fulfilment", "self_service",
              "support"},
             View::clear, true)}));
  std::ranges::sort(out, {}, &Role::role);
  return out;
}

}  // namespace

std::span<const Role> built_in_roles() {
  static const std::vector<Role> kRoles = make();
  return kRoles;
}

const Role* find_built_in(std::string_view name) {
  auto roles = built_in_roles();
  auto at = std::ranges::lower_bound(roles, name, {},
                                     [](const Role& r) -> std::string_view { return r.role; });
  return at != roles.end() && at->role == name ? &*at : nullptr;
}

}  // namespace holdfast::access
