#include "fusion.h"

#include <cstddef>

namespace sparsebnn {
namespace {

class Planner {
 public:
  explicit Planner(const std::vector<FusionNode>& nodes)
      : nodes_(nodes), readers_(nodes.size()), group_of_(nodes.size(), kNoGroup) {
    for (size_t n = 0; n < nodes.size(); ++n) {
      for (const int producer : nodes[n].producers) {
        if (producer >= 0) {
          readers_[static_cast<size_t>(producer)].push_back(static_cast<int>(n));
        }
      }
    }
  }

  std::vector<Group> Plan(bool fuse) {
    std::vector<Group> groups;
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (group_of_[n] != kNoGroup) continue;
      const int group = static_cast<int>(groups.size());
      group_of_[n] = group;
      groups.push_back({{static_cast<int>(n), 0, true}});
      const FusionRole role = nodes_[n].role;
      if (fuse && role != FusionRole::kNone && role != FusionRole::kQuantize) {
        GoOn(group, &groups.back());
      }
    }
    return groups;
  }

 private:
  static constexpr int kNoGroup = -1;

  void GoOn(int group, Group* nodes) {
    while (true) {
      FusedNode& last = nodes->back();
      const size_t n = static_cast<size_t>(last.node);
      FusedNode next;
      if (!FindSecond(*nodes, &next) && !FindNext(last.node, group, &next)) return;
      last.stored = nodes_[n].leaves_partition || readers_[n].size() > 1;
      group_of_[static_cast<size_t>(next.node)] = group;
      nodes->push_back(next);
      if (nodes_[static_cast<size_t>(next.node)].role == FusionRole::kQuantize) return;
    }
  }

  // A pool of rows, or a convolution of averages, that nobody else reads.
  bool FindSecond(const Group& group, FusedNode* next) const {
    const size_t n = static_cast<size_t>(group.back().node);
    if (group.size() > 1 || nodes_[n].leaves_partition || readers_[n].size() != 1) return false;
    const FusionRole first = nodes_[n].role,
                     second = nodes_[static_cast<size_t>(readers_[n][0])].role;
    if (!(first == FusionRole::kRows && second == FusionRole::kPool) &&
        !(first == FusionRole::kAveragePool && second == FusionRole::kPixels)) {
      return false;
    }
    next->node = readers_[n][0];
    next->stored = true;
    return true;
  }

  bool FindNext(int last, int group, FusedNode* next) const {
    for (const int reader : readers_[static_cast<size_t>(last)]) {
      const FusionNode& node = nodes_[static_cast<size_t>(reader)];
      if (group_of_[static_cast<size_t>(reader)] != kNoGroup) continue;
      if (node.role != FusionRole::kElementwise && node.role != FusionRole::kQuantize) continue;
      int values = 0;
      bool ready = true;
      for (size_t i = 0; i < node.producers.size(); ++i) {
        const int producer = node.producers[i];
        if (producer == last) {
          next->value = static_cast<int>(i);
          ++values;
        } else if (producer >= 0) {
          const int other = group_of_[static_cast<size_t>(producer)];
          ready &= other != kNoGroup && other < group;
        }
      }
      if (values != 1 || !ready) continue;
      next->node = reader;
      next->stored = true;
      return true;
    }
    return false;
  }

  const std::vector<FusionNode>& nodes_;
  std::vector<std::vector<int>> readers_;
  std::vector<int> group_of_;
};

}  // namespace

std::vector<Group> PlanGroups(const std::vector<FusionNode>& nodes, bool fuse) {
  return Planner(nodes).Plan(fuse);
}

}  // namespace sparsebnn
