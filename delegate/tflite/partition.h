// A run of adjacent nodes that the runtime has handed over, as one kernel of the runtime.
//
// The runtime allocates the tensors that enter and leave a partition. It knows nothing of those
// between its nodes: their shapes are computed and their memory is planned here.
#ifndef SPARSEBNN_TFLITE_PARTITION_H_
#define SPARSEBNN_TFLITE_PARTITION_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arena.h"
#include "delegate_state.h"
#include "dequantized_filters.h"
#include "elementwise.h"
#include "fusion.h"
#include "int8_convolutions.h"
#include "op.h"
#include "tflite_abi.h"

namespace sparsebnn {

class Partition {
 public:
  // Keeps what the nodes are; what is wrong with them is reported by Prepare.
  Partition(TfLiteContext* context, Shared<DelegateState> delegate,
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
    std::vector<std::pair<int, std::string>> also;  // others of the graph that it stands for
    std::unique_ptr<Op> op;                         // or
    std::unique_ptr<Elementwise> elementwise;
    std::vector<int> inputs;  // tensor indices; -1 is an input that is not there
    int output = 0;
    // Of each input that is computed, the first or an elementwise op's, who writes it: a node of
    // this partition, or -1 for the runtime.
    std::vector<int> producers;
    bool leaves_partition = false;
    size_t input_bytes = 0, output_bytes = 0;
    Shape input_shape, output_shape;
    int output_channels = INT_MAX;  // as Operand has them
    size_t arena_offset = 0;        // of the output, if it stays
    uint64_t runs = 0, nanoseconds = 0;
  };

  // What the epilogue of a group reads and writes, which may lie elsewhere in every run: input
  // `input` of node `node`, or its output if that is -1.
  struct Binding {
    size_t step;
    int node, input;
  };

  // Nodes that run together, and the epilogue if they are more than a single op.
  struct FusedGroup {
    Group nodes;
    Epilogue epilogue;
    std::vector<Binding> bindings;
  };

  bool ReadNode(TfLiteContext* context, int node_index, const DequantizedFilters& filters,
                const TfLiteDelegateParams& params);
  bool ReadInt8Convolution(TfLiteContext* context, const Int8ConvolutionNodes& own,
                           const TfLiteDelegateParams& params);
  void TakeConstant(const DequantizedFilters& filters, const TfLiteDelegateParams& params,
                    Node* node);
  void Add(Node node, int output, const TfLiteDelegateParams& params);
  bool PrepareShapes(TfLiteContext* context);
  bool PrepareNode(TfLiteContext* context, size_t n);
  bool ReadOperand(TfLiteContext* context, const Node& node, size_t input, Operand* operand,
                   OpError* error) const;
  void MakeGroups();
  FusedGroup MakeGroup(const Group& nodes) const;
  bool PlanMemory(TfLiteContext* context);
  bool ResizeOutputs(TfLiteContext* context);
  std::vector<const TfLiteTensor*> ComputedInputs(const TfLiteContext* context) const;
  bool HasDynamicInput(const TfLiteContext* context) const;
  bool PrepareInInvoke(TfLiteContext* context);
  bool RunGroup(TfLiteContext* context, FusedGroup* group);
  const Node* SecondOf(const Group& nodes) const;
  bool RunEpilogue(FusedGroup* group, const void* input);
  ThreadPool* ThreadsFor(const Node& node);
  bool Bind(TfLiteContext* context, FusedGroup* group);
  const void* InputData(TfLiteContext* context, const Node& node, size_t input);
  void* OutputData(TfLiteContext* context, const Node& node);
  bool Report(TfLiteContext* context, const Node& node, const OpError& error) const;
  std::string Description(const FusedGroup& group, size_t place) const;
  std::vector<NodeProfile> NodeProfiles() const;
  void UpdateProfile();
  void LogKernels();

  const Shared<DelegateState> delegate_;
  ExecutionResources* const resources_;
  std::string init_error_;
  std::vector<Node> nodes_;
  std::vector<FusedGroup> groups_;  // in the order in which they run
  OpSettings settings_;
  AlignedBytes arena_;
  double microseconds_ = 0;  // of the ops that say so
  size_t arena_bytes_ = 0;
  bool shapes_in_invoke_ = false;  // an input's shape is only known then
  std::vector<Shape> shapes_;      // of the inputs, that the plan of the last Invoke was for
  bool prepared_ = false;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_PARTITION_H_
