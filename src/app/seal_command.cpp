// `holdfast tokens seal`: what a shop's own client does while Holdfast is away.
#include <iostream>

#include "app/exit_codes.h"
#include "app/local.h"
#include "app/print.h"
#include "app/setup.h"
#include "app/unlock.h"
#include "base/json.h"
#include "vault/tokens/pending.h"

namespace holdfast::app {
namespace {

constexpr std::size_t kLongestBody = 32 << 20;  // of tokens.create

Result<void> seal_values(const vault::SealingKey& key, std::string_view collection,
                         std::string_view subject, Values& values, FieldPath at) {
  for (auto& entry : values.entries) {
    auto where = at / "values" / entry.name;
    if (entry.null) return Error(Code::invalid, "a token needs a value").at(std::move(where));
    auto sealed =
        vault::seal_pending(key, {collection, entry.name, subject}, entry.value.expose_text());
    if (!sealed) return std::move(sealed).error().at(std::move(where));
    entry.value = Secret::copy(*sealed);
    entry.json = false;
  }
  return {};
}

}  // namespace

int tokens_seal(const LocalOptions& options) {
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto key_text = read_secret(options.sealing_key);
  if (!key_text) return print_error(std::move(key_text).error().at("key"));
  auto key = parse_json_as<vault::SealingKey>(key_text->expose_text());
  if (!key) return print_error(std::move(key).error().at("key"));
  auto text = read_secret(options.file, kLongestBody);
  if (!text) return print_error(text.error());
  auto request = parse_json_as<vault::CreateTokens>(text->expose_text());
  if (!request) return print_error(request.error());
  if (auto done = vault::as_items(*request); !done) return print_error(done.error());

  for (std::size_t i = 0; i < request->items.size(); ++i) {
    auto& item = request->items[i];
    auto sealed =
        seal_values(*key, item.collection, item.subject, item.values, FieldPath("items")[i]);
    if (!sealed) return print_error(sealed.error());
  }
  std::cout << to_json(*request) << std::endl;
  // Whoever called may throw the plain order away now.
  if (!std::cout)
    return print_error(
        Error(Code::unavailable, "standard output could not be written: nothing was kept"));
  return kDone;
}

}  // namespace holdfast::app
