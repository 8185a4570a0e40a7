#include "vault/tokens/making.h"

#include <algorithm>

#include "vault/policy.h"
#include "vault/token_shape.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kSlice = 64;
constexpr int kRounds = 16;
constexpr std::string_view kShapeKey = "holdfast token shape, FF1";

TokenScope scope_of(const Field& field) {
  return field.token ? field.token->deterministic.value_or(TokenScope::none) : TokenScope::none;
}
TokenShape shape_of(const Field& field) {
  return field.token ? field.token->shape.value_or(TokenShape::tok) : TokenShape::tok;
}

Error none_free() {
  return {Code::exhausted,
          "no free token of this shape was found: too few are left; declare another shape"};
}

}  // namespace

Error token_taken() {
  return {Code::conflict, "a token like this was made meanwhile: repeat"};
}

Task<Result<std::map<TokenId, std::string>>> token_texts(const Context& context,
                                                         const Working& work,
                                                         std::vector<TokenRow> rows,
                                                         MonoTime deadline) {
  std::map<TokenId, std::string> out;
  std::vector<RecordId> ids;
  for (const auto& row : rows)
    if (!row.text_term.empty()) ids.push_back(row.record);
  if (ids.empty()) co_return out;
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  auto loaded = co_await context.store.load(std::move(ids), deadline);
  if (!loaded) co_return std::move(loaded).error();
  std::map<RecordId, const Openable*> records;
  for (const auto& one : loaded->records) records.emplace(one.record.id, &one);
  for (const auto& row : rows) {
    auto at = records.find(row.record);
    if (row.text_term.empty() || at == records.end()) continue;
    const auto* collection = work.schema->find(at->second->record.collection);
    const auto* field = collection ? collection->find(row.field) : nullptr;
    if (!field || at->second->record.subject != row.subject) continue;
    auto text = at->second->keys->open(*work.keys, field->keep_group, token_text_place(row),
                                       row.text_sealed);
    if (!text && text.error().code == Code::gone) continue;
    if (!text) co_return std::move(text).error();
    out.emplace(row.id, std::string(text->expose_text()));
  }
  co_return out;
}

Task<Result<MadeTokens>> Making::run() {
  if (work_.keys->tokens.empty()) co_return Error(Code::internal, "the keyring has no token key");
  if (auto done = co_await load_subjects(); !done) co_return std::move(done).error();
  if (auto done = co_await load_equal(); !done) co_return std::move(done).error();
  MadeTokens out;
  if (!stale_.empty()) co_return out;
  if (auto done = co_await choose(); !done) co_return std::move(done).error();
  if (auto done = co_await draw_again(); !done) co_return std::move(done).error();
  for (std::size_t item = 0; item < wanted_.size(); ++item) {
    if (auto done = build(item, out); !done) co_return std::move(done).error();
    if (item % kSlice == kSlice - 1) co_await give_way();
  }
  finish(out);
  co_return out;
}

Task<Result<void>> Making::load_subjects() {
  std::vector<Bytes> terms;
  std::set<SubjectId> ids;
  for (const auto& one : wanted_) {
    if (one.subject.id)
      ids.insert(*one.subject.id);
    else
      terms.push_back(external_term(*work_.keys, one.subject.external));
  }
  auto by_id =
      co_await subjects_of(context_, *work_.keys, std::vector(ids.begin(), ids.end()), deadline_);
  if (!by_id) co_return std::move(by_id).error();
  auto by_term = co_await subjects_of(context_, *work_.keys, std::move(terms), deadline_);
  if (!by_term) co_return std::move(by_term).error();
  std::set<SubjectId> whose;
  for (const auto& [id, subject] : *by_id) whose.insert(subject.id);
  for (const auto& [term, subject] : *by_term) whose.insert(subject.id);
  auto held = co_await context_.store.keys(std::vector(whose.begin(), whose.end()), deadline_);
  if (!held) co_return std::move(held).error();
  keys_ = std::move(*held);

  std::map<Bytes, SubjectId> added_by_term;
  for (const auto& one : wanted_) {
    const Subject* known = nullptr;
    Bytes term;
    if (one.subject.id) {
      auto found = by_id->find(*one.subject.id);
      if (found == by_id->end())
        co_return Error(Code::not_found, "no such customer").at(one.where / "subject");
      known = &found->second;
    } else {
      term = external_term(*work_.keys, one.subject.external);
      if (auto found = by_term->find(term); found != by_term->end()) known = &found->second;
    }
    if (known) {
      if (known->erased)
        co_return Error(Code::gone, "this customer was erased").at(one.where / "subject");
      draft_.expect_living(known->id);
      subjects_.push_back(known->id);
      continue;
    }
    auto added = added_by_term.find(term);
    if (added == added_by_term.end()) {
      SubjectKeys fresh{SubjectId{}};
      auto id = draft_.add_subject(one.subject.external, fresh);
      if (!id) co_return std::move(id).error();
      keys_.insert_or_assign(*id, std::move(fresh));
      fresh_.insert(*id);
      added = added_by_term.emplace(std::move(term), *id).first;
    }
    subjects_.push_back(added->second);
  }
  co_return Result<void>();
}

Task<Result<void>> Making::load_equal() {
  std::map<Bytes, std::pair<Bytes, const Secret*>> terms;  // of any key: the newest one's, a value
  std::set<SubjectId> sharing;
  for (std::size_t item = 0; item < wanted_.size(); ++item)
    for (const auto& value : wanted_[item].values) {
      auto scope = scope_of(*value.field);
      bool fresh = fresh_.contains(subjects_[item]);
      if (scope == TokenScope::none || (scope == TokenScope::subject && fresh)) continue;
      if (scope == TokenScope::field && !fresh) sharing.insert(subjects_[item]);
      Bytes newest;
      for (const auto& key : work_.keys->tokens) {
        auto term = token_value_term(key, wanted_[item].collection->id, *value.field,
                                     subjects_[item], value.value.expose());
        if (newest.empty()) newest = term;
        terms.emplace(std::move(term), std::pair(newest, &value.value));
      }
    }
  if (terms.empty()) co_return Result<void>();
  std::vector<Bytes> list;
  for (const auto& [term, of] : terms) list.push_back(term);
  auto rows = co_await store_.by_value(std::move(list), std::vector(sharing.begin(), sharing.end()),
                                       deadline_);
  if (!rows) co_return std::move(rows).error();
  std::set<RecordId> ids;
  for (const auto& row : *rows) ids.insert(row.record);
  auto loaded = co_await context_.store.load(std::vector(ids.begin(), ids.end()), deadline_);
  if (!loaded) co_return std::move(loaded).error();
  auto texts = co_await token_texts(context_, work_, *rows, deadline_);
  if (!texts) co_return std::move(texts).error();

  std::map<RecordId, const Openable*> records;
  for (const auto& one : loaded->records) records.emplace(one.record.id, &one);
  std::size_t seen = 0;
  for (auto& row : *rows) {
    if (++seen % kSlice == 0) co_await give_way();
    auto at = records.find(row.record);
    auto of = terms.find(row.value_term);
    if (at == records.end() || of == terms.end()) continue;  // erased this moment
    auto text = texts->find(row.id);
    if (!row.text_term.empty() && text == texts->end()) continue;
    auto holds = still_holds(*at->second, row, *of->second.second);
    if (!holds) co_return std::move(holds).error();
    if (!*holds) {
      stale_.push_back(std::move(row));
      continue;
    }
    auto& equal = equal_[of->second.first];
    Found found{&found_.emplace_back(std::move(row)), nullptr};
    if (!found.row->text_term.empty())
      found.text = &texts_.emplace_back(Text{.text = text->second, .term = found.row->text_term});
    if (!equal.text) equal.text = found.text;
    equal.found.emplace(found.row->subject, found);
  }
  co_return Result<void>();
}

/// Whether the record still holds the value that its token is found by.
Result<bool> Making::still_holds(const Openable& openable, const TokenRow& row,
                                 const Secret& value) {
  const auto& record = openable.record;
  const auto* collection = work_.schema->find(record.collection);
  const auto* field = collection ? collection->find(row.field) : nullptr;
  if (!field || record.subject != row.subject)
    return Error(Code::corrupt, "a token's row does not fit its record");
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  auto sealed = std::ranges::find(*fields, field->id, &SealedField::field);
  if (sealed == fields->end() || expired(*field, record, work_.now)) return false;
  auto held = openable.keys->open(
      *work_.keys, field->keep_group,
      {record.subject, record.id, collection->id, field->id, sealed->since}, sealed->sealed);
  if (!held && held.error().code != Code::gone) return std::move(held).error();
  return held && held->matches(value.expose());
}

Result<Making::Text*> Making::new_text(const CheckedValue& value) {
  const auto& field = *value.field;
  auto key = work_.keys->tokens.front().hmac.expand(as_bytes(kShapeKey));
  for (int round = 0; round < kRounds * kRounds; ++round) {
    Result<std::string> text =
        shape_of(field) == TokenShape::tok
            ? Result<std::string>(TokenId::make(work_.now).text())
            : draw_token(*field.token, key.expose(), value.value.expose_text());
    if (!text) return std::move(text).error();
    auto term = token_text_term(work_.keys->tokens.front(), *text);
    if (!used_texts_.insert(term).second) continue;
    return &texts_.emplace_back(
        Text{std::move(*text), std::move(term), &field, &value.value, true});
  }
  return none_free();
}

Task<Result<void>> Making::choose() {
  by_item_.resize(wanted_.size());
  for (std::size_t item = 0; item < wanted_.size(); ++item) {
    if (auto done = choose(item); !done) co_return done;
    if (item % kSlice == kSlice - 1) co_await give_way();
  }
  co_return Result<void>();
}

Result<void> Making::choose(std::size_t item) {
  for (const auto& value : wanted_[item].values) {
    auto where = wanted_[item].where / "values" / value.field->name;
    auto subject = subjects_[item];
    auto& choice = choices_.emplace_back(Choice{.item = item, .value = &value});
    by_item_[item].push_back(&choice);
    auto scope = scope_of(*value.field);
    Equal nobody;
    Equal* equal = &nobody;
    if (scope != TokenScope::none) {
      choice.value_term = token_value_term(work_.keys->tokens.front(), wanted_[item].collection->id,
                                           *value.field, subject, value.value.expose());
      equal = &equal_[choice.value_term];
    }
    if (auto found = equal->found.find(subject); found != equal->found.end()) {
      choice.row = found->second.row;
      choice.text = found->second.text;
      continue;
    }
    if (auto same = equal->chosen.find(subject); same != equal->chosen.end()) {
      choice.same_as = same->second;
      choice.text = choice.same_as->text;
      continue;
    }
    if (shape_of(*value.field) != TokenShape::tok || scope == TokenScope::field) {
      choice.first = equal->text == nullptr;
      if (choice.first) {
        auto text = new_text(value);
        if (!text) return std::move(text).error().at(where);
        equal->text = *text;
      }
      choice.text = equal->text;
    }
    equal->chosen.emplace(subject, &choice);
  }
  return {};
}

/// Until none of the texts drawn is in use, under whichever key.
Task<Result<void>> Making::draw_again() {
  for (int round = 0; round < kRounds; ++round) {
    std::map<Bytes, Text*> drawn;
    for (auto& text : texts_)
      if (text.drawn)
        for (const auto& key : work_.keys->tokens)
          drawn.emplace(token_text_term(key, text.text), &text);
    std::vector<Bytes> terms;
    for (const auto& [term, text] : drawn) terms.push_back(term);
    auto taken = co_await store_.taken(std::move(terms), deadline_);
    if (!taken) co_return std::move(taken).error();
    if (taken->empty()) co_return Result<void>();
    for (const auto& term : *taken) {
      auto& text = *drawn.at(term);
      auto again = new_text({text.field, text.value->clone(), false});
      if (!again) co_return std::move(again).error();
      text.text = std::move((*again)->text);
      text.term = std::move((*again)->term);
      texts_.pop_back();
    }
  }
  co_return none_free();
}

Result<TokenRow> Making::row_of(const Choice& choice, SubjectKeys& keys) const {
  TokenRow row{.id = choice.id,
               .subject = keys.subject(),
               .record = choice.record,
               .field = choice.value->field->id,
               .created = work_.now,
               .value_term = choice.value_term};
  if (choice.text) {
    auto sealed = keys.seal(*work_.keys, choice.value->field->keep_group, token_text_place(row),
                            as_bytes(choice.text->text));
    if (!sealed) return std::move(sealed).error();
    row.text_sealed = std::move(*sealed);
    // Under the newest key, also where the text was found under an older one.
    row.text_term = token_text_term(work_.keys->tokens.front(), choice.text->text);
  }
  if (choice.text || !choice.value_term.empty()) {
    row.key_id = work_.keys->tokens.front().id;
    row.sharer = choice.first ? to_bytes(BytesView(kAlone)) : to_bytes(row.subject.bytes());
  }
  row.mac = token_mac(*work_.keys, row);
  return row;
}

Result<void> Making::build(std::size_t item, MadeTokens& out) {
  const auto& wanted = wanted_[item];
  auto& keys = keys_.at(subjects_[item]);
  std::vector<CheckedValue> fresh;
  for (const auto* choice : by_item_[item])
    if (!choice->row && !choice->same_as)
      fresh.push_back({choice->value->field, choice->value->value.clone(), false});
  CreatedToken made{.subject = subjects_[item], .record = {}, .tokens = {}};
  if (!fresh.empty()) {
    auto record = draft_.add_record(keys, *wanted.collection, {}, fresh);
    if (!record) return std::move(record).error();
    made.record = record->id;
  }
  auto kept = made;
  for (auto* choice : by_item_[item]) {
    const auto& field = *choice->value->field;
    std::optional<RecordId> earlier;
    if (choice->row || choice->same_as) {
      choice->id = choice->row ? choice->row->id : choice->same_as->id;
      choice->record = choice->row ? choice->row->record : choice->same_as->record;
      earlier = choice->record;
      out.found += 1;
      out.touches.push_back({made.subject, "tokens", to_bytes(choice->id.bytes()), {}});
    } else {
      choice->id = TokenId::make(work_.now);
      choice->record = *made.record;
      auto row = row_of(*choice, keys);
      if (!row) return std::move(row).error();
      out.tokens += 1;
      out.touches.push_back(
          {made.subject, "tokens", to_bytes(row->id.bytes()), token_digest(*work_.keys, *row)});
      rows_.push_back(std::move(*row));
    }
    auto id = choice->id.text();
    made.tokens.emplace_back(field.name,
                             TokenView{choice->text ? choice->text->text : id,
                                       masked(field, choice->value->value.expose_text()), earlier});
    kept.tokens.emplace_back(field.name,
                             TokenView{choice->text ? kTextInRow + id : id, {}, earlier});
  }
  out.answer.items.push_back(std::move(made));
  out.remembered.items.push_back(std::move(kept));
  return {};
}

void Making::finish(MadeTokens& out) {
  std::set<Bytes> drawn;
  for (const auto& text : texts_)
    if (text.drawn) drawn.insert(text.term);
  std::int64_t with_drawn = 0;
  std::vector<db::Args> args;
  for (const auto& row : rows_) {
    with_drawn += drawn.contains(row.text_term);
    args.push_back(token_args(row));
  }
  auto touches = std::move(draft_.touches());
  for (auto& touch : out.touches) touches.push_back(std::move(touch));
  out.touches = std::move(touches);
  out.changes = std::move(draft_).changes();
  auto expect = db::Expect::exactly(static_cast<std::int64_t>(args.size()));
  out.changes.bulk(kAddToken, std::move(args), expect, token_taken());
  if (drawn.empty()) return;
  db::List list;
  for (const auto& term : drawn) list.cells.emplace_back(term);
  out.changes.guard(kGuardTexts, {std::move(list), with_drawn}, token_taken());
}

}  // namespace holdfast::vault
