#include "journal/proof.h"

#include <random>

#include "crypto/merkle.h"
#include "journal/log_bench.h"
#include "support/database.h"

namespace holdfast::journal {
namespace {

class Proofs : public OnBoth {
 protected:
  LogBench bench_{GetParam()};
  boost::asio::thread_pool pool_{1};

  std::string prove(EventId event, std::optional<SubjectId> of = {}) {
    LeafFilter filter;
    if (of) filter = [of](const Touch& touch) { return touch.subject == of; };
    auto stored = bench_(bench_.log().find(event));
    return to_json(bench_(prove_event(bench_.log(), pool_.get_executor(), stored, filter)));
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, Proofs, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

Event batch() {
  Event event{.activity = "records.reveal_batch", .opened = true};
  for (std::uint8_t i = 0; i < 10; ++i)
    event.touches.push_back(
        {.subject = subject(i % 5), .kind = "records", .row = {i}, .left = crypto::Digest{}});
  return event;
}

TEST_P(Proofs, show_offline_what_was_recorded) {
  auto receipt = bench_.commit(
      {.activity = "subjects.erase",
       .touches = {
           {.subject = subject(3), .kind = "subjects", .row = {3}, .left = crypto::Digest{}}}});
  bench_.commit_many(300);

  auto proved = verify_proof(prove(receipt.event), bench_.log().verifier());

  ASSERT_TRUE(proved) << proved.error().text;
  EXPECT_EQ(proved->entry.operation, "subjects.erase");
  EXPECT_EQ(proved->head.size, static_cast<std::uint64_t>(bench_.log().size()));
  ASSERT_EQ(proved->rows.size(), 1u);
  EXPECT_EQ(proved->rows[0].subject, subject(3));
  EXPECT_TRUE(proved->rows[0].removed);
}

TEST_P(Proofs, show_that_the_log_goes_on_from_a_checkpoint_that_was_kept) {
  auto head = [&] {
    auto note = bench_(bench_.log().checkpoint());
    return Head{.checkpoint = note,
                .verifier = bench_.log().verifier(),
                .origin = bench_.log().origin(),
                .root = "",
                .size = bench_.log().size()};
  };
  auto proof_from = [&](std::int64_t from) {
    auto now = head();
    ConsistencyProof out{.format = std::string(kConsistencyFormat),
                         .from = from,
                         .to = now.size,
                         .path = {},
                         .verifier = now.verifier,
                         .checkpoint = now.checkpoint};
    for (const auto& hash : bench_(bench_.log().consistency(static_cast<std::uint64_t>(from),
                                                            static_cast<std::uint64_t>(now.size))))
      out.path.push_back(base64(hash));
    return out;
  };
  bench_.commit_many(30);
  bench_(bench_.log().sequence());
  const auto kept = head();
  bench_.commit_many(300);
  bench_(bench_.log().sequence());
  const auto proof = proof_from(kept.size);

  auto proved = verify_consistency(to_json(proof), to_json(kept), {});
  ASSERT_TRUE(proved) << proved.error().text;
  EXPECT_EQ(proved->kept.size, static_cast<std::uint64_t>(kept.size));
  EXPECT_EQ(proved->head.size, static_cast<std::uint64_t>(proof.to));
  EXPECT_TRUE(verify_consistency(to_json(proof), kept.checkpoint, kept.verifier));

  auto code = [&](const ConsistencyProof& shown, const Head& held,
                  std::optional<std::string_view> key = {}) {
    auto done = verify_consistency(to_json(shown), to_json(held), key);
    return done ? Code::internal : done.error().code;
  };
  auto changed = proof;
  changed.path.back() = base64(crypto::Digest{});
  EXPECT_EQ(code(changed, kept), Code::corrupt);
  EXPECT_EQ(code(proof_from(kept.size - 1), kept), Code::invalid) << "of another size";
  auto without = proof;
  without.checkpoint.reset();
  EXPECT_EQ(code(without, kept), Code::invalid);
  auto older = proof;
  older.checkpoint = kept.checkpoint;
  EXPECT_EQ(code(older, head()), Code::corrupt) << "the log became shorter";

  // Another log of the same name, under the same key: what a replaced database would be.
  LogBench other(GetParam());
  other.commit_many(40);
  EXPECT_EQ(code(proof, kept, other.log().verifier()), Code::corrupt);
  const auto forged = sign_checkpoint(
      {.origin = bench_.log().origin(),
       .size = static_cast<std::uint64_t>(kept.size),
       .root = crypto::Digest{1}},
      crypto::Signer(bench_.keys().get()->ring.active(crypto::KeyUse::journal).expose()));
  auto of_another = kept;
  of_another.checkpoint = forged;
  EXPECT_EQ(code(proof, of_another), Code::corrupt);
  EXPECT_FALSE(verify_consistency(to_json(proof), "kept.json", kept.verifier));
  EXPECT_FALSE(verify_consistency(to_json(proof), kept.checkpoint, {}));
}

TEST_P(Proofs, of_a_batch_show_one_subject_and_nobody_else) {
  auto receipt = bench_.commit(batch());

  auto json = prove(receipt.event, subject(2));
  auto proved = verify_proof(json, bench_.log().verifier());

  ASSERT_TRUE(proved) << proved.error().text;
  ASSERT_EQ(proved->rows.size(), 2u);
  EXPECT_EQ(proved->rows[0].row, Bytes{2});
  EXPECT_EQ(proved->rows[1].row, Bytes{7});
  auto parsed = *parse_json_as<EventProof>(json);
  for (const auto& leaf : parsed.leaves)
    EXPECT_EQ(decode_leaf(*unbase64(leaf.leaf))->subject, subject(2));
  for (std::uint8_t other : {0, 1, 3, 4})
    EXPECT_EQ(json.find(subject(other).text()), std::string::npos);
  EXPECT_TRUE(verify_proof(prove(receipt.event), {})->rows.empty());
}

TEST_P(Proofs, hold_after_the_log_went_on_and_started_again) {
  auto receipt = bench_.commit(batch());
  auto json = prove(receipt.event);
  bench_.commit_many(50);
  bench_.reopen();

  EXPECT_TRUE(verify_proof(json, bench_.log().verifier()));
}

TEST_P(Proofs, with_any_byte_changed_do_not_hold) {
  auto receipt = bench_.commit(batch());
  const auto key = bench_.log().verifier();
  const auto json = prove(receipt.event, subject(2));
  ASSERT_TRUE(verify_proof(json, key));
  for (std::size_t i = 0; i < json.size(); ++i) {
    auto bad = json;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(verify_proof(bad, key)) << json.substr(0, i);
  }
}

TEST_P(Proofs, of_another_log_are_refused_when_the_key_is_known) {
  LogBench other;
  auto receipt = bench_.commit(batch());
  auto json = prove(receipt.event);

  auto proved = verify_proof(json, other.log().verifier());

  ASSERT_FALSE(proved);
  EXPECT_EQ(proved.error().code, Code::corrupt);
  EXPECT_TRUE(verify_proof(json, {}));
}

TEST(LeafProofs, hold_in_batches_of_every_size) {
  for (std::size_t size : {1, 2, 3, 7, 8, 9, 255, 256, 257, 1000}) {
    std::vector<Bytes> leaves;
    for (std::size_t i = 0; i < size; ++i)
      leaves.push_back(
          encode_leaf({.kind = "records",
                       .row = {static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)}}));
    auto root = leaves_root(leaves);

    auto proofs = prove_leaves(leaves, [](const Touch&) { return true; });

    ASSERT_TRUE(proofs);
    ASSERT_EQ(proofs->size(), size);
    for (const auto& proof : *proofs) {
      std::vector<crypto::Digest> path;
      for (const auto& text : proof.path)
        std::ranges::copy(*unbase64(text), path.emplace_back().begin());
      EXPECT_TRUE(crypto::verify_inclusion(crypto::leaf_hash(*unbase64(proof.leaf)),
                                           static_cast<std::uint64_t>(proof.index), size, path,
                                           root));
    }
  }
}

TEST(ProofText, that_is_not_a_proof_is_refused) {
  for (std::string_view bad : {"", "{}", "[]", "null", R"({"format":"holdfast-proof-1"})"})
    EXPECT_FALSE(verify_proof(bad, {})) << bad;
  EXPECT_EQ(verify_proof(std::string(kLongestProof + 1, ' '), {}).error().code, Code::too_large);
}

}  // namespace
}  // namespace holdfast::journal
