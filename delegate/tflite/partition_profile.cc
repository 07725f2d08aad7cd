// What a partition says of its nodes: which kernel runs each, and for how long.
#include <cstdio>

#include "kernels/base/decimal.h"
#include "partition.h"

namespace sparsebnn {

// Node n's kernel; of a node that runs with others, which one the time is that of.
std::string Partition::Description(const FusedGroup& group, size_t place) const {
  const FusedNode& fused = group.nodes[place];
  const Node& node = nodes_[static_cast<size_t>(fused.node)];
  if (place == 0 && node.op != nullptr) return node.op->Description();
  const std::string isa = IsaName(settings_.isa);
  if (place == 0) return "elementwise " + isa;
  const Node& head = nodes_[static_cast<size_t>(group.nodes[0].node)];
  return "in node " + Decimal(head.index);
}

std::vector<NodeProfile> Partition::NodeProfiles() const {
  std::vector<NodeProfile> profiles(nodes_.size()), others;
  for (const FusedGroup& group : groups_) {
    for (size_t place = 0; place < group.nodes.size(); ++place) {
      const size_t n = static_cast<size_t>(group.nodes[place].node);
      const Node& node = nodes_[n];
      profiles[n] = {node.index,
                     node.name,
                     node.input_shape,
                     node.output_shape,
                     Description(group, place),
                     node.runs,
                     node.nanoseconds};
      for (const auto& [index, name] : node.also) {
        others.push_back({index, name, node.input_shape, node.output_shape,
                          "in node " + Decimal(node.index), node.runs, 0});
      }
    }
  }
  profiles.insert(profiles.end(), others.begin(), others.end());
  return profiles;
}

void Partition::UpdateProfile() {
  delegate_->SetProfile(this, {settings_.threads, arena_bytes_, NodeProfiles()});
}

void Partition::LogKernels() {
  for (const NodeProfile& node : NodeProfiles()) {
    std::fprintf(stderr, "sparsebnn: node %d %s %s -> %s: %s, %d threads\n", node.node,
                 node.op.c_str(), node.input.ToString().c_str(), node.output.ToString().c_str(),
                 node.kernel.c_str(), settings_.threads);
  }
}

}  // namespace sparsebnn
