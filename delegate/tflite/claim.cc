#include "claim.h"

#include <climits>
#include <cstddef>
#include <map>
#include <utility>

#include "dequantized_filters.h"
#include "elementwise.h"
#include "int8_convolutions.h"
#include "kernels/stem/stem_row.h"
#include "op.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {
namespace {

// A node that could be claimed.
struct Candidate {
  int index;
  bool claimed;  // a binary op or a stem; later, whatever is linked to one
  std::vector<int> reads, writes;
};

using NodesOfTensor = std::map<int, std::vector<size_t>>;

std::vector<int> Tensors(const TfLiteIntArray* array) {
  if (array == nullptr) return {};
  return std::vector<int>(array->data, array->data + array->size);
}

// Claims those of `linked`, which are then taken out: each is looked at once.
void Claim(std::vector<size_t> linked, std::vector<Candidate>* candidates,
           std::vector<size_t>* reached) {
  for (const size_t i : linked) {
    if ((*candidates)[i].claimed) continue;
    (*candidates)[i].claimed = true;
    reached->push_back(i);
  }
}

void ClaimLinked(std::vector<Candidate>* candidates) {
  NodesOfTensor readers, writers;
  std::vector<size_t> reached;
  for (size_t i = 0; i < candidates->size(); ++i) {
    for (const int tensor : (*candidates)[i].reads) readers[tensor].push_back(i);
    for (const int tensor : (*candidates)[i].writes) writers[tensor].push_back(i);
    if ((*candidates)[i].claimed) reached.push_back(i);
  }
  while (!reached.empty()) {
    const size_t at = reached.back();
    reached.pop_back();
    for (const int tensor : (*candidates)[at].writes) {
      Claim(std::exchange(readers[tensor], {}), candidates, &reached);
    }
    for (const int tensor : (*candidates)[at].reads) {
      Claim(std::exchange(writers[tensor], {}), candidates, &reached);
    }
  }
}

}  // namespace

bool ChooseNodes(TfLiteContext* context, const DelegateOptions& options,
                 std::vector<int>* nodes) {
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk || plan == nullptr) return false;
  // Looking at a node may move the plan, so its indices are copied.
  const std::vector<int> planned(plan->data, plan->data + plan->size);
  const bool stems = options.stem && StemTileFor(options.isa, INT_MAX).run != nullptr;
  const Int8Convolutions int8_convolutions(context, stems ? planned : std::vector<int>());
  const DequantizedFilters filters(context, stems ? planned : std::vector<int>());
  bool any_binary = false;
  std::vector<Candidate> candidates;
  // With what makes its filter, if that is a node.
  const auto add_convolution = [&](int index, bool claimed, const TfLiteNode& node) {
    const int filter = node.inputs->data[1];
    std::vector<int> reads = {node.inputs->data[0]};
    if (filters.Node(filter) >= 0) {
      reads.push_back(filter);
      candidates.push_back({filters.Node(filter), false, {}, {filter}});
    }
    candidates.push_back({index, claimed, reads, Tensors(node.outputs)});
  };
  for (const int index : planned) {
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk) {
      return false;
    }
    const std::vector<int> writes = Tensors(node->outputs);
    if (IsSupportedOp(registration->custom_name)) {
      candidates.push_back({index, true, Tensors(node->inputs), writes});
      any_binary = true;
    } else if (const Int8ConvolutionNodes* own = int8_convolutions.Of(index)) {
      // All of them or none, linked by what the first reads and the last writes.
      if (own->is_stem || options.glue) {
        candidates.push_back({index, own->is_stem, {own->inputs[0]}, {own->outputs.back()}});
      }
    } else if (stems && MakeStem(context, *node, *registration, filters) != nullptr) {
      add_convolution(index, registration->builtin_code == kBuiltinConv2d, *node);
    } else if (options.glue && MakeFloatPool(context, *node, *registration) != nullptr) {
      candidates.push_back({index, false, Tensors(node->inputs), writes});
    } else if (options.glue && stems &&
               MakeAveragePool(context, *node, *registration) != nullptr) {
      candidates.push_back({index, false, Tensors(node->inputs), writes});
    } else if (options.glue && stems &&
               MakePointwise(context, *node, *registration, filters) != nullptr) {
      add_convolution(index, false, *node);
    } else if (const auto op =
                   options.glue ? Elementwise::Make(context, *node, *registration) : nullptr) {
      candidates.push_back({index, false, op->inputs(), writes});
    }
  }
  if (!any_binary) return true;
  ClaimLinked(&candidates);
  for (const Candidate& candidate : candidates) {
    if (candidate.claimed) nodes->push_back(candidate.index);
  }
  return true;
}

}  // namespace sparsebnn
