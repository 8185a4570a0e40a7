#include "vault/subjects/service.h"

namespace holdfast::vault {

std::vector<http::Route> subject_routes(Subjects* subjects) {
  using http::route;
  std::vector<http::Route> out;
  out.push_back(route<&Subjects::get>(subjects, "subjects.get", "GET", "/v1/subjects/{subject}",
                                      "Show what is held of a customer, without values"));
  out.push_back(route<&Subjects::erase>(
      subjects, "subjects.erase", "POST", "/v1/subjects/{subject}/erase",
      "Erase a customer for good, but for what a legal duty holds",
      {.examples = {{"On request", R"({"reason":"asked by the customer, ticket 88"})"}}}));
  out.push_back(route<&Subjects::erasure>(
      subjects, "subjects.erasure", "GET", "/v1/subjects/{subject}/erasure",
      "State the erasure of a customer, in a file that verifies offline"));
  out.push_back(route<&Subjects::export_all>(
      subjects, "subjects.export", "POST", "/v1/subjects/{subject}/export",
      "Download everything held of a customer, as JSON or HTML",
      {.examples = {{"To read", R"({"purpose":"subject_request","format":"html"})"}}}));
  out.push_back(route<&Subjects::rectify>(
      subjects, "subjects.rectify", "POST", "/v1/subjects/{subject}/rectify",
      "Put values of a customer right",
      {.examples = {
           {"A name",
            R"({"record":"rec_01h455vb4pex5vsknk084sn02q","values":{"last_name":"Lee"}})"}}}));
  out.push_back(route<&Subjects::restrict>(
      subjects, "subjects.restrict", "POST", "/v1/subjects/{subject}/restrict",
      "Restrict the processing of a customer's data",
      {.examples = {{"While it is checked", R"({"ground":"accuracy_contested"})"}}}));
  out.push_back(route<&Subjects::unrestrict>(subjects, "subjects.unrestrict", "POST",
                                             "/v1/subjects/{subject}/unrestrict",
                                             "Lift a restriction, after the customer was told"));
  out.push_back(route<&Subjects::object>(
      subjects, "subjects.object", "POST", "/v1/subjects/{subject}/object",
      "Note a customer's objection to a purpose, or lift it",
      {.examples = {{"To fraud checks", R"({"purpose":"fraud_check"})"}}}));
  out.push_back(route<&Subjects::consent>(
      subjects, "subjects.consent", "POST", "/v1/subjects/{subject}/consent",
      "Note a customer's consent to a purpose, or its withdrawal",
      {.examples = {
           {"Given", R"({"purpose":"marketing","evidence":"checkout form 7, box ticked"})"},
           {"Withdrawn", R"({"purpose":"marketing","withdrawn":true})"}}}));
  out.push_back(route<&Subjects::standing>(
      subjects, "subjects.standing", "GET", "/v1/subjects/{subject}/standing",
      "Show a customer's restriction, objections and consents with their evidence"));
  out.push_back(
      route<&Subjects::merge>(subjects, "subjects.merge", "POST", "/v1/subjects/{subject}/merge",
                              "Make a guest, or another customer, one with this customer",
                              {.examples = {{"A guest", R"({"from":"ext:guest-1001"})"}}}));
  out.push_back(route<&Subjects::accesses>(subjects, "subjects.accesses", "GET",
                                           "/v1/subjects/{subject}/accesses",
                                           "Who opened what of a customer, when and for what"));
  return out;
}

}  // namespace holdfast::vault
