#include "vault/records/api.h"

namespace holdfast::vault {

std::vector<http::Route> record_routes(Records* records, Opening* opening) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Records::create>(
      records, "records.create", "POST", "/v1/collections/{collection}/records",
      "Seal the fields of one customer record, or of up to 1,000",
      {.limits = {.body = 32u << 20},
       .status = 201,
       .grows = true,
       .examples = {
           {"One record", R"({"subject":"ext:4711","values":{"email":"ann@example.org"}})"}}}));
  out.push_back(http::route<&Records::list>(records, "records.list", "GET",
                                            "/v1/collections/{collection}/records",
                                            "List records, masked"));
  out.push_back(http::route<&Records::get>(records, "records.get", "GET", "/v1/records/{record}",
                                           "Show a record, masked"));
  out.push_back(http::route<&Records::update>(
      records, "records.update", "PATCH", "/v1/records/{record}", "Change some values of a record",
      {.limits = {.body = 4u << 20},
       .grows = true,
       .examples = {
           {"A new phone number", R"({"values":{"phone":"+44 20 7946 0000"},"version":1})"}}}));
  out.push_back(http::route<&Records::remove>(records, "records.delete", "DELETE",
                                              "/v1/records/{record}",
                                              "Delete a record with its tokens"));
  out.push_back(http::route<&Opening::reveal>(
      opening, "records.reveal", "POST", "/v1/records/{record}/reveal",
      "Open fields of a record for a stated purpose",
      {.examples = {
           {"For a support case", R"({"fields":["email","phone"],"purpose":"support"})"}}}));
  out.push_back(http::route<&Opening::reveal_batch>(opening, "records.reveal_batch", "POST",
                                                    "/v1/records/reveal",
                                                    "Open the same fields of up to 1,000 records"));
  out.push_back(http::route<&Opening::verify>(
      opening, "records.verify", "POST", "/v1/records/{record}/verify",
      "Compare a value that the customer gave with the sealed one",
      {.examples = {{"Is this their email?",
                     R"({"field":"email","value":"ann@example.org","purpose":"support"})"}}}));
  return out;
}

}  // namespace holdfast::vault
