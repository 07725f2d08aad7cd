#include "stem.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sparsebnn {
namespace {

// Multiplications that one thread should have at least: below, waking another costs more than it
// saves.
constexpr size_t kProductsPerTask = 1 << 18;

// [channels_out, depth] and bias to what StemRow says.
std::vector<float> Packed(const StemGeometry& g, int lanes, const float* filter,
                          const float* bias) {
  const int depth = g.filter_height * g.run();
  std::vector<float> packed;
  for (int first = 0; first < g.channels_out;) {
    const int channels = g.channels_out - first > lanes ? 2 * lanes : lanes;
    for (int k = -1; k < depth; ++k) {
      for (int o = first; o < first + channels; ++o) {
        const bool there = o < g.channels_out;
        const size_t at = static_cast<size_t>(o) * static_cast<size_t>(depth);
        packed.push_back(!there ? 0.0f : k < 0 ? bias[o] : filter[at + static_cast<size_t>(k)]);
      }
    }
    first += channels;
  }
  return packed;
}

size_t RowFloatsOf(const StemGeometry& g) {
  const size_t outputs = static_cast<size_t>(g.output_width) + kMaxStemPixels - 1;
  return (outputs - 1) * static_cast<size_t>(g.step()) + static_cast<size_t>(g.run());
}

}  // namespace

StemTile StemTileFor(Isa isa, int channels) {
  // Half of each vector would be nobody's.
  if (isa == Isa::kAvx512 && channels <= 8) isa = Isa::kAvx2;
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return {RunStemRow__avx2, 8};
    case Isa::kAvx512:
      return {RunStemRow__avx512, 16};
#elif defined(__aarch64__)
    case Isa::kNeon:
      return {RunStemRow__neon, 4};
#endif
    default:
      return {nullptr, 1};
  }
}

Stem::Stem(const StemGeometry& geometry, const float* filter, const float* bias, float minimum,
           float maximum, Isa isa)
    : geometry_(geometry),
      tile_(StemTileFor(isa, geometry.channels_out)),
      minimum_(minimum),
      maximum_(maximum),
      weights_(Packed(geometry, tile_.lanes, filter, bias)) {}

size_t Stem::RowFloats() const { return RowFloatsOf(geometry_); }

// The ring and a row of outputs.
size_t Stem::WorkspaceBytes(const StemGeometry& g) {
  return (RowFloatsOf(g) * static_cast<size_t>(g.filter_height) +
          static_cast<size_t>(g.output_width) * static_cast<size_t>(g.channels_out)) *
         sizeof(float);
}

// Row `y` of the image, which may lie outside.
void Stem::CopyRow(const float* image, int y, float* row) const {
  const StemGeometry& g = geometry_;
  const size_t floats = RowFloats();
  if (y < 0 || y >= g.input_height) {
    std::memset(row, 0, floats * sizeof(float));
    return;
  }
  const size_t before =
      static_cast<size_t>(g.padding_left) * static_cast<size_t>(g.channels_in);
  const size_t width = static_cast<size_t>(g.input_width) * static_cast<size_t>(g.channels_in);
  const size_t copied = std::min(width, floats - before);
  std::memset(row, 0, before * sizeof(float));
  std::memcpy(row + before, image + static_cast<size_t>(y) * width, copied * sizeof(float));
  std::memset(row + before + copied, 0, (floats - before - copied) * sizeof(float));
}

// Makes rows of the output, of each image in rising order.
class Stem::RowMaker {
 public:
  RowMaker(const Stem& stem, const float* input, float* ring)
      : stem_(stem),
        g_(stem.geometry_),
        input_(input),
        ring_(ring),
        rows_(static_cast<size_t>(g_.filter_height)),
        row_{rows_.data(),
             rows_.size(),
             static_cast<size_t>(g_.run()),
             static_cast<size_t>(g_.step()),
             stem.weights_.data(),
             stem.minimum_,
             stem.maximum_,
             nullptr,
             g_.output_width,
             g_.channels_out} {}

  // Row `y` of image `b`.
  void Make(size_t b, int y, float* output) {
    const int top = y * g_.stride_height;
    copied_ = b == image_ ? std::max(copied_, top) : top;
    image_ = b;
    const float* const image = input_ + b * static_cast<size_t>(g_.input_height) *
                                            static_cast<size_t>(g_.input_width) *
                                            static_cast<size_t>(g_.channels_in);
    for (; copied_ < top + g_.filter_height; ++copied_) {
      stem_.CopyRow(image, copied_ - g_.padding_top, Slot(copied_));
    }
    for (int ky = 0; ky < g_.filter_height; ++ky) {
      rows_[static_cast<size_t>(ky)] = Slot(top + ky);
    }
    row_.output = output;
    stem_.tile_.run(row_);
  }

 private:
  float* Slot(int y) const {
    return ring_ + static_cast<size_t>(y % g_.filter_height) * stem_.RowFloats();
  }

  const Stem& stem_;
  const StemGeometry& g_;
  const float* const input_;
  float* const ring_;
  std::vector<const float*> rows_;
  StemRow row_;
  size_t image_ = SIZE_MAX;
  // The first row of the image that is not in the ring, from padding_top above.
  int copied_ = 0;
};

// Calls body(first_row, rows, scratch) for parts of `rows` rows, in parallel.
template <typename Body>
bool Stem::RunParts(size_t rows, size_t parts_per_thread, size_t scratch, Workspace* workspace,
                    ThreadPool* threads, const Body& body) const {
  const StemGeometry& g = geometry_;
  const size_t products = static_cast<size_t>(g.batch) * static_cast<size_t>(g.output_height) *
                          static_cast<size_t>(g.output_width) *
                          static_cast<size_t>(g.filter_height * g.run()) *
                          static_cast<size_t>(g.channels_out);
  const size_t pool = static_cast<size_t>(threads->threads());
  // Several parts for each thread, for one may come late.
  const size_t parts =
      pool == 1 ? 1
                : std::min({parts_per_thread * pool, rows, products / kProductsPerTask + 1});
  const size_t rows_per_part = (rows + parts - 1) / parts;
  if (!workspace->Reserve(pool * scratch * sizeof(float))) return false;
  float* const floats = reinterpret_cast<float*>(workspace->data());
  threads->ParallelFor(static_cast<int>((rows + rows_per_part - 1) / rows_per_part),
                       [&](int part, int thread) {
                         const size_t first = static_cast<size_t>(part) * rows_per_part;
                         body(first, std::min(rows_per_part, rows - first),
                              floats + static_cast<size_t>(thread) * scratch);
                       });
  return true;
}

bool Stem::Run(const float* input, float* output, const Epilogue* epilogue,
               Workspace* workspace, ThreadPool* threads) const {
  const StemGeometry& g = geometry_;
  const size_t height = static_cast<size_t>(g.output_height);
  const size_t width = static_cast<size_t>(g.output_width);
  const size_t channels = static_cast<size_t>(g.channels_out);
  const auto run = [&](size_t first, size_t count, float* scratch) {
    RowMaker maker(*this, input, scratch + width * channels);
    for (size_t at = first; at < first + count; ++at) {
      float* const to = output != nullptr ? output + at * width * channels : scratch;
      maker.Make(at / height, static_cast<int>(at % height), to);
      if (output != nullptr) continue;
      epilogue->Run({scratch, channels, at * width, g.output_width, 0, g.channels_out});
    }
  };
  return RunParts(static_cast<size_t>(g.batch) * height, 4, WorkspaceBytes(g) / sizeof(float),
                  workspace, threads, run);
}

bool Stem::RunPooled(const float* input, const FloatPool& pool, const Epilogue& epilogue,
                     Workspace* workspace, ThreadPool* threads) const {
  const size_t own = WorkspaceBytes(geometry_) / sizeof(float);
  const size_t row_floats =
      static_cast<size_t>(geometry_.output_width) * static_cast<size_t>(geometry_.channels_out);
  const auto run = [&](size_t first, size_t count, float* scratch) {
    RowMaker maker(*this, input, scratch + row_floats);
    const auto map_row = [&](size_t b, int y) {
      maker.Make(b, y, scratch);
      return scratch;
    };
    pool.Run(first, count, map_row, epilogue, scratch + own);
  };
  // Few parts, for rows that two of them need are made twice.
  return RunParts(pool.rows(), 2, own + FloatPool::ScratchFloats(pool.geometry()), workspace,
                  threads, run);
}

}  // namespace sparsebnn
