// Which nodes of a partition run as one: a convolution or an elementwise op, the elementwise ops
// after it, and the quantization at their end.
//
//   for each node that no group has yet, in order:
//     its group is the node, and then, as long as there is one, the first reader of the last
//     node's output that is fusible and whose other input is there before the group runs
//
// A max pool joins a group as its second node, of a convolution that makes rows for nobody else, and
// a convolution that takes pixels that of an average pool, likewise; otherwise they begin one. A
// value that somebody else reads, too, is stored, and the group goes on with it. Groups run in
// order; what a group reads was stored by an earlier one or comes from the runtime.
#ifndef SPARSEBNN_TFLITE_FUSION_H_
#define SPARSEBNN_TFLITE_FUSION_H_

#include <vector>

namespace sparsebnn {

enum class FusionRole {
  kNone,         // runs by itself
  kConvolution,  // whose floats an epilogue takes: can begin a group
  kRows,         // likewise, and a pool takes them, too
  kPool,         // of floats: can begin a group, or go on with one that is a kRows
  kAveragePool,  // can begin a group
  kPixels,  // a convolution that can begin a group, or go on with one that is a kAveragePool
  kElementwise,  // can begin a group or go on with one
  kQuantize,     // of floats: can end a group
};

struct FusionNode {
  FusionRole role = FusionRole::kNone;
  std::vector<int> producers;  // of each input, earlier nodes; -1 for the runtime
  bool leaves_partition = false;
};

struct FusedNode {
  int node = 0;
  int value = 0;        // which input is the output of the node before; of the first node, 0
  bool stored = false;  // whether anybody else reads the output
};

using Group = std::vector<FusedNode>;

// Every node is in one group. With `fuse` false each is a group of its own.
std::vector<Group> PlanGroups(const std::vector<FusionNode>& nodes, bool fuse);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_FUSION_H_
