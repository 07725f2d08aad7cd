#include "stem.h"

#include <algorithm>
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

// Rows of the output from `first` on, numbered through the batch.
void Stem::RunRows(const float* input, float* output, const Epilogue* epilogue, size_t first,
                   size_t count, float* scratch) const {
  const StemGeometry& g = geometry_;
  const size_t height = static_cast<size_t>(g.output_height);
  const size_t width = static_cast<size_t>(g.output_width);
  const size_t channels = static_cast<size_t>(g.channels_out);
  const size_t image_floats = static_cast<size_t>(g.input_height) *
                              static_cast<size_t>(g.input_width) *
                              static_cast<size_t>(g.channels_in);
  const int filter_height = g.filter_height;
  std::vector<const float*> rows(static_cast<size_t>(filter_height));
  float* const ring = scratch + (output == nullptr ? width * channels : 0);
  StemRow row = {rows.data(),
                 static_cast<size_t>(filter_height),
                 static_cast<size_t>(g.run()),
                 static_cast<size_t>(g.step()),
                 weights_.data(),
                 minimum_,
                 maximum_,
                 scratch,
                 g.output_width,
                 g.channels_out};
  int copied = 0;  // the first row of the image that is not in the ring, from padding_top above
  for (size_t at = first; at < first + count; ++at) {
    const int y = static_cast<int>(at % height);
    const int top = y * g.stride_height;
    if (at == first || y == 0) copied = top;
    copied = std::max(copied, top);
    for (; copied < top + filter_height; ++copied) {
      const size_t slot = static_cast<size_t>(copied % filter_height);
      CopyRow(input + at / height * image_floats, copied - g.padding_top,
              ring + slot * RowFloats());
    }
    for (int ky = 0; ky < filter_height; ++ky) {
      const size_t slot = static_cast<size_t>((top + ky) % filter_height);
      rows[static_cast<size_t>(ky)] = ring + slot * RowFloats();
    }
    if (output != nullptr) row.output = output + at * width * channels;
    tile_.run(row);
    if (output != nullptr) continue;
    epilogue->Run({scratch, channels, at * width, g.output_width, 0, g.channels_out});
  }
}

bool Stem::Run(const float* input, float* output, const Epilogue* epilogue,
               Workspace* workspace, ThreadPool* threads) const {
  const StemGeometry& g = geometry_;
  const size_t rows = static_cast<size_t>(g.batch) * static_cast<size_t>(g.output_height);
  const size_t products = rows * static_cast<size_t>(g.output_width) *
                          static_cast<size_t>(g.filter_height * g.run()) *
                          static_cast<size_t>(g.channels_out);
  const size_t pool = static_cast<size_t>(threads->threads());
  // Several parts for each thread, for one may come late.
  const size_t parts =
      pool == 1 ? 1 : std::min({4 * pool, rows, products / kProductsPerTask + 1});
  const size_t rows_per_part = (rows + parts - 1) / parts;
  const size_t scratch = WorkspaceBytes(g) / sizeof(float);
  if (!workspace->Reserve(pool * scratch * sizeof(float))) return false;
  float* const floats = reinterpret_cast<float*>(workspace->data());
  threads->ParallelFor(
      static_cast<int>((rows + rows_per_part - 1) / rows_per_part), [&](int part, int thread) {
        const size_t first = static_cast<size_t>(part) * rows_per_part;
        RunRows(input, output, epilogue, first, std::min(rows_per_part, rows - first),
                floats + static_cast<size_t>(thread) * scratch);
      });
  return true;
}

}  // namespace sparsebnn
