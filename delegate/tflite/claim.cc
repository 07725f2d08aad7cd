#include "claim.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <map>
#include <utility>

#include "dequantized_filters.h"
#include "int8_convolutions.h"
#include "kernels/stem/stem_row.h"
#include "known_node.h"

namespace sparsebnn {
namespace {

// A node that could be claimed.
struct Candidate {
  int index;
  bool claimed;  // a binary op or a stem; later, whatever is linked to one
  std::vector<int> reads, writes;
};

using NodesOfTensor = std::map<int, std::vector<size_t>>;

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
  const std::vector<int> planned = Elements(plan);
  const bool stems = options.stem && StemTileFor(options.isa, INT_MAX).run != nullptr;
  const Int8Convolutions int8_convolutions(context, stems ? planned : std::vector<int>());
  const DequantizedFilters filters(context, stems ? planned : std::vector<int>());
  const auto may_claim = [&](NodeKind kind) {
    switch (kind) {
      case NodeKind::kBinary:
        return true;
      case NodeKind::kStem:
      case NodeKind::kDepthwise:
        return stems;
      case NodeKind::kShortcut:
        return stems && options.glue;
      case NodeKind::kGlue:
        return options.glue;
      case NodeKind::kFilter:  // with its convolution
      case NodeKind::kUnknown:
        return false;
    }
    return false;
  };
  bool any_binary = false;
  std::vector<Candidate> candidates;
  for (const int index : planned) {
    if (const Int8ConvolutionNodes* own = int8_convolutions.Of(index)) {
      // All of them or none, linked by what the first reads and the last writes.
      if (own->is_stem || options.glue) {
        candidates.push_back({index, own->is_stem, {own->inputs[0]}, {own->outputs.back()}});
      }
      continue;
    }
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk) {
      return false;
    }
    const KnownNode known = ReadKnownNode(context, *node, *registration, filters);
    if (!may_claim(known.kind)) continue;
    std::vector<int> reads = known.inputs;
    reads.resize(std::min(reads.size(), known.computed));
    if (known.inputs.size() > 1 && filters.Node(known.inputs[1]) >= 0) {
      const int filter = known.inputs[1];
      reads.push_back(filter);
      candidates.push_back({filters.Node(filter), false, {}, {filter}});
    }
    const bool starts = known.kind == NodeKind::kBinary || known.kind == NodeKind::kStem;
    candidates.push_back({index, starts, std::move(reads), Elements(node->outputs)});
    any_binary |= known.kind == NodeKind::kBinary;
  }
  if (!any_binary) return true;
  ClaimLinked(&candidates);
  for (const Candidate& candidate : candidates) {
    if (candidate.claimed) nodes->push_back(candidate.index);
  }
  return true;
}

}  // namespace sparsebnn
