// Places tensors in one block of memory so that those in use at the same time do not overlap.
#ifndef SPARSEBNN_TFLITE_ARENA_H_
#define SPARSEBNN_TFLITE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparsebnn {

struct ArenaTensor {
  uint64_t bytes = 0;
  // Numbers of the ops that write it first and read it last.
  int first_op = 0, last_op = 0;
  uint64_t offset = 0;  // the result, a multiple of kArenaAlignment
};

constexpr size_t kArenaAlignment = 64;

// Sets the offsets, the greatest tensors first, each in the lowest gap that it fits into.
// Returns the bytes needed.
uint64_t PlanArena(std::vector<ArenaTensor>* tensors);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_ARENA_H_
