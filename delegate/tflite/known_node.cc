#include "known_node.h"

#include <algorithm>
#include <utility>

#include "ops.h"
#include "window_node.h"

namespace sparsebnn {

std::vector<int> Elements(const TfLiteIntArray* array) {
  if (array == nullptr) return {};
  return std::vector<int>(array->data, array->data + array->size);
}

KnownNode ReadKnownNode(const TfLiteContext* context, const TfLiteNode& node,
                        const TfLiteRegistration& registration,
                        const DequantizedFilters& filters) {
  KnownNode known;
  known.inputs = Elements(node.inputs);
  const auto is = [&](NodeKind kind, const char* name, std::unique_ptr<Op> op) {
    if (op == nullptr) return false;
    known.kind = kind;
    known.name = name;
    known.op = std::move(op);
    return true;
  };
  const char* const custom = registration.custom_name;
  const bool dense = registration.builtin_code == kBuiltinConv2d;
  if (is(NodeKind::kBinary, custom,
         MakeOp(custom, node.custom_initial_data,
                static_cast<size_t>(std::max(0, node.custom_initial_data_size)))) ||
      is(NodeKind::kFilter, "DEQUANTIZE", MakeFilter(context, node, registration)) ||
      is(dense ? NodeKind::kStem : NodeKind::kDepthwise,
         dense ? "CONV_2D" : "DEPTHWISE_CONV_2D",
         MakeStem(context, node, registration, filters)) ||
      is(NodeKind::kGlue, "MAX_POOL_2D", MakeFloatPool(context, node, registration)) ||
      is(NodeKind::kShortcut, "AVERAGE_POOL_2D",
         MakeAveragePool(context, node, registration)) ||
      is(NodeKind::kShortcut, "CONV_2D", MakePointwise(context, node, registration, filters))) {
    return known;
  }
  known.elementwise = Elementwise::Make(context, node, registration);
  if (known.elementwise == nullptr) return known;
  known.kind = NodeKind::kGlue;
  known.name = known.elementwise->name();
  known.inputs = known.elementwise->inputs();
  known.computed = known.inputs.size();
  return known;
}

}  // namespace sparsebnn
