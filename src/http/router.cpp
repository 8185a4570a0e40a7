#include "http/router.h"

#include <set>
#include <stdexcept>

namespace holdfast::http {

std::vector<std::string_view> path_segments(std::string_view path) {
  std::vector<std::string_view> out;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    auto end = std::min(path.find('/'), path.size());
    if (end > 0) out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

namespace {

/// The name inside the braces, or empty for a literal.
std::string_view name_of(std::string_view segment) {
  if (!segment.starts_with('{') || !segment.ends_with('}')) return {};
  return segment.substr(1, segment.size() - 2);
}

}  // namespace

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  std::set<std::string_view> ids;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const auto& route = routes_[i];
    if (!ids.insert(route.id).second)
      throw std::logic_error("two routes have the id " + std::string(route.id));
    Node* node = &root_;
    for (auto segment : path_segments(route.path)) {
      auto& next = name_of(segment).empty() ? node->literals[std::string(segment)] : node->named;
      if (!next) next = std::make_unique<Node>();
      node = next.get();
    }
    for (auto other : node->routes)
      if (routes_[other].method == route.method)
        throw std::logic_error("two routes have the method and path of " + std::string(route.id));
    node->routes.push_back(i);
  }
}

const Router::Node* Router::find(const Node& node, std::span<const std::string> segments) const {
  if (segments.empty()) return node.routes.empty() ? nullptr : &node;
  auto literal = node.literals.find(segments.front());
  if (literal != node.literals.end())
    if (auto* found = find(*literal->second, segments.subspan(1))) return found;
  return node.named ? find(*node.named, segments.subspan(1)) : nullptr;
}

Router::Match Router::match(std::string_view method, std::span<const std::string> segments) const {
  Match out;
  const auto* node = find(root_, segments);
  if (!node) return out;
  for (auto index : node->routes) {
    const auto& route = routes_[index];
    bool head = route.method == "GET" && route.kind == RouteKind::json;
    for (auto allowed : {route.method, std::string_view(head ? "HEAD" : "")}) {
      if (allowed.empty()) continue;
      out.allow += (out.allow.empty() ? "" : ", ") + std::string(allowed);
      if (allowed == method) {
        out.route = &route;
        out.index = index;
      }
    }
  }
  if (!out.route) return out;
  auto parts = path_segments(out.route->path);
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (auto name = name_of(parts[i]); !name.empty()) out.path.emplace_back(name, segments[i]);
  return out;
}

}  // namespace holdfast::http
