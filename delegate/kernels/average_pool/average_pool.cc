#include "average_pool.h"

#include <algorithm>

#include "kernels/cpu/parallel_blocks.h"

namespace sparsebnn {
namespace {

// Of the output: more leave the cache before the epilogue has them.
constexpr size_t kValuesPerBlock = 1 << 13;
// Of the map, for each lane of the vectors.
constexpr double kValuesPerMicrosecond = 250;

size_t Size(int value) { return static_cast<size_t>(value); }

AverageKernel KernelFor(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return AverageOf4__avx2;
    case Isa::kAvx512:
      return AverageOf4__avx512;
#elif defined(__aarch64__)
    case Isa::kNeon:
      return AverageOf4__neon;
#endif
    default:
      return nullptr;
  }
}

}  // namespace

AveragePool::AveragePool(const PoolGeometry& geometry, Isa isa)
    : g_(geometry),
      lanes_(FloatLanes(isa)),
      kernel_(KernelFor(isa)),
      outside_(Size(geometry.values)) {}

size_t AveragePool::pixels() const {
  return Size(g_.batch) * Size(g_.output_height) * Size(g_.output_width);
}

void AveragePool::Run(const float* map, size_t first, size_t count, float* output) const {
  const size_t channels = Size(g_.values), width = Size(g_.output_width),
               height = Size(g_.output_height);
  for (size_t at = first; at < first + count; ++at, output += channels) {
    const int x = static_cast<int>(at % width) * g_.stride_width;
    const int y = static_cast<int>(at / width % height) * g_.stride_height;
    const size_t row = at / width / height * Size(g_.input_height) + Size(y);
    const float* const tap = map + (row * Size(g_.input_width) + Size(x)) * channels;
    const bool right = x + 1 < g_.input_width, below = y + 1 < g_.input_height;
    const size_t next = Size(g_.input_width) * channels;
    const float* const outside = outside_.data();
    const float* const taps[4] = {tap, below ? tap + next : outside,
                                  right ? tap + channels : outside,
                                  below && right ? tap + next + channels : outside};
    kernel_(taps, (right ? 0.5f : 1.0f) * (below ? 0.5f : 1.0f), channels, output);
  }
}

bool AveragePool::Run(const float* map, const Epilogue& epilogue, Workspace* workspace,
                      ThreadPool* threads) const {
  const size_t channels = Size(g_.values);
  const size_t block = std::max<size_t>(1, kValuesPerBlock / channels);
  const double values = 4.0 * static_cast<double>(pixels() * channels);
  const int pool = threads->ThreadsFor(values / (kValuesPerMicrosecond * lanes_));
  return ParallelBlocks(
      pixels(), block, Size(pool), block * channels, workspace, threads,
      [&](size_t first, size_t count, float* scratch) {
        Run(map, first, count, scratch);
        epilogue.Run({scratch, channels, first, static_cast<int>(count), 0, g_.values});
      });
}

}  // namespace sparsebnn
