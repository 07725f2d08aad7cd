// A run of adjacent nodes that the runtime has handed over, as one kernel of the runtime.
//
// The runtime allocates the tensors that enter and leave a partition. It knows nothing of those
// between its nodes: their shapes are computed and their memory is planned here.
#ifndef SPARSEBNN_TFLITE_PARTITION_H_
#define SPARSEBNN_TFLITE_PARTITION_H_

#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "delegate_state.h"
#include "op.h"
#include "tflite_abi.h"

namespace sparsebnn {

class Partition {
 public:
  // Keeps what the nodes are; what is wrong with them is reported by Prepare.
  Partition(TfLiteContext* context, std::shared_ptr<DelegateState> delegate,
            const TfLiteDelegateParams& params);
  ~Partition();
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  TfLiteStatus Prepare(TfLiteContext* context);
  TfLiteStatus Invoke(TfLiteContext* context);

 private:
  struct Node {
    int index = 0;  // in the runtime's graph
    std::string name;
    std::unique_ptr<Op> op;
    std::vector<int> inputs;  // tensor indices; -1 is an input that is not there
    int output = 0;
    // Who writes the first input: a node of this partition, or -1 for the runtime.
    int producer = -1;
    bool leaves_partition = false;
    size_t input_bytes = 0, output_bytes = 0;
    Shape input_shape, output_shape;
    int output_channels = INT_MAX;  // as Operand has them
    size_t arena_offset = 0;        // of the output, if it stays
    uint64_t runs = 0, nanoseconds = 0;
  };

  bool ReadNode(TfLiteContext* context, int node_index, const TfLiteDelegateParams& params);
  void FindProducer(Node* node) const;
  bool PrepareShapes(TfLiteContext* context);
  bool PrepareNode(TfLiteContext* context, size_t n);
  bool ReadOperand(TfLiteContext* context, const Node& node, int tensor, Operand* operand,
                   OpError* error) const;
  bool PlanMemory(TfLiteContext* context);
  bool ResizeOutputs(TfLiteContext* context);
  bool HasDynamicInput(const TfLiteContext* context) const;
  bool RunNode(TfLiteContext* context, size_t n);
  const void* InputData(TfLiteContext* context, const Node& node);
  void* OutputData(TfLiteContext* context, const Node& node);
  bool Report(TfLiteContext* context, const Node& node, const OpError& error) const;
  void UpdateProfile();
  void LogKernels();

  const std::shared_ptr<DelegateState> delegate_;
  const std::shared_ptr<ExecutionResources> resources_;
  std::string init_error_;
  std::vector<Node> nodes_;
  OpSettings settings_;
  AlignedBytes arena_;
  size_t arena_bytes_ = 0;
  bool shapes_in_invoke_ = false;  // an input's shape is only known then
  bool prepared_ = false;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_PARTITION_H_
