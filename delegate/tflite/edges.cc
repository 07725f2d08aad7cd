#include "edges.h"

#include "window_node.h"

namespace sparsebnn {

Edges::Edges(TfLiteContext* context, const std::vector<int>& nodes) : context_(context) {
  for (const int index : nodes) {
    const auto [node, registration] = Get(index);
    if (node == nullptr) continue;
    for (int i = 0; node->inputs != nullptr && i < node->inputs->size; ++i) {
      Ends& ends = ends_[node->inputs->data[i]];
      ends.reader = index;
      ++ends.readers;
    }
    for (int i = 0; node->outputs != nullptr && i < node->outputs->size; ++i) {
      Ends& ends = ends_[node->outputs->data[i]];
      ends.writer = index;
      ++ends.writers;
    }
  }
}

std::pair<const TfLiteNode*, const TfLiteRegistration*> Edges::Get(int index) const {
  TfLiteNode* node = nullptr;
  TfLiteRegistration* registration = nullptr;
  if (index < 0 ||
      context_->GetNodeAndRegistration(context_, index, &node, &registration) != kTfLiteOk ||
      node == nullptr || registration == nullptr) {
    return {nullptr, nullptr};
  }
  return {node, registration};
}

bool Edges::Is(int index, int32_t code, int inputs) const {
  const auto [node, registration] = Get(index);
  return node != nullptr && IsBuiltin(*node, *registration, code, inputs);
}

Edges::Ends Edges::Find(int tensor) const {
  const auto found = ends_.find(tensor);
  if (found == ends_.end() || found->second.writers != 1 || found->second.readers != 1) {
    return {};
  }
  return found->second;
}

}  // namespace sparsebnn
