#include "http/openapi.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "base/json.h"
#include "http/router.h"

namespace holdfast::http {
namespace {

constexpr std::string_view kProblemSchema =
    R"({"type":"object","description":"RFC 9457 problem details.","properties":{)"
    R"("type":{"type":"string","description":"urn:holdfast:problem:<code>"},)"
    R"("title":{"type":"string"},"status":{"type":"integer"},"detail":{"type":"string"},)"
    R"("code":{"type":"string","description":"Stable; branch on this."},)"
    R"("field":{"type":"string","description":"Where in the request, such as records[3].email."},)"
    R"("errors":{"type":"array","description":"All violations, when there are several.","items":)"
    R"({"type":"object","properties":{"code":{"type":"string"},"field":{"type":"string"},)"
    R"("detail":{"type":"string"}},"required":["code","detail"]}},)"
    R"("free_at":{"type":"string","format":"date-time","description":)"
    R"("When a spent budget allows this again."},)"
    R"("request_id":{"type":"string","description":"Named in the server's log and journal."}},)"
    R"("required":["type","title","status","detail","code","request_id"]})";

constexpr std::string_view kProblemResponse =
    R"({"description":"What went wrong.","content":{"application/problem+json":{"schema":)"
    R"({"$ref":"#/components/schemas/Problem"}}}})";

/// What the server answers itself: id, path, summary, media type.
struct Page {
  std::string_view id, path, summary, type;
};
constexpr Page kPages[] = {
    {"server.health", "/healthz", "Whether the process runs", "application/json"},
    {"server.ready", "/readyz", "Whether requests can be served now", "application/json"},
    {"server.metrics", "/metrics",
     "Counters as Prometheus text; from elsewhere than this machine with the permission "
     "metrics.read",
     "text/plain"},
    {"server.openapi", "/openapi.json", "This document", "application/json"}};

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// Joins with commas what is not empty.
class List {
 public:
  void add(std::string_view item) {
    if (!text_.empty()) text_ += ',';
    text_ += item;
  }
  void add(std::string_view name, std::string_view value) {
    add(quoted(name) + ':' + std::string(value));
  }
  std::string object() const { return '{' + text_ + '}'; }
  std::string array() const { return '[' + text_ + ']'; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

std::string_view tag_of(std::string_view id) {
  return id.substr(0, id.find('.'));
}

std::string header_parameter(std::string_view name, std::string_view doc) {
  return R"({"name":)" + quoted(name) + R"(,"in":"header","required":false,"description":)" +
         quoted(doc) + R"(,"schema":{"type":"string","maxLength":128}})";
}

std::string parameters(const Route& route, Schemas& schemas) {
  List out;
  for (auto [place, name] : {std::pair(Place::path, "path"), std::pair(Place::query, "query")})
    for (const auto& member : route.request->members()) {
      if (member.place != place) continue;
      const Type* type = member.type;
      if (type->kind == Kind::optional) type = type->element;
      out.add(R"({"name":)" + quoted(member.name) + R"(,"in":")" + name + R"(","required":)" +
              (place == Place::path || member.required() ? "true" : "false") +
              R"(,"description":)" + quoted(member.doc) + R"(,"schema":)" +
              json_schema(*type, member.limits, schemas) + '}');
    }
  if (route.idempotency_key)
    out.add(header_parameter(
        "Idempotency-Key", "Makes a repeated request give the first one's result, for 24 hours."));
  if (route.if_match)
    out.add(header_parameter("If-Match",
                             "The version that this change was decided on, as ETag gave it."));
  return out.array();
}

std::string examples(const Route& route) {
  List out;
  for (const auto& example : route.examples) {
    if (!parse_json(example.body))
      throw std::logic_error("an example of " + std::string(route.id) + " is not JSON");
    out.add(example.title, R"({"value":)" + std::string(example.body) + '}');
  }
  return out.object();
}

/// Empty when the route takes no body.
std::string request_body(const Route& route, Schemas& schemas) {
  if (route.kind == RouteKind::upload || route.kind == RouteKind::transform)
    return R"({"required":true,"description":"The file, as it is.","content":{"*/*":{}}})";
  bool body = false, elsewhere = false, required = false;
  for (const auto& member : route.request->members()) {
    (member.place == Place::body ? body : elsewhere) = true;
    required |= member.place == Place::body && member.required();
  }
  if (!body) return {};
  auto schema = elsewhere ? json_schema_object(*route.request, Place::body, schemas)
                          : json_schema(*route.request, {}, schemas);
  std::string out = R"({"required":)";
  out += required ? "true" : "false";
  out += R"(,"content":{"application/json":{"schema":)" + schema;
  if (!route.examples.empty()) out += R"(,"examples":)" + examples(route);
  return out + "}}}";
}

std::string responses(const Route& route, Schemas& schemas) {
  std::string content;
  if (route.response)
    content =
        R"({"application/json":{"schema":)" + json_schema(*route.response, {}, schemas) + "}}";
  else
    content = route.kind == RouteKind::events ? R"({"text/event-stream":{}})" : R"({"*/*":{}})";
  List out;
  out.add(std::to_string(route.status), R"({"description":"Done.","content":)" + content + '}');
  out.add("default", R"({"$ref":"#/components/responses/Problem"})");
  return out.object();
}

std::string operation(const Route& route, Schemas& schemas) {
  List out;
  out.add("operationId", quoted(route.id));
  out.add("tags", '[' + quoted(tag_of(route.id)) + ']');
  out.add("summary", quoted(route.summary));
  out.add("description", quoted(std::string(route.summary) + ". Needs the permission `" +
                                std::string(route.id) + "`."));
  if (auto made = parameters(route, schemas); made != "[]") out.add("parameters", made);
  if (auto made = request_body(route, schemas); !made.empty()) out.add("requestBody", made);
  out.add("responses", responses(route, schemas));
  return out.object();
}

std::string page_operation(const Page& page) {
  List out;
  out.add("operationId", quoted(page.id));
  out.add("tags", R"(["server"])");
  out.add("summary", quoted(page.summary));
  out.add("description", quoted(std::string(page.summary) + '.'));
  out.add("security", "[]");
  out.add("responses", R"({"200":{"description":"Done.","content":{)" + quoted(page.type) +
                           R"(:{}}},"default":{"$ref":"#/components/responses/Problem"}})");
  return R"({"get":)" + out.object() + '}';
}

/// Every `{name}` of the path is a path member of the request, and the other way round.
void check_path(const Route& route) {
  std::vector<std::string_view> named, described;
  for (auto segment : path_segments(route.path))
    if (segment.starts_with('{')) named.push_back(segment.substr(1, segment.size() - 2));
  for (const auto& member : route.request->members())
    if (member.place == Place::path) described.push_back(member.name);
  std::ranges::sort(named);
  std::ranges::sort(described);
  if (named != described)
    throw std::logic_error("path and request of " + std::string(route.id) +
                           " differ in their names");
}

std::string lower(std::string_view method) {
  std::string out(method);
  for (char& c : out) c = static_cast<char>(c | 0x20);
  return out;
}

}  // namespace

std::string openapi_document(std::span<const Route> routes, std::string_view title,
                             std::string_view version) {
  Schemas schemas;
  List paths, tags, components;
  std::vector<std::string_view> seen_paths, seen_tags{"server"};
  for (const auto& route : routes) {
    check_path(route);
    auto tag = tag_of(route.id);
    if (std::ranges::find(seen_tags, tag) == seen_tags.end()) seen_tags.push_back(tag);
    if (std::ranges::find(seen_paths, route.path) != seen_paths.end()) continue;
    seen_paths.push_back(route.path);
    List methods;
    for (const auto& other : routes)
      if (other.path == route.path) methods.add(lower(other.method), operation(other, schemas));
    paths.add(route.path, methods.object());
  }
  for (const auto& page : kPages) paths.add(page.path, page_operation(page));
  for (auto tag : seen_tags) tags.add(R"({"name":)" + quoted(tag) + '}');
  for (const auto& entry : schemas.entries) components.add(entry.name, entry.json);
  components.add("Problem", kProblemSchema);

  List info;
  info.add("title", quoted(title));
  info.add("version", quoted(version.empty() ? std::string_view("0") : version));
  info.add("description",
           quoted("Keeps customers' data sealed, and opens it only for a stated purpose."));
  info.add("contact", R"({"name":"The operator of this server"})");
  info.add("license", R"({"name":"Apache-2.0","identifier":"Apache-2.0"})");

  List out;
  out.add("openapi", quoted("3.1.0"));
  out.add("info", info.object());
  out.add("servers", R"([{"url":"/"}])");
  out.add("security", R"([{"key":[]}])");
  out.add("tags", tags.array());
  out.add("paths", paths.object());
  out.add(
      "components",
      R"({"schemas":)" + components.object() + R"(,"responses":{"Problem":)" +
          std::string(kProblemResponse) +
          R"(},"securitySchemes":{"key":{"type":"http","scheme":"bearer","description":"An API key: hf_..."}}})");
  return out.object();
}

}  // namespace holdfast::http
