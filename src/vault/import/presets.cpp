#include "vault/import/presets.h"

#include <algorithm>
#include <string>
#include <utility>

namespace holdfast::vault {
namespace {

// ── every field that a preset can fill, once

struct FieldRow {
  std::string_view name;
  FieldType type;
  IndexKind index = IndexKind::none;
  FieldClass field_class = FieldClass::personal;
  std::string_view keep_group = "account";
  std::int64_t max_bytes = 0;  // 0: by type
};

constexpr FieldRow kCustomerFields[] = {
    {"title", FieldType::name},
    {"name", FieldType::name},
    {"first_name", FieldType::name},
    {"middle_name", FieldType::name},
    {"last_name", FieldType::name},
    {"suffix", FieldType::name},
    {"email", FieldType::email, IndexKind::exact},
    {"phone", FieldType::phone, IndexKind::exact},
    {"username", FieldType::text},
    {"company", FieldType::name},
    {"birthday", FieldType::date},
    {"gender", FieldType::text},
    {"tax_id", FieldType::tax_id, IndexKind::none, FieldClass::personal, "legal"},
    {"note", FieldType::text, IndexKind::none, FieldClass::personal, "account", 20'000},
    {"tags", FieldType::text, IndexKind::none, FieldClass::personal, "account", 16'384},
    {"email_marketing", FieldType::text, IndexKind::none, FieldClass::plain},
    {"sms_marketing", FieldType::text, IndexKind::none, FieldClass::plain},
    {"tax_exempt", FieldType::text, IndexKind::none, FieldClass::plain},
    {"total_spent", FieldType::text},
    {"total_orders", FieldType::text},
    {"customer_group", FieldType::text, IndexKind::none, FieldClass::plain},
    {"website", FieldType::text, IndexKind::none, FieldClass::plain},
    {"store", FieldType::text, IndexKind::none, FieldClass::plain},
    {"registered", FieldType::date},
    {"last_active", FieldType::date}};

constexpr FieldRow kAddressFields[] = {
    {"title", FieldType::name},
    {"name", FieldType::name},
    {"first_name", FieldType::name},
    {"middle_name", FieldType::name},
    {"last_name", FieldType::name},
    {"suffix", FieldType::name},
    {"company", FieldType::name},
    {"line1", FieldType::address_line},
    {"line2", FieldType::address_line},
    {"city", FieldType::address_line},
    {"region", FieldType::address_line},
    {"postal_code", FieldType::postal_code},
    {"country", FieldType::country},
    {"email", FieldType::email, IndexKind::exact},
    {"phone", FieldType::phone, IndexKind::exact},
    {"fax", FieldType::phone},
    {"tax_id", FieldType::tax_id, IndexKind::none, FieldClass::personal, "legal"},
    {"default_billing", FieldType::text, IndexKind::none, FieldClass::plain},
    {"default_shipping", FieldType::text, IndexKind::none, FieldClass::plain}};

// ── the shapes

constexpr std::string_view kTechnical = "technical: nothing about the customer";
constexpr std::string_view kDerived = "derived from other columns";
constexpr std::string_view kPassword =
    "password hashes need the identity capability, which this version does not have";
constexpr std::string_view kResetToken = "tokens of sessions and password resets are never kept";

Shape shopify() {
  constexpr std::size_t kCustomer = 0, kAddress = 1;
  return {.name = "shopify",
          .required = {"Customer ID"},
          .external_id = {{"Customer ID", 0, "", Clean::apostrophe}},
          .records = {{.collection = "customers"}, {.collection = "addresses", .key = "default"}},
          .rules = {{"First Name", kCustomer, "first_name"},
                    {"Last Name", kCustomer, "last_name"},
                    {"Email", kCustomer, "email"},
                    {"Accepts Email Marketing", kCustomer, "email_marketing", Clean::yes_no},
                    {"Phone", kCustomer, "phone", Clean::apostrophe},
                    {"Accepts SMS Marketing", kCustomer, "sms_marketing", Clean::yes_no},
                    {"Total Spent", kCustomer, "total_spent"},
                    {"Total Orders", kCustomer, "total_orders"},
                    {"Note", kCustomer, "note"},
                    {"Tax Exempt", kCustomer, "tax_exempt", Clean::yes_no},
                    {"Tags", kCustomer, "tags"},
                    {"Default Address Company", kAddress, "company"},
                    {"Default Address Address1", kAddress, "line1", Clean::lines},
                    {"Default Address Address2", kAddress, "line2", Clean::lines},
                    {"Default Address City", kAddress, "city"},
                    {"Default Address Province Code", kAddress, "region"},
                    {"Default Address Country Code", kAddress, "country"},
                    {"Default Address Zip", kAddress, "postal_code", Clean::apostrophe},
                    {"Default Address Phone", kAddress, "phone", Clean::apostrophe}}};
}

Shape magento_customers() {
  return {.name = "magento_customers",
          .required = {"email", "_website"},
          .external_id = {{"email", 0, "", Clean::lower}},
          .scope = "_website",
          .records = {{.collection = "customers"}},
          .rules = {{"email", 0, "email"},
                    {"_website", 0, "website"},
                    {"_store", 0, "store"},
                    {"created_at", 0, "registered", Clean::date},
                    {"dob", 0, "birthday", Clean::date},
                    {"prefix", 0, "title"},
                    {"firstname", 0, "first_name"},
                    {"middlename", 0, "middle_name"},
                    {"lastname", 0, "last_name"},
                    {"suffix", 0, "suffix"},
                    {"gender", 0, "gender"},
                    {"group_id", 0, "customer_group"},
                    {"taxvat", 0, "tax_id"}},
          .left_out = {{"password_hash", kPassword},
                       {"password", kPassword},
                       {"rp_token", kResetToken},
                       {"rp_token_created_at", kResetToken},
                       {"confirmation", "confirmation keys are never kept"},
                       {"created_in", kDerived},
                       {"disable_auto_group_change", kTechnical},
                       {"store_id", kTechnical},
                       {"website_id", kTechnical}}};
}

Shape magento_addresses() {
  return {.name = "magento_addresses",
          .required = {"_email", "_entity_id"},
          .external_id = {{"_email", 0, "", Clean::lower}},
          .scope = "_website",
          .records = {{.collection = "addresses", .key_column = "_entity_id"}},
          .rules = {{"prefix", 0, "title"},
                    {"firstname", 0, "first_name"},
                    {"middlename", 0, "middle_name"},
                    {"lastname", 0, "last_name"},
                    {"suffix", 0, "suffix"},
                    {"company", 0, "company"},
                    {"street", 0, "line1", Clean::lines},
                    {"city", 0, "city"},
                    {"region", 0, "region"},
                    {"postcode", 0, "postal_code", Clean::apostrophe},
                    {"country_id", 0, "country"},
                    {"telephone", 0, "phone", Clean::apostrophe},
                    {"fax", 0, "fax", Clean::apostrophe},
                    {"vat_id", 0, "tax_id"},
                    {"_address_default_billing_", 0, "default_billing", Clean::yes_no},
                    {"_address_default_shipping_", 0, "default_shipping", Clean::yes_no}},
          .left_out = {{"region_id", kDerived},
                       {"vat_is_valid", kTechnical},
                       {"vat_request_date", kTechnical},
                       {"vat_request_id", kTechnical},
                       {"vat_request_success", kTechnical}}};
}

Shape woocommerce_report() {
  constexpr std::size_t kCustomer = 0, kAddress = 1;
  return {.name = "woocommerce_report",
          .required = {"Username", "Email"},
          .external_id = {{"Username", 0, ""}, {"Email", 0, "", Clean::lower}},
          .records = {{.collection = "customers"}, {.collection = "addresses", .key = "billing"}},
          .rules = {{"Name", kCustomer, "name"},
                    {"Username", kCustomer, "username"},
                    {"Last Active", kCustomer, "last_active", Clean::date},
                    {"Date Registered", kCustomer, "registered", Clean::date},
                    {"Email", kCustomer, "email"},
                    {"Orders", kCustomer, "total_orders"},
                    {"Total Spend", kCustomer, "total_spent"},
                    {"Country / Region", kAddress, "country"},
                    {"City", kAddress, "city"},
                    {"Region", kAddress, "region"},
                    {"Postal Code", kAddress, "postal_code", Clean::apostrophe}},
          .left_out = {{"AOV", kDerived}}};
}

Shape woocommerce_users() {
  Shape out{.name = "woocommerce_users",
            .required = {"user_email"},
            .external_id = {{"ID", 0, "", Clean::apostrophe},
                            {"customer_id", 0, "", Clean::apostrophe},
                            {"user_login", 0, ""},
                            {"user_email", 0, "", Clean::lower}},
            .records = {{.collection = "customers"},
                        {.collection = "addresses", .key = "billing"},
                        {.collection = "addresses", .key = "shipping"}},
            .rules = {{"user_login", 0, "username"},
                      {"user_email", 0, "email"},
                      {"first_name", 0, "first_name"},
                      {"last_name", 0, "last_name"},
                      {"user_registered", 0, "registered", Clean::date}},
            .left_out = {{"user_pass", kPassword},
                         {"user_activation_key", kResetToken},
                         {"session_tokens", kResetToken}}};
  std::size_t record = 1;
  for (std::string kind : {"billing_", "shipping_"}) {
    for (ColumnRule rule :
         {ColumnRule{"first_name", record, "first_name"},
          ColumnRule{"last_name", record, "last_name"}, ColumnRule{"company", record, "company"},
          ColumnRule{"address_1", record, "line1", Clean::lines},
          ColumnRule{"address_2", record, "line2", Clean::lines},
          ColumnRule{"city", record, "city"}, ColumnRule{"state", record, "region"},
          ColumnRule{"postcode", record, "postal_code", Clean::apostrophe},
          ColumnRule{"country", record, "country"}, ColumnRule{"email", record, "email"},
          ColumnRule{"phone", record, "phone", Clean::apostrophe}}) {
      rule.column.insert(0, kind);
      out.rules.push_back(std::move(rule));
    }
    ++record;
  }
  return out;
}

Shape vendure() {
  constexpr std::size_t kCustomer = 0, kAddress = 1;
  return {.name = "vendure",
          .required = {"id"},
          .external_id = {{"id", 0, ""}},
          .records = {{.collection = "customers"},
                      {.collection = "addresses", .key_column = "id", .list = "addresses"}},
          .rules = {{"title", kCustomer, "title"},
                    {"firstName", kCustomer, "first_name"},
                    {"lastName", kCustomer, "last_name"},
                    {"phoneNumber", kCustomer, "phone"},
                    {"emailAddress", kCustomer, "email"},
                    {"createdAt", kCustomer, "registered", Clean::date},
                    {"fullName", kAddress, "name"},
                    {"company", kAddress, "company"},
                    {"streetLine1", kAddress, "line1", Clean::lines},
                    {"streetLine2", kAddress, "line2", Clean::lines},
                    {"city", kAddress, "city"},
                    {"province", kAddress, "region"},
                    {"postalCode", kAddress, "postal_code"},
                    {"country.code", kAddress, "country"},
                    {"countryCode", kAddress, "country"},
                    {"phoneNumber", kAddress, "phone"},
                    {"defaultBillingAddress", kAddress, "default_billing", Clean::yes_no},
                    {"defaultShippingAddress", kAddress, "default_shipping", Clean::yes_no}},
          .left_out = {{"updatedAt", kTechnical}, {"user", kTechnical}}};
}

Shape medusa() {
  constexpr std::size_t kCustomer = 0, kAddress = 1;
  return {.name = "medusa",
          .required = {"id"},
          .external_id = {{"id", 0, ""}},
          .records = {{.collection = "customers"},
                      {.collection = "addresses", .key_column = "id", .list = "addresses"}},
          .rules = {{"email", kCustomer, "email"},
                    {"first_name", kCustomer, "first_name"},
                    {"last_name", kCustomer, "last_name"},
                    {"phone", kCustomer, "phone"},
                    {"company_name", kCustomer, "company"},
                    {"created_at", kCustomer, "registered", Clean::date},
                    {"first_name", kAddress, "first_name"},
                    {"last_name", kAddress, "last_name"},
                    {"company", kAddress, "company"},
                    {"address_1", kAddress, "line1", Clean::lines},
                    {"address_2", kAddress, "line2", Clean::lines},
                    {"city", kAddress, "city"},
                    {"province", kAddress, "region"},
                    {"postal_code", kAddress, "postal_code"},
                    {"country_code", kAddress, "country"},
                    {"phone", kAddress, "phone"},
                    {"is_default_billing", kAddress, "default_billing", Clean::yes_no},
                    {"is_default_shipping", kAddress, "default_shipping", Clean::yes_no}},
          .left_out = {{"updated_at", kTechnical},
                       {"deleted_at", kTechnical},
                       {"has_account", kTechnical},
                       {"customer_id", kTechnical}}};
}

FieldSpec field_spec(const FieldRow& row) {
  FieldSpec out{.name = std::string(row.name), .type = row.type};
  out.field_class = row.field_class;
  out.keep_group = std::string(row.keep_group);
  if (row.field_class == FieldClass::plain) out.mask = Mask::none;
  if (row.index != IndexKind::none) out.index = row.index;
  if (row.max_bytes > 0) out.max_bytes = row.max_bytes;
  return out;
}

bool fills(const std::vector<Shape>& shapes, std::string_view collection, std::string_view field) {
  for (const auto& shape : shapes)
    for (const auto& rule : shape.rules)
      if (rule.field == field && shape.records[rule.record].collection == collection) return true;
  return false;
}

}  // namespace

std::span<const std::string_view> enum_names(Preset) {
  static constexpr std::string_view kNames[] = {"shopify", "magento", "woocommerce", "vendure",
                                                "medusa"};
  return kNames;
}

std::span<const std::string_view> enum_names(ImportFormat) {
  static constexpr std::string_view kNames[] = {"csv", "json_lines"};
  return kNames;
}

ImportFormat format_of(Preset preset) {
  return preset == Preset::vendure || preset == Preset::medusa ? ImportFormat::json_lines
                                                               : ImportFormat::csv;
}

std::vector<Shape> shapes_of(Preset preset) {
  std::vector<Shape> out;
  switch (preset) {
    case Preset::shopify:
      out.push_back(shopify());
      break;
    case Preset::magento:
      out.push_back(magento_addresses());
      out.push_back(magento_customers());
      break;
    case Preset::woocommerce:
      out.push_back(woocommerce_users());
      out.push_back(woocommerce_report());
      break;
    case Preset::vendure:
      out.push_back(vendure());
      break;
    case Preset::medusa:
      out.push_back(medusa());
      break;
  }
  return out;
}

Literal expected_header(Preset preset) {
  switch (preset) {
    case Preset::shopify:
      return "not Shopify's customer export: the header has no `Customer ID` (expected Customer "
             "ID, "
             "First Name, Last Name, Email, ...)";
    case Preset::magento:
      return "not a Magento customer export: expected the main file (email, _website, _store, ..., "
             "firstname, lastname) or the addresses (_website, _email, _entity_id, ...)";
    case Preset::woocommerce:
      return "not a WooCommerce export: expected the customers report (Name, Username, ..., Email) "
             "or a user export (ID, user_login, user_email, ...)";
    case Preset::vendure:
    case Preset::medusa:
      break;
  }
  return "not a customer of the shop's admin API: it has no `id`";
}

std::vector<CollectionSpec> collections_of(Preset preset) {
  auto shapes = shapes_of(preset);
  CollectionSpec customers{.collection = "customers", .doc = "The shop's customers."};
  for (const auto& row : kCustomerFields)
    if (fills(shapes, "customers", row.name)) customers.fields.push_back(field_spec(row));
  CollectionSpec addresses{.collection = "addresses",
                           .doc = "Where they live and receive parcels."};
  for (const auto& row : kAddressFields)
    if (fills(shapes, "addresses", row.name)) addresses.fields.push_back(field_spec(row));
  return {std::move(customers), std::move(addresses)};
}

}  // namespace holdfast::vault
