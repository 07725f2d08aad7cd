// The two ways in which a model stores a binary filter.
#ifndef SPARSEBNN_TFLITE_BINARY_FILTER_H_
#define SPARSEBNN_TFLITE_BINARY_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/bconv2d/bconv2d.h"

namespace sparsebnn {

// LceBconv2d: the words as kernels want them, [channels_out, taps, group_words]. The bytes may
// lie at any address.
class BitFilter : public FilterReader {
 public:
  BitFilter(const void* words, int channels_out, int taps, int group_words)
      : words_(static_cast<const uint8_t*>(words)),
        channels_out_(channels_out),
        taps_(taps),
        group_words_(group_words) {}

  void ReadChannel(int o, uint32_t* words) const override;

  // Whether any tap has a 1 in channel `channels` or a later one; the channels before it need
  // all words.
  bool HasBitsBeyond(int channels) const;

 private:
  const uint8_t* words_;
  int channels_out_, taps_, group_words_;
};

// SparsebnnBconv2d: a 3x3 codeword per output and input channel, [channels_out,
// channels_in_per_group], each as an index of `index_bits` into the codebook, one after another
// from the lowest bit of the first byte on. Bit t of a codeword belongs to tap t.
class CodebookFilter : public FilterReader {
 public:
  static constexpr int kTaps = 9;
  static constexpr int kCodewords = 512;

  // `indices` has to stay where it is and to hold ceil(channels_out * channels_in_per_group *
  // index_bits / 8) bytes; index_bits is in 1..9.
  CodebookFilter(const uint8_t* indices, int index_bits, std::vector<uint16_t> codebook,
                 int channels_out, int channels_in_per_group);

  // The position of the first index that is not in the codebook, or -1.
  int64_t FirstBadIndex() const;

  // All indices are in the codebook.
  void ReadChannel(int o, uint32_t* words) const override;

 private:
  unsigned Index(size_t position) const;

  const uint8_t* indices_;
  size_t indices_bytes_;
  int index_bits_;
  std::vector<uint16_t> codebook_;
  int channels_out_, channels_in_per_group_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_BINARY_FILTER_H_
