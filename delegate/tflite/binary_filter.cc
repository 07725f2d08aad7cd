#include "binary_filter.h"

#include <cstring>
#include <utility>

namespace sparsebnn {

void BitFilter::ReadChannel(int o, uint32_t* words) const {
  const size_t bytes = static_cast<size_t>(taps_) * group_words_ * sizeof(uint32_t);
  std::memcpy(words, words_ + static_cast<size_t>(o) * bytes, bytes);
}

bool BitFilter::HasBitsBeyond(int channels) const {
  if (channels % 32 == 0) return false;
  const size_t last_words = static_cast<size_t>(channels_out_) * taps_;
  for (size_t i = 1; i <= last_words; ++i) {
    uint32_t word;
    std::memcpy(&word, words_ + (i * group_words_ - 1) * sizeof(uint32_t), sizeof(word));
    if (word >> channels % 32 != 0) return true;
  }
  return false;
}

CodebookFilter::CodebookFilter(const uint8_t* indices, int index_bits,
                               std::vector<uint16_t> codebook, int channels_out,
                               int channels_in_per_group)
    : indices_(indices),
      indices_bytes_(
          (static_cast<size_t>(channels_out) * channels_in_per_group * index_bits + 7) / 8),
      index_bits_(index_bits),
      codebook_(std::move(codebook)),
      channels_out_(channels_out),
      channels_in_per_group_(channels_in_per_group) {}

unsigned CodebookFilter::Index(size_t position) const {
  const size_t bit = position * index_bits_;
  const size_t byte = bit / 8;
  unsigned bits = indices_[byte];
  if (byte + 1 < indices_bytes_) bits |= static_cast<unsigned>(indices_[byte + 1]) << 8;
  return bits >> bit % 8 & ((1u << index_bits_) - 1);
}

int64_t CodebookFilter::FirstBadIndex() const {
  const size_t count = static_cast<size_t>(channels_out_) * channels_in_per_group_;
  for (size_t i = 0; i < count; ++i) {
    if (Index(i) >= codebook_.size()) return static_cast<int64_t>(i);
  }
  return -1;
}

void CodebookFilter::ReadChannel(int o, uint32_t* words) const {
  const int group_words = WordsFor(channels_in_per_group_);
  std::memset(words, 0, sizeof(uint32_t) * kTaps * group_words);
  for (int c = 0; c < channels_in_per_group_; ++c) {
    const unsigned codeword =
        codebook_[Index(static_cast<size_t>(o) * channels_in_per_group_ + c)];
    for (int tap = 0; tap < kTaps; ++tap) {
      words[tap * group_words + c / 32] |= (codeword >> tap & 1u) << c % 32;
    }
  }
}

}  // namespace sparsebnn
