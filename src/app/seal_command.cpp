// `holdfast tokens seal`: what a shop's own client does while Holdfast is away.
#include <iostream>

#include "app/exit_codes.h"
#include "app/local.h"
#include "app/print.h"
#include "app/setup.h"
#include "app/unlock.h"
#include "base/json.h"
#include "vault/context.h"
#include "vault/tokens/pending.h"

namespace holdfast::app {
namespace {

constexpr std::size_t kLongestBody = 32 << 20;  // of tokens.create

/// An error of the file with the public key.
Error of_key(Error error) {
  auto where = FieldPath("key") / error.field.text();
  return std::move(error).at(std::move(where));
}

/// What no exchange would take later, when nobody can put it right any more, is refused now.
Result<void> seal_item(const vault::SealingKey& key, vault::NewTokens& item, FieldPath at) {
  if (auto ref = vault::parse_subject_ref(item.subject); !ref)
    return std::move(ref).error().at(at / "subject");
  if (item.values.entries.empty())
    return Error(Code::invalid, "name at least one value").at(at / "values");
  for (auto& entry : item.values.entries) {
    auto where = at / "values" / entry.name;
    if (entry.null || entry.value.empty())
      return Error(Code::invalid, "a token needs a value").at(std::move(where));
    auto sealed = vault::seal_pending(key, {item.collection, entry.name, item.subject},
                                      entry.value.expose_text());
    if (!sealed && sealed.error().field.empty())
      return std::move(sealed).error().at(std::move(where));
    if (!sealed) return of_key(std::move(sealed).error());
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
  if (!key) return print_error(of_key(std::move(key).error()));
  auto text = read_secret(options.file, kLongestBody);
  if (!text) return print_error(text.error());
  auto request = parse_json_as<vault::CreateTokens>(text->expose_text());
  if (!request) return print_error(request.error());
  if (auto done = vault::as_items(*request); !done) return print_error(done.error());

  for (std::size_t i = 0; i < request->items.size(); ++i)
    if (auto done = seal_item(*key, request->items[i], FieldPath("items")[i]); !done)
      return print_error(done.error());
  std::cout << to_json(*request) << std::endl;
  // Whoever called may throw the plain order away now.
  if (!std::cout)
    return print_error(
        Error(Code::unavailable, "standard output could not be written: keep the order"));
  return kDone;
}

}  // namespace holdfast::app
