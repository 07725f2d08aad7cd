// Shares pixels out among threads, block by block.
#ifndef SPARSEBNN_KERNELS_CPU_PARALLEL_BLOCKS_H_
#define SPARSEBNN_KERNELS_CPU_PARALLEL_BLOCKS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "thread_pool.h"
#include "workspace.h"

namespace sparsebnn {

// Parts to share out: two for each thread, for one may come late.
inline size_t PartsFor(size_t workers) { return workers == 1 ? 1 : 2 * workers; }

// Calls body(first, count, scratch) for blocks of `block` pixels of [0, pixels), the last of what is
// left, in PartsFor(workers) parts, in parallel; each thread has `scratch_floats` floats. False if
// memory is short.
template <typename Body>
bool ParallelBlocks(size_t pixels, size_t block, size_t workers, size_t scratch_floats,
                    Workspace* workspace, ThreadPool* threads, const Body& body) {
  constexpr size_t kAlignment = AlignedBytes::kAlignment;
  const size_t scratch =
      (scratch_floats * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  if (!workspace->Reserve(static_cast<uint64_t>(threads->threads()) * scratch)) return false;
  const size_t blocks = (pixels + block - 1) / block;
  const size_t of_part = (blocks + PartsFor(workers) - 1) / PartsFor(workers) * block;
  threads->ParallelFor(static_cast<int>((pixels + of_part - 1) / of_part), [&](int part,
                                                                               int thread) {
    uint8_t* const own = workspace->data() + static_cast<size_t>(thread) * scratch;
    size_t first = static_cast<size_t>(part) * of_part;
    for (const size_t end = std::min(pixels, first + of_part); first < end; first += block) {
      body(first, std::min(block, end - first), reinterpret_cast<float*>(own));
    }
  });
  return true;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CPU_PARALLEL_BLOCKS_H_
