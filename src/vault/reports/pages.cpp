#include "vault/reports/pages.h"

#include <string_view>
#include <utility>

namespace holdfast::vault {
namespace {

void escape(std::string& out, std::string_view text) {
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
}

template <class Enum>
std::string_view name_of(Enum value) {
  return enum_names(Enum{})[static_cast<std::size_t>(std::to_underlying(value))];
}

void element(std::string& out, std::string_view tag, std::string_view text) {
  ((out += '<') += tag) += '>';
  escape(out, text);
  ((out += "</") += tag) += ">\n";
}

void row(std::string& out, std::string_view name, std::string_view value) {
  out += "<tr><th>";
  escape(out, name);
  out += "</th><td>";
  escape(out, value.empty() ? "not stated" : value);
  out += "</td></tr>\n";
}

void list(std::string& out, const std::vector<std::string>& items, std::string_view otherwise) {
  if (items.empty()) return element(out, "p", otherwise);
  out += "<ul>\n";
  for (const auto& item : items) element(out, "li", item);
  out += "</ul>\n";
}

void cell(std::string& out, std::string_view text) {
  if (!out.empty() && out.back() != '\n') out += ',';
  out += '"';
  if (!text.empty() && std::string_view("=+-@\t\r").contains(text.front())) out += '\'';
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace

std::string art30_html(const Art30Record& record) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<title>Record of processing activities (GDPR art. 30)</title>\n"
      "<style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
      "table{border-collapse:collapse;width:100%}th,td{border:1px solid #999;padding:.3em .6em;"
      "text-align:left;vertical-align:top}</style>\n</head><body>\n"
      "<h1>Record of processing activities</h1>\n";
  element(out, "p", "GDPR article 30(1). Made by Holdfast at " + rfc3339(record.at) + ".");
  if (!record.missing.empty()) {
    element(out, "h2", "Still to be stated");
    list(out, record.missing, "");
  }
  element(out, "h2", "Controller");
  const auto& controller = record.controller;
  out += "<table>\n";
  row(out, "Name", controller.name);
  row(out, "Address", controller.address);
  row(out, "Email", controller.email);
  row(out, "Phone", controller.phone);
  row(out, "Representative", controller.representative);
  row(out, "Data protection officer", controller.officer);
  out += "</table>\n";
  element(out, "h2", "Recipients");
  list(out, controller.recipients, "None stated.");
  element(out, "h2", "Transfers to third countries");
  list(out, controller.transfers, "None stated.");
  element(out, "h2", "Processing activities");
  for (const auto& activity : record.activities) {
    element(out, "h3", activity.purpose);
    element(out, "p", activity.doc);
    out += "<table>\n";
    row(out, "Legal basis (art. 6)", name_of(activity.legal_basis));
    std::string who;
    for (const auto& one : activity.data_subjects) (who += who.empty() ? "" : ", ") += one;
    row(out, "Data subjects", who);
    out +=
        "</table>\n<table>\n<tr><th>Collection</th><th>Data</th><th>Class</th>"
        "<th>Time limit for erasure</th></tr>\n";
    for (const auto& field : activity.fields) {
      out += "<tr>";
      for (auto text : {std::string_view(field.collection), std::string_view(field.field),
                        name_of(field.field_class), std::string_view(field.time_limit)}) {
        out += "<td>";
        escape(out, text);
        out += "</td>";
      }
      out += "</tr>\n";
    }
    out += "</table>\n";
  }
  element(out, "h2", "Security measures (art. 32)");
  list(out, record.measures, "None.");
  return out + "</body></html>\n";
}

std::string data_map_csv(const DataMap& map) {
  std::string out =
      "collection,field,type,class,index,purposes,keep,keep_from,keep_group,records,values,"
      "tokens\r\n";
  for (const auto& collection : map.collections) {
    for (const auto& field : collection.fields) {
      std::string purposes;
      for (const auto& one : field.purposes) (purposes += purposes.empty() ? "" : " ") += one;
      cell(out, collection.collection);
      cell(out, field.field);
      cell(out, name_of(field.type));
      cell(out, name_of(field.field_class));
      cell(out, name_of(field.index));
      cell(out, purposes);
      cell(out, field.keep ? field.keep->duration : "");
      cell(out, field.keep ? name_of(field.keep->from.value_or(KeepFrom::created)) : "");
      cell(out, field.keep_group);
      for (auto number : {collection.records, field.values, field.tokens})
        (out += ',') += std::to_string(number);
      out += "\r\n";
    }
  }
  return out;
}

}  // namespace holdfast::vault
