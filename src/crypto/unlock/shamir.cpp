#include "crypto/unlock/shamir.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace holdfast::crypto {
namespace {

constexpr std::size_t kStoreBytes = 16, kSetBytes = 8;
constexpr std::uint8_t kMostShares = 16;
constexpr std::size_t kShortest = 16, kLongest = 64;  // bytes of a secret

// GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. No branch and no table is indexed by a factor.
std::uint8_t multiply(std::uint8_t a, std::uint8_t b) {
  std::uint8_t product = 0;
  for (int bit = 0; bit < 8; ++bit) {
    product ^= static_cast<std::uint8_t>(-(b & 1) & a);
    a = static_cast<std::uint8_t>((a << 1) ^ (-(a >> 7) & 0x1b));
    b >>= 1;
  }
  return product;
}

/// a^254, which is 1/a for every a but 0.
std::uint8_t inverse(std::uint8_t a) {
  std::uint8_t power = a, result = 1;
  for (int bit = 1; bit < 8; ++bit) {
    power = multiply(power, power);
    result = multiply(result, power);
  }
  return result;
}

Digest commitment_to(BytesView store_id, BytesView set_id, std::uint8_t needed, std::uint8_t total,
                     BytesView secret) {
  const std::array<std::uint8_t, 2> counts = {needed, total};
  return sha256({as_bytes("holdfast recovery set 1"), store_id, set_id, counts, secret});
}

using Points = std::vector<const Share*>;

/// The value at `x` of the polynomial of lowest degree through the points (Lagrange).
Secret value_at(std::uint8_t x, const Points& points) {
  Secret out(points.front()->y.size());
  auto sum = out.expose_mut();
  for (const auto* point : points) {
    std::uint8_t weight = 1;
    for (const auto* other : points) {
      if (other == point) continue;
      weight = multiply(weight, static_cast<std::uint8_t>(other->number ^ x));
      weight = multiply(weight, inverse(static_cast<std::uint8_t>(other->number ^ point->number)));
    }
    auto y = point->y.expose();
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] ^= multiply(weight, y[i]);
  }
  return out;
}

bool well_formed(const Share& share) {
  return share.store_id.size() == kStoreBytes && share.set_id.size() == kSetBytes &&
         share.needed >= 2 && share.needed <= share.total && share.total <= kMostShares &&
         share.number >= 1 && share.number <= share.total && share.y.size() >= kShortest &&
         share.y.size() <= kLongest;
}

bool same_set(const Share& a, const Share& b) {
  return a.store_id == b.store_id && a.set_id == b.set_id && a.needed == b.needed &&
         a.total == b.total && a.commitment == b.commitment && a.y.size() == b.y.size();
}

FieldPath named(const Share& share) {
  return FieldPath("share")[share.number];
}

/// One error that names each of the shares: the first in `field`, the others in `also`.
Error naming(Code code, Literal text, const Points& wrong) {
  Error out(code, text);
  for (const auto* share : wrong) {
    if (out.field.empty())
      out.field = named(*share);
    else
      out.also.push_back(Error(code, text).at(named(*share)));
  }
  return out;
}

Error too_few(std::size_t missing) {
  static constexpr Literal kTexts[] = {"one more share is needed, given together with these",
                                       "two more shares are needed, given together with these",
                                       "three more shares are needed, given together with these",
                                       "four more shares are needed, given together with these",
                                       "five more shares are needed, given together with these",
                                       "six more shares are needed, given together with these",
                                       "seven more shares are needed, given together with these",
                                       "eight more shares are needed, given together with these",
                                       "nine more shares are needed, given together with these",
                                       "ten more shares are needed, given together with these",
                                       "eleven more shares are needed, given together with these",
                                       "twelve more shares are needed, given together with these",
                                       "thirteen more shares are needed, given together with these",
                                       "fourteen more shares are needed, given together with these",
                                       "fifteen more shares are needed, given together with these"};
  return Error(Code::invalid, kTexts[missing - 1]);
}

/// The shares that are not of the set that most of them are of.
Points strangers(std::span<const Share> shares) {
  Points fewest;
  for (const auto& chosen : shares) {
    Points others;
    for (const auto& share : shares)
      if (!same_set(chosen, share)) others.push_back(&share);
    if (&chosen == shares.data() || others.size() < fewest.size()) fewest = others;
  }
  return fewest;
}

Result<void> check(std::span<const Share> shares) {
  if (shares.empty()) return Error(Code::invalid, "no share was given");
  for (const auto& share : shares)
    if (!well_formed(share))
      return Error(Code::invalid,
                   "this is not a share: take a file recovery-share-N-of-M.txt, as it was written")
          .at(named(share));
  if (auto others = strangers(shares); !others.empty()) {
    // Half against half: nobody can say which half is wrong.
    if (others.size() * 2 == shares.size()) others.clear();
    return naming(Code::invalid,
                  "these shares are of different sets: shares made at another time, or for another "
                  "store, do not mix",
                  others);
  }
  for (std::size_t i = 0; i < shares.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (shares[i].number == shares[j].number)
        return Error(Code::invalid, "the same share was given twice").at(named(shares[i]));
  const std::size_t needed = shares.front().needed;
  if (shares.size() < needed) return too_few(needed - shares.size());
  return {};
}

/// The shares that do not lie on the polynomial through the points.
Points off(const Points& points, std::span<const Share> shares) {
  Points wrong;
  for (const auto& share : shares)
    if (!value_at(share.number, points).matches(share.y.expose())) wrong.push_back(&share);
  return wrong;
}

struct Fit {
  Secret secret;  // empty when no choice fits the commitment
  Points wrong;   // the shares that are not in agreement with it
  bool sure = true;
};

/// Walks all choices of `needed` of the shares, at most C(16, 8). A choice that gives the committed
/// secret may still hold wrong shares that cancel out, so the one that most shares agree with is
/// taken; two that are equally good leave open which shares are wrong.
Fit best_fit(std::span<const Share> shares) {
  const auto& first = shares.front();
  Fit best;
  std::vector<bool> chosen(shares.size(), false);
  std::fill_n(chosen.begin(), first.needed, true);
  do {
    Points points;
    for (std::size_t i = 0; i < shares.size(); ++i)
      if (chosen[i]) points.push_back(&shares[i]);
    auto secret = value_at(0, points);
    if (commitment_to(first.store_id, first.set_id, first.needed, first.total, secret.expose()) !=
        first.commitment)
      continue;
    auto wrong = off(points, shares);
    if (wrong.empty()) return {std::move(secret), {}, true};
    if (best.secret.empty() || wrong.size() < best.wrong.size())
      best = {std::move(secret), std::move(wrong), true};
    else if (wrong.size() == best.wrong.size() && wrong != best.wrong)
      best.sure = false;
  } while (std::prev_permutation(chosen.begin(), chosen.end()));
  return best;
}

}  // namespace

std::vector<Share> split(const Secret& secret, BytesView store_id, std::uint8_t needed,
                         std::uint8_t total) {
  if (needed < 2 || needed > total || total > kMostShares || store_id.size() != kStoreBytes ||
      secret.size() < kShortest || secret.size() > kLongest)
    throw std::invalid_argument("split: 2 <= needed <= total <= 16, a secret of 16 to 64 bytes");
  const auto set_id = random_bytes(kSetBytes);
  const auto commitment = commitment_to(store_id, set_id, needed, total, secret.expose());

  // One polynomial for each byte of the secret; coefficients[d] holds those of x^(d + 1).
  std::vector<Secret> coefficients;
  for (int degree = 1; degree < needed; ++degree)
    coefficients.push_back(Secret::random(secret.size()));

  std::vector<Share> shares;
  for (std::uint8_t number = 1; number <= total; ++number) {
    Secret value(secret.size());
    auto y = value.expose_mut();
    for (auto coefficient = coefficients.rbegin(); coefficient != coefficients.rend();
         ++coefficient)
      for (std::size_t i = 0; i < y.size(); ++i)
        y[i] = multiply(number, y[i] ^ coefficient->expose()[i]);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] ^= secret.expose()[i];
    shares.push_back(
        {to_bytes(store_id), set_id, needed, total, number, std::move(value), commitment});
  }
  return shares;
}

Result<Secret> combine(std::span<const Share> shares) {
  if (auto sound = check(shares); !sound) return std::move(sound).error();
  auto fit = best_fit(shares);
  if (fit.secret.empty() || !fit.sure)
    return Error(Code::invalid,
                 "a share is wrong, and with these it cannot be told which: add "
                 "another share, or type one in again");
  if (!fit.wrong.empty())
    return naming(Code::invalid, "this share is wrong: leave it out and replace it", fit.wrong);
  return std::move(fit.secret);
}

}  // namespace holdfast::crypto
