// How a stem goes over its image, whatever it computes with: row by row of the output, in parallel
// parts, with the rows of the image that it reads in a ring, and to memory, an epilogue or a pool.
#ifndef SPARSEBNN_KERNELS_STEM_STEM_ROWS_H_
#define SPARSEBNN_KERNELS_STEM_STEM_ROWS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/max_pool/float_pool.h"
#include "stem_geometry.h"

namespace sparsebnn {

// Rows of the image with their padding, of `row_values` values in `memory`, that a row of the
// output reads; most of them are kept for the next.
template <typename Value>
class StemRing {
 public:
  StemRing(const StemGeometry& geometry, size_t row_values, Value* memory)
      : g_(geometry),
        row_values_(row_values),
        memory_(memory),
        rows_(static_cast<size_t>(geometry.filter_height)) {}

  // Those of row `y` of image `b`, top to bottom; of each image in rising order. copy(row, to)
  // makes a row of the image, which may lie outside.
  template <typename Copy>
  const Value* const* Rows(size_t b, int y, const Copy& copy) {
    const int top = y * g_.stride_height;
    copied_ = b == image_ ? std::max(copied_, top) : top;
    image_ = b;
    for (; copied_ < top + g_.filter_height; ++copied_) {
      copy(copied_ - g_.padding_top, Slot(copied_));
    }
    for (int ky = 0; ky < g_.filter_height; ++ky) {
      rows_[static_cast<size_t>(ky)] = Slot(top + ky);
    }
    return rows_.data();
  }

 private:
  Value* Slot(int y) const {
    return memory_ + static_cast<size_t>(y % g_.filter_height) * row_values_;
  }

  const StemGeometry& g_;
  const size_t row_values_;
  Value* const memory_;
  std::vector<const Value*> rows_;
  size_t image_ = SIZE_MAX;
  // The first row of the image that is not in the ring, from padding_top above.
  int copied_ = 0;
};

// Calls body(first_row, rows, scratch) for parts of `rows` rows, in parallel if that pays, each with
// `bytes` of scratch memory; a thread does about `speed` multiplications a microsecond. False if
// memory is short.
template <typename Body>
bool RunStemParts(const StemGeometry& g, size_t rows, size_t parts_per_thread, size_t bytes,
                  double speed, Workspace* workspace, ThreadPool* threads, const Body& body) {
  constexpr size_t kAlignment = AlignedBytes::kAlignment;
  const double products = static_cast<double>(g.batch) * g.output_height * g.output_width *
                          g.filter_height * g.run() * g.channels_out;
  const size_t pool = static_cast<size_t>(threads->ThreadsFor(products / speed));
  // Several parts for each thread, for one may come late.
  const size_t parts = pool == 1 ? 1 : std::min(parts_per_thread * pool, rows);
  const size_t rows_per_part = (rows + parts - 1) / parts;
  const size_t scratch = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (!workspace->Reserve(static_cast<uint64_t>(threads->threads()) * scratch)) return false;
  threads->ParallelFor(static_cast<int>((rows + rows_per_part - 1) / rows_per_part),
                       [&](int part, int thread) {
                         const size_t first = static_cast<size_t>(part) * rows_per_part;
                         body(first, std::min(rows_per_part, rows - first),
                              workspace->data() + static_cast<size_t>(thread) * scratch);
                       });
  return true;
}

// As Stem::Run. make_rows(scratch) gives an object whose Make(b, y, output) makes row `y` of image
// `b`, of each image in rising order; it has `own` bytes. `speed`: as above.
template <typename MakeRows>
bool RunStem(const StemGeometry& g, size_t own, double speed, const MakeRows& make_rows,
             float* output, const Epilogue* epilogue, Workspace* workspace,
             ThreadPool* threads) {
  const size_t height = static_cast<size_t>(g.output_height);
  const size_t width = static_cast<size_t>(g.output_width);
  const size_t channels = static_cast<size_t>(g.channels_out);
  const auto run = [&](size_t first, size_t count, uint8_t* scratch) {
    auto rows = make_rows(scratch);
    float* const row = reinterpret_cast<float*>(scratch + own);
    for (size_t at = first; at < first + count; ++at) {
      float* const to = output != nullptr ? output + at * width * channels : row;
      rows.Make(at / height, static_cast<int>(at % height), to);
      if (output != nullptr) continue;
      epilogue->Run({row, channels, at * width, g.output_width, 0, g.channels_out});
    }
  };
  return RunStemParts(g, static_cast<size_t>(g.batch) * height, 4,
                      own + g.output_row() * sizeof(float), speed, workspace, threads, run);
}

// As Stem::RunPooled, likewise.
template <typename MakeRows>
bool RunStemPooled(const StemGeometry& g, size_t own, double speed, const MakeRows& make_rows,
                   const FloatPool& pool, const Epilogue& epilogue, Workspace* workspace,
                   ThreadPool* threads) {
  const size_t row_floats = g.output_row();
  const auto run = [&](size_t first, size_t count, uint8_t* scratch) {
    auto rows = make_rows(scratch);
    float* const row = reinterpret_cast<float*>(scratch + own);
    const auto map_row = [&](size_t b, int y) {
      rows.Make(b, y, row);
      return row;
    };
    pool.Run(first, count, map_row, epilogue, row + row_floats);
  };
  // Few parts, for rows that two of them need are made twice.
  return RunStemParts(
      g, pool.rows(), 2,
      own + (row_floats + FloatPool::ScratchFloats(pool.geometry())) * sizeof(float), speed,
      workspace, threads, run);
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_STEM_ROWS_H_
