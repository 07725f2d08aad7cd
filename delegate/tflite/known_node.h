// What the delegate has an op for: the one list of it, by which nodes are claimed (claim.h) and then
// read by their partition.
#ifndef SPARSEBNN_TFLITE_KNOWN_NODE_H_
#define SPARSEBNN_TFLITE_KNOWN_NODE_H_

#include <memory>
#include <string>
#include <vector>

#include "dequantized_filters.h"
#include "elementwise.h"
#include "op.h"
#include "tflite_abi.h"

namespace sparsebnn {

enum class NodeKind {
  kUnknown,
  kBinary,     // a custom op of LCE's or of ours
  kStem,       // a float convolution of few channels, as a network begins with
  kDepthwise,  // with at least 8 outputs for each channel
  kShortcut,  // a float average pool of 2x2 or a convolution of 1x1, where a network grows wider
  kGlue,      // elementwise, or a float max pool
  kFilter,    // DEQUANTIZE of a convolution's filter
};

struct KnownNode {
  NodeKind kind = NodeKind::kUnknown;
  std::string name;                          // as TFLite has it
  std::unique_ptr<Op> op;                    // or
  std::unique_ptr<Elementwise> elementwise;  // neither if the kind is not known
  // Tensor indices; -1 is an input that is not there. The first `computed` are computed when the model
  // runs, the others are constants, or made of constants.
  std::vector<int> inputs;
  size_t computed = 1;
};

// Reads what the file says of a node. What is wrong with a binary one is reported by Op::Prepare.
KnownNode ReadKnownNode(const TfLiteContext* context, const TfLiteNode& node,
                        const TfLiteRegistration& registration,
                        const DequantizedFilters& filters);

// Of a node or of a graph; empty for null.
std::vector<int> Elements(const TfLiteIntArray* array);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_KNOWN_NODE_H_
