#include "int8_stem.h"

#include <algorithm>
#include <cstring>

#include "stem_rows.h"

namespace sparsebnn {
namespace {

// Samples are copied in runs of that many bytes, and may be read and written as far beyond.
constexpr size_t kCopied = 16;
// Multiplications in a microsecond.
constexpr double kProductsPerLane = 12000;

size_t RoundedUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// Bytes of a row in the ring, and of the samples under the filter of one output.
size_t RowBytes(const StemGeometry& g, const Int8StemTile& tile) {
  const size_t samples = g.padded_row(static_cast<size_t>(g.output_width));
  return samples * static_cast<size_t>(tile.sample_bytes) + kCopied;
}

size_t PixelBytes(const StemGeometry& g, const Int8StemTile& tile) {
  return RoundedUp(static_cast<size_t>(g.filter_height * g.run()),
                   static_cast<size_t>(tile.group)) *
         static_cast<size_t>(tile.sample_bytes);
}

size_t RingBytes(const StemGeometry& g, const Int8StemTile& tile) {
  return RoundedUp(RowBytes(g, tile) * static_cast<size_t>(g.filter_height),
                   AlignedBytes::kAlignment);
}

// The ring and the samples of a row of outputs.
size_t OwnBytes(const StemGeometry& g, const Int8StemTile& tile) {
  const size_t pixels = static_cast<size_t>(g.output_width) + kMaxInt8StemPixels - 1;
  return RingBytes(g, tile) +
         RoundedUp(pixels * PixelBytes(g, tile) + kCopied, AlignedBytes::kAlignment);
}

template <typename T>
void Append(T value, std::vector<uint8_t>* bytes) {
  uint8_t own[sizeof value];
  std::memcpy(own, &value, sizeof value);
  bytes->insert(bytes->end(), own, own + sizeof value);
}

// The sum of products with a sample of `sample` everywhere, taken from the bias, so that samples
// need not be differences from it. Modulo 2^32, as the sums.
int32_t BiasFor(const Int8StemParameters& p, int o, int depth, int sample) {
  int sum = 0;
  for (int k = 0; k < depth; ++k) {
    sum +=
        p.filter[static_cast<size_t>(o) * static_cast<size_t>(depth) + static_cast<size_t>(k)];
  }
  return static_cast<int32_t>(static_cast<uint32_t>(p.bias[o]) -
                              static_cast<uint32_t>(sample * sum));
}

// To what Int8StemRow says.
std::vector<uint8_t> Packed(const StemGeometry& g, const Int8StemTile& tile,
                            const Int8StemParameters& p) {
  const int depth = g.filter_height * g.run();
  const int groups = (depth + tile.group - 1) / tile.group;
  std::vector<uint8_t> packed;
  for (int first = 0; first < g.channels_out;) {
    const int end = first + (g.channels_out - first > tile.lanes ? 2 * tile.lanes : tile.lanes);
    for (int o = first; o < end; ++o) {
      const bool there = o < g.channels_out;
      const int sample = p.image.zero_point + tile.shift;
      Append<int32_t>(there ? BiasFor(p, o, depth, sample) : 0, &packed);
    }
    for (int o = first; o < end; ++o) {
      Append<float>(o < g.channels_out ? p.multipliers[o] : 0.0f, &packed);
    }
    for (int k = 0; k < groups * tile.group; k += tile.group) {
      for (int o = first; o < end; ++o) {
        for (int i = k; i < k + tile.group; ++i) {
          const bool there = o < g.channels_out && i < depth;
          const int8_t weight =
              there ? p.filter[static_cast<size_t>(o) * static_cast<size_t>(depth) +
                               static_cast<size_t>(i)]
                    : int8_t{0};
          if (tile.sample_bytes == 1) {
            Append<int8_t>(weight, &packed);
          } else {
            Append<int16_t>(weight, &packed);
          }
        }
      }
    }
    first = end;
  }
  return packed;
}

}  // namespace

Int8StemTile Int8StemTileFor(Isa isa, bool dot_products, int channels) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx512:
      // Else half of each vector would be nobody's.
      if (dot_products && channels > 8) {
        return {"int8 vnni", RunInt8StemRow__vnni, 16, 4, 1, 128};
      }
      [[fallthrough]];
    case Isa::kAvx2:
      return {"int8 avx2", RunInt8StemRow__avx2, 8, 2, 2, 0};
#elif defined(__aarch64__)
    case Isa::kNeon:
      if (dot_products) return {"int8 dotprod", RunInt8StemRow__dotprod, 4, 4, 1, 0};
      return {"int8 neon", RunInt8StemRow__neon, 2, 16, 1, 0};
#endif
    default:
      static_cast<void>(dot_products);
      static_cast<void>(channels);
      return {"", nullptr, 1, 1, 1, 0};
  }
}

// No branches, so that the compiler makes vectors of it. A value of at most 255 plus 1.5 * 2^23 has
// its rounded self in the last bits.
template <typename Sample>
void QuantizeSamples(const float* values, size_t count, const Int8Range& range, int shift,
                     Sample* samples) {
  constexpr float kMagic = 12582912.0f;
  constexpr int32_t kMagicBits = 0x4B400000;
  const float inverse = 1.0f / range.scale;
  const float low = static_cast<float>(-128 - range.zero_point);
  const float high = static_cast<float>(127 - range.zero_point);
  const int32_t added = range.zero_point + shift - kMagicBits;
  for (size_t i = 0; i < count; ++i) {
    float steps = values[i] * inverse;
    steps = steps > low ? steps : low;
    steps = steps < high ? steps : high;
    steps += kMagic;
    int32_t bits;
    std::memcpy(&bits, &steps, sizeof bits);
    samples[i] = static_cast<Sample>(bits + added);
  }
}

template void QuantizeSamples(const float*, size_t, const Int8Range&, int, int8_t*);

Int8Stem::Int8Stem(const StemGeometry& geometry, const Int8StemParameters& parameters, Isa isa,
                   bool dot_products)
    : geometry_(geometry),
      tile_(Int8StemTileFor(isa, dot_products, geometry.channels_out)),
      image_(parameters.image),
      output_(parameters.output),
      minimum_(static_cast<float>(parameters.minimum - parameters.output.zero_point)),
      maximum_(static_cast<float>(parameters.maximum - parameters.output.zero_point)),
      weights_(Packed(geometry, tile_, parameters)) {}

size_t Int8Stem::WorkspaceBytes(const StemGeometry& g) {
  constexpr Int8StemTile kLargest = {"", nullptr, 1, 16, 2, 0};
  return OwnBytes(g, kLargest) + g.output_row() * sizeof(float);
}

// Row `y` of the image, which may lie outside.
template <typename Sample>
void Int8Stem::CopyRow(const float* image, int y, uint8_t* row) const {
  const StemGeometry& g = geometry_;
  const size_t samples = g.padded_row(static_cast<size_t>(g.output_width));
  Sample* const to = reinterpret_cast<Sample*>(row);
  const Sample outside = static_cast<Sample>(image_.zero_point + tile_.shift);
  if (y < 0 || y >= g.input_height) {
    std::fill_n(to, samples, outside);
    return;
  }
  const size_t before = g.before(), width = g.image_row();
  const size_t copied = std::min(width, samples - before);
  std::fill_n(to, before, outside);
  QuantizeSamples(image + static_cast<size_t>(y) * width, copied, image_, tile_.shift,
                  to + before);
  std::fill_n(to + before + copied, samples - before - copied, outside);
}

class Int8Stem::Rows {
 public:
  Rows(const Int8Stem& stem, const float* input, uint8_t* scratch)
      : stem_(stem),
        g_(stem.geometry_),
        input_(input),
        ring_(g_, RowBytes(g_, stem.tile_), scratch),
        samples_(scratch + RingBytes(g_, stem.tile_)),
        row_{samples_,
             PixelBytes(g_, stem.tile_),
             stem.weights_.data(),
             stem.minimum_,
             stem.maximum_,
             stem.output_.scale,
             nullptr,
             g_.output_width,
             g_.channels_out} {}

  void Make(size_t b, int y, float* output) {
    const float* const image =
        input_ + b * static_cast<size_t>(g_.input_height) * g_.image_row();
    const bool bytes = stem_.tile_.sample_bytes == 1;
    Gather(ring_.Rows(b, y, [&](int from, uint8_t* to) {
      if (bytes) {
        stem_.CopyRow<uint8_t>(image, from, to);
      } else {
        stem_.CopyRow<int16_t>(image, from, to);
      }
    }));
    row_.output = output;
    stem_.tile_.run(row_);
  }

 private:
  // The samples under the filter, for each output. What is copied too far is written over by what
  // comes next, or meets weights of 0.
  void Gather(const uint8_t* const* rows) const {
    const size_t sample_bytes = static_cast<size_t>(stem_.tile_.sample_bytes);
    const size_t run = static_cast<size_t>(g_.run()) * sample_bytes;
    const size_t step = static_cast<size_t>(g_.step()) * sample_bytes;
    const size_t height = static_cast<size_t>(g_.filter_height);
    uint8_t* pixel = samples_;
    for (size_t x = 0; x < static_cast<size_t>(g_.output_width); ++x, pixel += row_.step) {
      uint8_t* to = pixel;
      for (size_t ky = 0; ky < height; ++ky, to += run) {
        const uint8_t* const from = rows[ky] + x * step;
        for (size_t i = 0; i < run; i += kCopied) std::memcpy(to + i, from + i, kCopied);
      }
    }
  }

  const Int8Stem& stem_;
  const StemGeometry& g_;
  const float* const input_;
  StemRing<uint8_t> ring_;
  uint8_t* const samples_;
  Int8StemRow row_;
};

bool Int8Stem::Run(const float* input, float* output, const Epilogue* epilogue,
                   Workspace* workspace, ThreadPool* threads) const {
  const auto rows = [&](uint8_t* scratch) { return Rows(*this, input, scratch); };
  return RunStem(geometry_, OwnBytes(geometry_, tile_), kProductsPerLane * tile_.lanes, rows,
                 output, epilogue, workspace, threads);
}

bool Int8Stem::RunPooled(const float* input, const FloatPool& pool, const Epilogue& epilogue,
                         Workspace* workspace, ThreadPool* threads) const {
  const auto rows = [&](uint8_t* scratch) { return Rows(*this, input, scratch); };
  return RunStemPooled(geometry_, OwnBytes(geometry_, tile_), kProductsPerLane * tile_.lanes,
                       rows, pool, epilogue, workspace, threads);
}

}  // namespace sparsebnn
