#include "arena.h"

#include <algorithm>

namespace sparsebnn {
namespace {

uint64_t Align(uint64_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

bool LiveAtOnce(const ArenaTensor& a, const ArenaTensor& b) {
  return a.first_op <= b.last_op && b.first_op <= a.last_op;
}

}  // namespace

uint64_t PlanArena(std::vector<ArenaTensor>* tensors) {
  std::vector<ArenaTensor*> by_size;
  for (ArenaTensor& tensor : *tensors) by_size.push_back(&tensor);
  std::sort(by_size.begin(), by_size.end(), [](const ArenaTensor* a, const ArenaTensor* b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
  });
  std::vector<const ArenaTensor*> placed;  // by offset
  uint64_t total = 0;
  for (ArenaTensor* tensor : by_size) {
    uint64_t offset = 0;
    for (const ArenaTensor* other : placed) {
      if (!LiveAtOnce(*tensor, *other)) continue;
      if (offset + Align(tensor->bytes) <= other->offset) break;
      offset = std::max(offset, other->offset + Align(other->bytes));
    }
    tensor->offset = offset;
    total = std::max(total, offset + Align(tensor->bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), tensor,
                                   [](const ArenaTensor* a, const ArenaTensor* b) {
                                     return a->offset < b->offset;
                                   }),
                  tensor);
  }
  return total;
}

}  // namespace sparsebnn
