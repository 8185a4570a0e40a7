// One request that makes tokens, from its checked values to its rows. Made again, from what the
// database holds by then, when others were faster.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "vault/draft.h"
#include "vault/tokens/messages.h"
#include "vault/tokens/store.h"

namespace holdfast::vault {

/// A card verification code of a request: neither sealed nor recorded.
struct NewCode {
  std::size_t item = 0;
  const Field* field = nullptr;
  std::uint32_t collection = 0;
  Secret code;
};

/// One item of a request, checked.
struct WantedTokens {
  const Collection* collection = nullptr;
  SubjectRef subject;
  std::vector<CheckedValue> values;
  FieldPath where;
};

/// What a request is about to write, and to answer.
struct MadeTokens {
  db::Changes changes;
  std::vector<journal::Touch> touches;
  CreatedTokens answer;      // with texts and masks
  CreatedTokens remembered;  // for repeats: `=tok_...` where the text is to be opened from the row
  std::int64_t tokens = 0;   // new ones
  std::int64_t found = 0;    // answered by the token of an equal value
};

/// `=` and the id of the row, in what is remembered of a token whose text may be personal.
inline constexpr char kTextInRow = '=';

/// Others drew the same text, or made the token of an equal value: make it again.
Error token_taken();

/// The texts of tokens that are not written as their id, opened from their rows. Rows of erased
/// customers are left out. Errors: corrupt, unavailable.
Task<Result<std::map<TokenId, std::string>>> token_texts(const Context& context,
                                                         const Working& work,
                                                         std::vector<TokenRow> rows,
                                                         MonoTime deadline);

/// Threads: not safe; made per try of a request. `wanted` outlives it.
class Making {
 public:
  Making(const Context& context, const Working& work, const std::vector<WantedTokens>& wanted,
         MonoTime deadline)
      : context_(context),
        work_(work),
        wanted_(wanted),
        deadline_(deadline),
        store_(context.journal.reader(), *work.keys),
        draft_(*work.keys, work.now) {}

  /// Errors: not_found, gone, invalid (a value that does not fit its tokens' shape), exhausted (no
  /// free text was found), corrupt, unavailable.
  Task<Result<MadeTokens>> run();
  /// Rows whose record has another value by now than the one they are found by: to be released
  /// before the next try. run() stops when there are any.
  const std::vector<TokenRow>& stale() const { return stale_; }

 private:
  /// A text that is about to be given out.
  struct Text {
    std::string text;
    Bytes term;
    const Field* field = nullptr;
    const Secret* value = nullptr;
    bool drawn = false;  // here and now, and not yet anybody's
  };
  struct Choice {
    std::size_t item = 0;
    const CheckedValue* value = nullptr;
    Text* text = nullptr;           // nullptr: written as its id
    Choice* same_as = nullptr;      // an equal value of this request
    const TokenRow* row = nullptr;  // the token of an equal value
    bool first = true;              // of those who share the text
    Bytes value_term;
    TokenId id{};
    RecordId record{};
  };
  /// The token of an equal value; without a text it is written as its id.
  struct Found {
    const TokenRow* row = nullptr;
    Text* text = nullptr;
  };
  /// What is known of one value under its scope.
  struct Equal {
    Text* text = nullptr;
    std::map<SubjectId, Found> found;
    std::map<SubjectId, Choice*> chosen;
  };

  Task<Result<void>> load_subjects();
  Task<Result<void>> load_equal();
  Result<bool> still_holds(const Openable& openable, const TokenRow& row, const Secret& value);
  Task<Result<void>> choose();
  Result<void> choose(std::size_t item);
  Result<Text*> new_text(const CheckedValue& value);
  Task<Result<void>> draw_again();
  Result<void> build(std::size_t item, MadeTokens& out);
  Result<TokenRow> row_of(const Choice& choice, SubjectKeys& keys) const;
  void finish(MadeTokens& out);

  const Context& context_;
  const Working& work_;
  const std::vector<WantedTokens>& wanted_;
  MonoTime deadline_;
  TokenStore store_;
  Draft draft_;

  std::vector<SubjectId> subjects_;  // by item
  std::set<SubjectId> fresh_;
  std::map<SubjectId, SubjectKeys> keys_;
  std::deque<Text> texts_;
  std::deque<TokenRow> found_;
  std::deque<Choice> choices_;
  std::vector<std::vector<Choice*>> by_item_;
  std::map<Bytes, Equal> equal_;  // by value term under the newest key
  std::set<Bytes> used_texts_;
  std::vector<TokenRow> stale_, rows_;
};

}  // namespace holdfast::vault
