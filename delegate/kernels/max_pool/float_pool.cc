#include "float_pool.h"

#include <vector>

namespace sparsebnn {
namespace {

// Of the map, for each lane of the vectors.
constexpr double kValuesPerMicrosecond = 250;

}  // namespace

FloatPoolKernels FloatPoolKernelsFor(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return {PoolColumns__avx2, PoolRows__avx2};
    case Isa::kAvx512:
      return {PoolColumns__avx512, PoolRows__avx512};
#elif defined(__aarch64__)
    case Isa::kNeon:
      return {PoolColumns__neon, PoolRows__neon};
#endif
    default:
      return {PoolColumns__scalar, PoolRows__scalar};
  }
}

void FloatPool::RunRow(int begin, int end, const float* kept, float* output) const {
  const size_t floats = OutputFloats(g_);
  constexpr int kMost = 4;  // at once
  const float* rows[kMost];
  for (int y = begin, first = 0; y < end; first = 1) {
    int count = first;  // what earlier ones gave
    if (first != 0) rows[0] = output;
    for (; y < end && count < kMost; ++y) {
      rows[count++] = kept + Size(y % g_.filter_height) * floats;
    }
    kernels_.rows(rows, count, floats, output);
  }
}

bool FloatPool::Run(const float* map, const Epilogue& epilogue, Workspace* workspace,
                    ThreadPool* threads) const {
  const size_t row_floats = Size(g_.input_width) * Size(g_.values);
  const size_t image_floats = Size(g_.input_height) * row_floats;
  const size_t values = Size(g_.batch) * image_floats;
  const size_t pool =
      Size(threads->ThreadsFor(static_cast<double>(values) / (kValuesPerMicrosecond * lanes_)));
  const size_t parts = std::min(pool == 1 ? 1 : 2 * pool, rows());
  const size_t rows_per_part = (rows() + parts - 1) / parts;
  const size_t scratch = ScratchFloats(g_);
  if (!workspace->Reserve(uint64_t{Size(threads->threads())} * scratch * sizeof(float)))
    return false;
  float* const floats = reinterpret_cast<float*>(workspace->data());
  threads->ParallelFor(
      static_cast<int>((rows() + rows_per_part - 1) / rows_per_part),
      [&](int part, int thread) {
        const size_t first = Size(part) * rows_per_part;
        Run(
            first, std::min(rows_per_part, rows() - first),
            [&](size_t b, int y) { return map + b * image_floats + Size(y) * row_floats; },
            epilogue, floats + Size(thread) * scratch);
      });
  return true;
}

}  // namespace sparsebnn
