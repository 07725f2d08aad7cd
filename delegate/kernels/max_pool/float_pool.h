// Max pooling of floats: a window of a map to the greatest of its values, channel by channel.
//
//   output[b, y, x, c] = max of map[b, y * stride_h + ky - pad_top, x * stride_w + kx - pad_left, c]
//                        over those ky < filter_h, kx < filter_w that lie in the map
//
// A row of the map goes through its windows' columns as soon as it is there; of these shorter rows
// the last filter_h are kept. So a layer's output can be pooled row by row, and is never in memory
// as a whole.
//
// Taking the greatest is exact in any order; only which of two zeros comes out depends on it, and
// what becomes of a NaN.
#ifndef SPARSEBNN_KERNELS_MAX_POOL_FLOAT_POOL_H_
#define SPARSEBNN_KERNELS_MAX_POOL_FLOAT_POOL_H_

#include <algorithm>
#include <cstddef>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "kernels/epilogue/epilogue.h"
#include "max_pool.h"

namespace sparsebnn {

// What an instruction set has for it.
struct FloatPoolKernels {
  // output[x, c] = max of row[x', c] over the columns x' of window x.
  void (*columns)(const PoolGeometry& geometry, const float* row, float* output);
  // output[i] = max of rows[.][i].
  void (*rows)(const float* const* rows, int count, size_t floats, float* output);
};

// For an available `isa`.
FloatPoolKernels FloatPoolKernelsFor(Isa isa);

class FloatPool {
 public:
  FloatPool(const PoolGeometry& geometry, Isa isa)
      : g_(geometry), lanes_(FloatLanes(isa)), kernels_(FloatPoolKernelsFor(isa)) {}

  const PoolGeometry& geometry() const { return g_; }
  // Rows of the output, numbered through the batch.
  size_t rows() const { return static_cast<size_t>(g_.batch) * Size(g_.output_height); }

  // Of the scratch memory of one thread, in floats: the rows that are kept, and one of output.
  static size_t ScratchFloats(const PoolGeometry& geometry) {
    return (Size(geometry.filter_height) + 1) * OutputFloats(geometry);
  }

  // Rows `first` to `first + count` of the output go to the epilogue. map_row(b, y) gives a row of
  // the map, good until the next call; of an image in rising order, each once.
  template <typename MapRow>
  void Run(size_t first, size_t count, const MapRow& map_row, const Epilogue& epilogue,
           float* scratch) const {
    const size_t height = Size(g_.output_height), floats = OutputFloats(g_);
    const int filter_height = g_.filter_height;
    float* const output = scratch + Size(filter_height) * floats;
    int taken = 0;  // the first row of the map that is not among those kept
    for (size_t at = first; at < first + count; ++at) {
      const int top = static_cast<int>(at % height) * g_.stride_height - g_.padding_top;
      const int begin = std::max(0, top);
      const int end = std::min(g_.input_height, top + filter_height);
      taken = at == first || at % height == 0 ? begin : std::max(taken, begin);
      for (; taken < end; ++taken) {
        kernels_.columns(g_, map_row(at / height, taken),
                         scratch + Size(taken % filter_height) * floats);
      }
      RunRow(begin, end, scratch, output);
      epilogue.Run(
          {output, Size(g_.values), at * Size(g_.output_width), g_.output_width, 0, g_.values});
    }
  }

  // Of a map in memory. False if memory is short.
  bool Run(const float* map, const Epilogue& epilogue, Workspace* workspace,
           ThreadPool* threads) const;

 private:
  static size_t Size(int value) { return static_cast<size_t>(value); }
  static size_t OutputFloats(const PoolGeometry& g) {
    return Size(g.output_width) * Size(g.values);
  }
  // Rows `begin` to `end` of those kept, of which there is one.
  void RunRow(int begin, int end, const float* kept, float* output) const;

  const PoolGeometry g_;
  const int lanes_;
  const FloatPoolKernels kernels_;
};

void PoolColumns__scalar(const PoolGeometry& geometry, const float* row, float* output);
void PoolColumns__avx2(const PoolGeometry& geometry, const float* row, float* output);
void PoolColumns__avx512(const PoolGeometry& geometry, const float* row, float* output);
void PoolColumns__neon(const PoolGeometry& geometry, const float* row, float* output);
void PoolRows__scalar(const float* const* rows, int count, size_t floats, float* output);
void PoolRows__avx2(const float* const* rows, int count, size_t floats, float* output);
void PoolRows__avx512(const float* const* rows, int count, size_t floats, float* output);
void PoolRows__neon(const float* const* rows, int count, size_t floats, float* output);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_MAX_POOL_FLOAT_POOL_H_
