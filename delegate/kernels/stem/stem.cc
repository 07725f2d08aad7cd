#include "stem.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "stem_rows.h"

namespace sparsebnn {
namespace {

// Of a row in the ring: a kernel may compute outputs beyond the row's end.
size_t RowFloats(const StemGeometry& g) {
  return g.padded_row(static_cast<size_t>(g.output_width) + kMaxStemPixels - 1);
}

size_t RingBytes(const StemGeometry& g) {
  return RowFloats(g) * static_cast<size_t>(g.filter_height) * sizeof(float);
}

}  // namespace

StemTile StemTileFor(Isa isa, int channels) {
  // Half of each vector would be nobody's.
  if (isa == Isa::kAvx512 && channels <= 8) isa = Isa::kAvx2;
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return {RunStemRow__avx2, 8, 6};
    case Isa::kAvx512:
      return {RunStemRow__avx512, 16, 14};
#elif defined(__aarch64__)
    case Isa::kNeon:
      return {RunStemRow__neon, 4, 8};
#endif
    default:
      return {nullptr, 1, 1};
  }
}

std::vector<float> PackStemWeights(int channels, int depth, int lanes, const float* filter,
                                   const float* bias) {
  std::vector<float> packed;
  for (int first = 0; first < channels;) {
    const int block = channels - first > lanes ? 2 * lanes : lanes;
    for (int k = -1; k < depth; ++k) {
      for (int o = first; o < first + block; ++o) {
        const bool there = o < channels;
        const size_t at = static_cast<size_t>(o) * static_cast<size_t>(depth);
        packed.push_back(!there ? 0.0f : k < 0 ? bias[o] : filter[at + static_cast<size_t>(k)]);
      }
    }
    first += block;
  }
  return packed;
}

Stem::Stem(const StemGeometry& geometry, const float* filter, const float* bias, float minimum,
           float maximum, Isa isa)
    : geometry_(geometry),
      tile_(StemTileFor(isa, geometry.channels_out / geometry.groups)),
      minimum_(minimum),
      maximum_(maximum) {
  const int depth = geometry.filter_height * geometry.run();
  const int channels = geometry.channels_out / geometry.groups;
  for (int first = 0; first < geometry.channels_out; first += channels) {
    const std::vector<float> packed = PackStemWeights(
        channels, depth, tile_.lanes,
        filter + static_cast<size_t>(first) * static_cast<size_t>(depth), bias + first);
    weights_.insert(weights_.end(), packed.begin(), packed.end());
  }
}

// The ring and a row of outputs.
size_t Stem::WorkspaceBytes(const StemGeometry& g) {
  return RingBytes(g) + g.output_row() * sizeof(float);
}

// Row `y` of the image, which may lie outside.
void Stem::CopyRow(const float* image, int y, float* row) const {
  const StemGeometry& g = geometry_;
  const size_t floats = RowFloats(g);
  if (y < 0 || y >= g.input_height) {
    std::memset(row, 0, floats * sizeof(float));
    return;
  }
  const size_t before = g.before(), width = g.image_row();
  const size_t copied = std::min(width, floats - before);
  std::memset(row, 0, before * sizeof(float));
  std::memcpy(row + before, image + static_cast<size_t>(y) * width, copied * sizeof(float));
  std::memset(row + before + copied, 0, (floats - before - copied) * sizeof(float));
}

class Stem::Rows {
 public:
  Rows(const Rows&) = delete;  // row_ points to rows_
  Rows& operator=(const Rows&) = delete;
  Rows(const Stem& stem, const float* input, uint8_t* scratch)
      : stem_(stem),
        g_(stem.geometry_),
        input_(input),
        ring_(g_, RowFloats(g_), reinterpret_cast<float*>(scratch)),
        rows_(static_cast<size_t>(g_.filter_height)),
        row_{rows_.data(),
             static_cast<size_t>(g_.filter_height),
             static_cast<size_t>(g_.run()),
             static_cast<size_t>(g_.step()),
             nullptr,
             stem.minimum_,
             stem.maximum_,
             nullptr,
             g_.output_width,
             g_.channels_out / g_.groups,
             g_.groups} {}

  void Make(size_t b, int y, float* output) {
    const float* const image =
        input_ + b * static_cast<size_t>(g_.input_height) * g_.image_row();
    const float* const* const rows =
        ring_.Rows(b, y, [&](int from, float* to) { stem_.CopyRow(image, from, to); });
    const size_t weights = stem_.weights_.size() / static_cast<size_t>(g_.groups);
    for (size_t group = 0; group < static_cast<size_t>(g_.groups); ++group) {
      for (size_t ky = 0; ky < rows_.size(); ++ky) rows_[ky] = rows[ky] + group;
      row_.weights = stem_.weights_.data() + group * weights;
      row_.output = output + group * static_cast<size_t>(row_.channels);
      stem_.tile_.run(row_);
    }
  }

 private:
  const Stem& stem_;
  const StemGeometry& g_;
  const float* const input_;
  StemRing<float> ring_;
  std::vector<const float*> rows_;
  StemRow row_;
};

bool Stem::Run(const float* input, float* output, const Epilogue* epilogue,
               Workspace* workspace, ThreadPool* threads) const {
  const auto rows = [&](uint8_t* scratch) { return Rows(*this, input, scratch); };
  return RunStem(geometry_, RingBytes(geometry_), tile_.products_per_microsecond(), rows,
                 output, epilogue, workspace, threads);
}

bool Stem::RunPooled(const float* input, const FloatPool& pool, const Epilogue& epilogue,
                     Workspace* workspace, ThreadPool* threads) const {
  const auto rows = [&](uint8_t* scratch) { return Rows(*this, input, scratch); };
  return RunStemPooled(geometry_, RingBytes(geometry_), tile_.products_per_microsecond(), rows,
                       pool, epilogue, workspace, threads);
}

}  // namespace sparsebnn
