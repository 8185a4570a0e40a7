#include "crypto/ff1.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "base/secret.h"
#include "crypto/ff1_raw.h"

namespace holdfast::crypto {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kLongestTweak = 65'535;
constexpr unsigned kRounds = 10;

using Block = std::array<std::uint8_t, kBlock>;

void need(bool ok) {
  if (!ok) throw std::runtime_error("OpenSSL failed to run AES");
}

/// One block at a time. Freed, and its key schedule wiped, with the object.
class Aes {
 public:
  explicit Aes(BytesView key) : ctx_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free) {
    if (!ctx_) throw std::bad_alloc();
    const auto* cipher = key.size() == 16   ? EVP_aes_128_ecb()
                         : key.size() == 24 ? EVP_aes_192_ecb()
                                            : EVP_aes_256_ecb();
    need(EVP_EncryptInit_ex2(ctx_.get(), cipher, key.data(), nullptr, nullptr));
    need(EVP_CIPHER_CTX_set_padding(ctx_.get(), 0));
  }
  void encrypt(Block& block) {
    int written = 0;
    need(EVP_EncryptUpdate(ctx_.get(), block.data(), &written, block.data(), int{kBlock}));
  }
  /// CBC-MAC: `state` goes on over more blocks.
  void absorb(Block& state, BytesView blocks) {
    for (; !blocks.empty(); blocks = blocks.subspan(kBlock)) {
      for (std::size_t i = 0; i < kBlock; ++i) state[i] ^= blocks[i];
      encrypt(state);
    }
  }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> ctx_;
};

/// An integer in 32-bit words, the most significant first.
struct Number {
  std::vector<std::uint32_t> words;

  explicit Number(std::size_t count) : words(count) {}
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  ~Number() { wipe({reinterpret_cast<std::uint8_t*>(words.data()), words.size() * 4}); }

  void times_plus(std::uint32_t factor, std::uint32_t plus) {
    std::uint64_t carry = plus;
    for (auto word = words.rbegin(); word != words.rend(); ++word) {
      carry += std::uint64_t{*word} * factor;
      *word = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
  }
  std::uint32_t divide(std::uint32_t by) {
    std::uint64_t rest = 0;
    for (auto& word : words) {
      rest = rest << 32 | word;
      word = static_cast<std::uint32_t>(rest / by);
      rest %= by;
    }
    return static_cast<std::uint32_t>(rest);
  }
};

bool is_zero(const Number& number) {
  return std::ranges::all_of(number.words, [](std::uint32_t word) { return word == 0; });
}

/// b of the standard: how many bytes radix^count - 1 takes.
std::size_t bytes_of(unsigned radix, std::size_t count) {
  Number power(count / 4 + 2);
  for (std::size_t i = 0; i < count; ++i) power.times_plus(radix, radix - 1);  // radix^count - 1
  std::size_t bytes = 0;
  for (; !is_zero(power); ++bytes) power.divide(256);
  return bytes;
}

bool enough_strings(unsigned radix, std::size_t count, std::uint64_t least) {
  std::uint64_t strings = 1;
  for (std::size_t i = 0; i < count && strings < least; ++i) strings *= radix;
  return strings >= least;
}

/// Step 1 to 5 are made once; each round is steps 6.i to 6.vii.
class Rounds {
 public:
  Rounds(BytesView key, BytesView tweak, unsigned radix, std::size_t length)
      : aes_(key),
        radix_(radix),
        bytes_(bytes_of(radix, length - length / 2)),
        made_(4 * ((bytes_ + 3) / 4) + 4) {
    Block first{1, 2, 1};
    auto put = [&](std::size_t at, std::size_t size, std::size_t value) {
      for (std::size_t i = size; i-- > 0; value >>= 8)
        first[at + i] = static_cast<std::uint8_t>(value);
    };
    put(3, 3, radix);
    first[6] = kRounds;
    first[7] = static_cast<std::uint8_t>(length / 2);
    put(8, 4, length);
    put(12, 4, tweak.size());
    aes_.encrypt(first);
    start_ = first;
    rest_.assign(tweak.begin(), tweak.end());
    rest_.resize((tweak.size() + bytes_ + 1 + kBlock - 1) / kBlock * kBlock);
  }
  ~Rounds() {
    wipe(rest_);
    wipe(start_);
  }
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  /// Adds the round's number to `left`, modulo radix^left.size().
  void add(unsigned round, BytesView right, std::span<std::uint8_t> left) {
    Number value((bytes_ + 3) / 4 + 1);
    for (auto numeral : right) value.times_plus(radix_, numeral);
    rest_[rest_.size() - bytes_ - 1] = static_cast<std::uint8_t>(round);
    for (std::size_t i = 0; i < bytes_; ++i) {
      auto word = value.words[value.words.size() - 1 - i / 4];
      rest_[rest_.size() - 1 - i] = static_cast<std::uint8_t>(word >> (i % 4 * 8));
    }
    Block mac = start_;
    aes_.absorb(mac, rest_);

    Number more(made_ / 4);
    Block block = mac;
    for (std::size_t i = 0; i < made_; ++i) {
      if (i > 0 && i % kBlock == 0) {
        block = mac;
        for (std::size_t j = i / kBlock, at = kBlock; j > 0; j >>= 8)
          block[--at] ^= static_cast<std::uint8_t>(j);
        aes_.encrypt(block);
      }
      more.words[i / 4] = more.words[i / 4] << 8 | block[i % kBlock];
    }
    wipe(mac);
    wipe(block);
    std::uint32_t carry = 0;
    for (std::size_t i = left.size(); i-- > 0;) {
      carry += more.divide(radix_) + left[i];
      left[i] = static_cast<std::uint8_t>(carry % radix_);
      carry /= radix_;
    }
  }

 private:
  Aes aes_;
  unsigned radix_;
  std::size_t bytes_;  // b
  std::size_t made_;   // d
  Block start_{};      // the MAC after P
  Bytes rest_;         // Q
};

}  // namespace

namespace raw {

bool ff1_encrypt(BytesView key, BytesView tweak, unsigned radix, std::span<std::uint8_t> numerals) {
  if ((key.size() != 16 && key.size() != 24 && key.size() != 32) || radix < 2 || radix > 256 ||
      numerals.size() < 2 || numerals.size() > kLongestText || tweak.size() > kLongestTweak ||
      !enough_strings(radix, numerals.size(), 100) ||
      std::ranges::any_of(numerals, [&](std::uint8_t numeral) { return numeral >= radix; }))
    return false;
  Rounds rounds(key, tweak, radix, numerals.size());
  auto half = numerals.size() / 2;
  auto a = numerals.first(half), b = numerals.subspan(half);
  // Ten rounds are even: the halves are not swapped but take turns, and end where they began.
  for (unsigned round = 0; round < kRounds; ++round)
    round % 2 == 0 ? rounds.add(round, b, a) : rounds.add(round, a, b);
  return true;
}

}  // namespace raw

Result<void> ff1_encrypt(BytesView key, BytesView tweak, unsigned radix,
                         std::span<std::uint8_t> numerals) {
  if (key.size() != 32) throw std::invalid_argument("FF1: the key has another size than 32 bytes");
  if (radix >= 2 && !enough_strings(radix, numerals.size(), kFf1LeastDomain))
    return Error(Code::invalid,
                 "fewer than a million values of this length are possible: FF1 would not hide "
                 "which one it is");
  if (!raw::ff1_encrypt(key, tweak, radix, numerals))
    return Error(Code::invalid, "not a string of numerals that FF1 takes");
  return {};
}

}  // namespace holdfast::crypto
