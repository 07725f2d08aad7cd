// The dense convolution: xor, count, add.
//
//   for a tile of kPixels output pixels, numbered through the rows of an image:
//     rows[pixel] = the input words under its taps, one after the other; zeros (+1) for those
//                   outside of the image
//     for each kChannels output channels:
//       counts[pixel][o] = popcount(rows[pixel] ^ filter[o])          V::Count
//       output = transform(counts)
//
// The filter is packed as [blocks of kChannels][steps][kChannels][kStepWords]: a step of
// V::Count takes kStepWords words of each row, and rows are filled up with zeros to whole
// steps. With V::kJoinsSteps, of three steps that follow each other the third is, in rows and in
// the filter, the exclusive or of all three: what a full adder needs. With V::kHalvesLastStep, a
// last step of which at most half is needed has the filter's words twice, for two pixels at once.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "kernels/bconv2d/kernel_list.h"
#include "kernels/bconv2d/output_transform.h"
#include "kernels/bconv2d/vector_transform_inl.h"

namespace sparsebnn {
namespace {

template <class V>
class XnorBconv2d : public Bconv2d {
  static constexpr int kPixels = V::kPixels, kChannels = V::kChannels;
  static constexpr int kStepWords = V::kStepWords;
  using Counts = typename V::Count[kChannels];  // of one pixel
  static_assert(kChannels % 8 == 0, "outputs are written in vectors of 8 channels");

 public:
  XnorBconv2d(const Geometry& geometry, OutputTransform transform, const char* isa)
      : g_(geometry),
        transform_(std::move(transform)),
        vector_transform_(transform_, geometry.depth()),
        channels_(g_.channels_out_per_group()),
        blocks_((channels_ + kChannels - 1) / kChannels),
        words_(g_.taps() * g_.group_words()),
        steps_((words_ + kStepWords - 1) / kStepWords),
        isa_(isa) {
    PadForVectors(&transform_);
  }

  bool Pack(const FilterReader& filter) {
    const uint64_t packed_bytes = uint64_t{sizeof(uint32_t)} *
                                  static_cast<uint64_t>(g_.groups) *
                                  static_cast<uint64_t>(blocks_) * BlockWords();
    if (!packed_.Reserve(packed_bytes)) return false;
    std::memset(packed_.data(), 0, static_cast<size_t>(packed_bytes));
    std::vector<uint32_t> words(words_);
    for (int o = 0; o < g_.channels_out; ++o) {
      filter.ReadChannel(o, words.data());
      const int in_group = o % channels_;
      uint32_t* block = Block(o / channels_, in_group / kChannels);
      for (size_t w = 0; w < words.size(); ++w) {
        uint32_t* const step =
            block + (w / kStepWords * kChannels + in_group % kChannels) * kStepWords;
        step[w % kStepWords] = words[w];
        if (HalvesStep(static_cast<int>(w / kStepWords))) {
          step[w % kStepWords + kStepWords / 2] = words[w];
        }
      }
    }
    if constexpr (V::kJoinsSteps) {
      for (int block = 0; block < g_.groups * blocks_; ++block) {
        uint32_t* const first = Block(0, block);
        for (int o = 0; o < kChannels; ++o) JoinSteps(first + o, kChannels);
      }
    }
    return true;
  }

  bool RunTo(const Bconv2dOutput& output, const uint32_t* input, Workspace* workspace,
             ThreadPool* threads) const override {
    if (transform_.type == OutputType::kBitpacked && g_.groups > 1) {
      // Groups may share words.
      std::memset(output.data, 0,
                  static_cast<size_t>(g_.batch) * g_.output_height * g_.output_width *
                      g_.output_words() * sizeof(uint32_t));
    }
    const size_t row_words = (kPixels * RowWords() + 15) / 16 * 16;
    const size_t tile_words =
        output.epilogue != nullptr ? static_cast<size_t>(kPixels) * g_.channels_out : 0;
    const size_t scratch_words = row_words + (tile_words + 15) / 16 * 16;
    if (!workspace->Reserve(static_cast<uint64_t>(threads->threads()) * scratch_words *
                            sizeof(uint32_t))) {
      return false;
    }
    uint32_t* scratch = reinterpret_cast<uint32_t*>(workspace->data());
    const int tiles = (pixels() - g_.first_pixel + kPixels - 1) / kPixels;  // of an image
    // Few, so that all threads end at the same time, but enough for a task to be worth taking.
    const int tiles_per_task = std::clamp(tiles * g_.batch / (4 * threads->threads()), 1, 8);
    const int tasks = (tiles + tiles_per_task - 1) / tiles_per_task;
    threads->ParallelFor(g_.batch * tasks, [&](int task, int thread) {
      const int b = task / tasks, first = task % tasks * tiles_per_task;
      for (int tile = first; tile < std::min(tiles, first + tiles_per_task); ++tile) {
        const int first_pixel = g_.first_pixel + tile * kPixels;
        const size_t pixel = static_cast<size_t>(b) * pixels() + first_pixel;
        const int count = std::min(kPixels, pixels() - first_pixel);
        uint32_t* rows = scratch + thread * scratch_words;
        if (output.epilogue == nullptr) {
          RunTile(input, b, first_pixel, count, rows, pixel, output.data);
          continue;
        }
        float* values = reinterpret_cast<float*>(rows + row_words);
        RunTile(input, b, first_pixel, count, rows, 0, values);
        output.epilogue->Run(
            {values, static_cast<size_t>(g_.channels_out), pixel, count, 0, g_.channels_out});
      }
    });
    return true;
  }

  bool TakesEpilogue() const override { return transform_.type == OutputType::kFloat32; }

  const char* kernel() const override { return "xnor"; }
  std::string description() const override { return DescribeXnor(kPixels, kChannels, isa_); }

 private:
  int pixels() const { return g_.output_height * g_.output_width; }
  size_t RowWords() const { return static_cast<size_t>(steps_) * kStepWords; }
  bool HalvesStep(int step) const {
    return V::kHalvesLastStep && (words_ - step * kStepWords) * 2 <= kStepWords;
  }
  size_t BlockWords() const { return RowWords() * kChannels; }
  uint32_t* Block(int group, int block) const {
    return reinterpret_cast<uint32_t*>(packed_.data()) +
           (static_cast<size_t>(group) * blocks_ + block) * BlockWords();
  }

  // For a few words; a call of memcpy would take longer.
  static uint32_t* CopyWords(const uint32_t* from, int count, uint32_t* to) {
    for (; count >= 4; count -= 4, from += 4, to += 4) {
      std::memcpy(to, from, 16);
      asm("" : "+r"(to));  // else compilers recognise memcpy
    }
    if (count & 2) {
      std::memcpy(to, from, 8);
      from += 2;
      to += 2;
    }
    if (count & 1) *to++ = *from;
    return to;
  }

  static uint32_t* ClearWords(size_t count, uint32_t* to) {
    for (; count > 0; --count) {
      *to++ = 0;
      asm("" : "+r"(to));  // as above: memset
    }
    return to;
  }

  // Of words that are `stride` apart, one a step.
  void JoinSteps(uint32_t* words, size_t stride) const {
    static_assert(!V::kJoinsSteps || kStepWords == 1, "a step is a word");
    for (int step = 0; step + 3 <= steps_; step += 3, words += 3 * stride) {
      words[2 * stride] ^= words[stride] ^ words[0];
    }
  }

  // `g` and what follows from it are the caller's own, for all the compiler knows a word that is
  // stored overwrites a member.
  void FillRow(const Geometry& g, const uint32_t* image, int group_words, int y, int x,
               uint32_t* words) const {
    uint32_t* const row = words;
    const size_t pixel_words = g.groups == 1 ? group_words : g.input_words();
    const int first_x = x * g.stride_width - g.padding_left;
    const int first_y = y * g.stride_height - g.padding_top;
    // The taps of a row then follow each other in the input.
    const bool whole_row = g.groups == 1 && g.dilation_width == 1 && first_x >= 0 &&
                           first_x + g.filter_width <= g.input_width;
    for (int ky = 0, in_y = first_y; ky < g.filter_height; ++ky, in_y += g.dilation_height) {
      const bool row_inside = in_y >= 0 && in_y < g.input_height;
      const uint32_t* pixels =
          image + static_cast<size_t>(row_inside ? in_y : 0) * g.input_width * pixel_words;
      if (row_inside && whole_row) {
        words = CopyWords(pixels + first_x * pixel_words, g.filter_width * group_words, words);
        continue;
      }
      for (int kx = 0; kx < g.filter_width; ++kx) {
        const int in_x = first_x + kx * g.dilation_width;
        if (row_inside && in_x >= 0 && in_x < g.input_width) {
          words = CopyWords(pixels + in_x * pixel_words, group_words, words);
        } else {
          words = ClearWords(group_words, words);
        }
      }
    }
    ClearWords(row + RowWords() - words, words);
    if constexpr (V::kJoinsSteps) JoinSteps(row, 1);
  }

  // `output_pixel`: which pixel of the output the tile's first one is.
  void RunTile(const uint32_t* input, int b, int first_pixel, int count, uint32_t* rows,
               size_t output_pixel, void* output) const {
    // Nothing else points to these.
    const Geometry g = g_;
    const int group_words = g.group_words(), words = words_, channels = channels_;
    const size_t row_words = RowWords(), block_words = BlockWords();
    const uint32_t* const image =
        input + static_cast<size_t>(b) * g.input_height * g.input_width * g.input_words();
    for (int group = 0; group < g.groups; ++group) {
      // In the last tile some rows may be of the tile before: their results are not used.
      int y = first_pixel / g.output_width, x = first_pixel % g.output_width;
      for (int p = 0; p < count; ++p) {
        FillRow(g, image + group * group_words, group_words, y, x, rows + p * row_words);
        if (++x == g.output_width) x = 0, ++y;
      }
      const uint32_t* filter = Block(group, 0);
      for (int first = 0; first < channels; first += kChannels, filter += block_words) {
        alignas(64) Counts counts[kPixels];
        V::CountTile(rows, row_words, filter, words, count, counts);
        StoreTile(counts, output_pixel, count, group * channels + first,
                  std::min(kChannels, channels - first), output);
      }
    }
  }

  // Writes `channels` channels from `o` on of `count` pixels that follow each other.
  void StoreTile(const Counts* counts, size_t pixel, int count, int o, int channels,
                 void* output) const {
    switch (transform_.type) {
      case OutputType::kFloat32: {
        float* pixels = static_cast<float*>(output) + pixel * g_.channels_out + o;
        if (count == kPixels && channels >= kChannels) {
          return StoreNumbers<kPixels>(counts, count, o, kChannels, pixels);
        }
        return StoreNumbers<0>(counts, count, o, channels, pixels);
      }
      case OutputType::kInt8:
        return StoreNumbers<0>(counts, count, o, channels,
                               static_cast<int8_t*>(output) + pixel * g_.channels_out + o);
      case OutputType::kBitpacked:
        for (int p = 0; p < count; ++p) {
          StoreBits(counts[p], static_cast<uint32_t*>(output) + (pixel + p) * g_.output_words(),
                    o, channels);
        }
    }
  }

  // kWhole: the number of pixels of a tile that is whole, in pixels and in channels, or 0.
  template <int kWhole, typename T>
  void StoreNumbers(const Counts* counts, int count, int o, int channels, T* output) const {
    const VectorTransform transform = vector_transform_;  // nothing else points to it
    const size_t stride = g_.channels_out;
    for (int first = 0; first < (kWhole > 0 ? kChannels : channels); first += 8) {
      const f32x8 multiplier = transform.LoadMultiplier(&transform_.multiplier[o + first]);
      const f32x8 bias = VectorTransform::LoadFloats(&transform_.bias[o + first]);
      const int in_vector = kWhole > 0 ? 8 : std::min(8, channels - first);
      T* pixel = output + first;
      if (kWhole > 0) {
        // All before the first is stored: for all the compiler knows, that overwrites counts.
        f32x8 y[kWhole > 0 ? kWhole : 1];
        for (int p = 0; p < kWhole; ++p) {
          y[p] = transform.ToFloat(LoadCounts(counts[p] + first), multiplier, bias);
        }
        for (int p = 0; p < kWhole; ++p, pixel += stride) {
          VectorTransform::StorePixel(y[p], pixel, 8);
        }
        continue;
      }
      for (int p = 0; p < count; ++p, pixel += stride) {
        const f32x8 y = transform.ToFloat(LoadCounts(counts[p] + first), multiplier, bias);
        VectorTransform::StorePixel(y, pixel, in_vector);
      }
    }
  }

  static u16x8 LoadCounts(const uint16_t* counts) {
    u16x8 v;
    std::memcpy(&v, counts, sizeof v);
    return v;
  }
  static i32x8 LoadCounts(const uint32_t* counts) {
    i32x8 v;
    std::memcpy(&v, counts, sizeof v);
    return v;
  }

  void StoreBits(const typename V::Count* counts, uint32_t* words, int o, int channels) const {
    for (int i = 0; i < channels; i += 32) {
      uint32_t bits = 0;
      for (int k = 0; k < 32 && i + k < channels; k += 8) {
        bits |=
            static_cast<uint32_t>(Compare(counts + i + k, &transform_.thresholds[o + i + k]))
            << k;
      }
      if (channels - i < 32) bits &= (1u << (channels - i)) - 1;
      const int word = (o + i) / 32, shift = (o + i) % 32;
      // A block may fill only part of a word; with groups it may also begin anywhere in one.
      const bool fresh = shift == 0 && g_.groups == 1;
      words[word] = fresh ? bits : words[word] | bits << shift;
      if (shift > 0 && shift + channels - i > 32) words[word + 1] |= bits >> (32 - shift);
    }
  }

  // Bit i: counts[i] > thresholds[i], for 8 channels.
  static uint8_t Compare(const typename V::Count* counts, const int32_t* thresholds) {
    const i32x8 kBit = {1, 2, 4, 8, 16, 32, 64, 128};
    i32x8 limits;
    std::memcpy(&limits, thresholds, sizeof limits);
    i32x8 bits = (ToSigned(LoadCounts(counts)) > limits) & kBit;
    bits |= __builtin_shufflevector(bits, bits, 4, 5, 6, 7, 0, 1, 2, 3);
    bits |= __builtin_shufflevector(bits, bits, 2, 3, 0, 1, 6, 7, 4, 5);
    return static_cast<uint8_t>(bits[0] | bits[1]);
  }
  static i32x8 ToSigned(u16x8 counts) { return __builtin_convertvector(counts, i32x8); }
  static i32x8 ToSigned(i32x8 counts) { return counts; }

  const Geometry g_;
  OutputTransform transform_;
  const VectorTransform vector_transform_;
  const int channels_;  // of the output in a group of the convolution
  const int blocks_;    // of kChannels of them
  const int words_;     // of a row, and in how many steps
  const int steps_;
  const char* const isa_;
  AlignedBytes packed_;  // the filter
};

template <class V>
std::unique_ptr<Bconv2d> MakeXnorBconv2d(const Geometry& geometry, const FilterReader& filter,
                                         OutputTransform transform, const char* isa,
                                         std::string* error) {
  auto bconv = std::make_unique<XnorBconv2d<V>>(geometry, std::move(transform), isa);
  if (!bconv->Pack(filter)) {
    *error = "Expected memory for the filter, got none";
    return nullptr;
  }
  return bconv;
}

}  // namespace
}  // namespace sparsebnn

// The function that kernel_list.inc names, of a V with the tile that it says.
#define SPARSEBNN_DEFINE_XNOR(V, pixels, channels, isa)                                   \
  static_assert(V::kPixels == pixels && V::kChannels == channels, "not the tile of " #V); \
  std::unique_ptr<Bconv2d> MakeXnorBconv2d_##pixels##x##channels##__##isa(                \
      const Geometry& geometry, const FilterReader& filter, OutputTransform transform,    \
      std::string* error) {                                                               \
    return MakeXnorBconv2d<V>(geometry, filter, std::move(transform), #isa, error);       \
  }
