// MAX_POOL_2D of floats beside binary ops: which are claimed, what runs with the convolution before
// them, what comes out, also after a resize, and what a damaged graph does.
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "testing/expect.h"
#include "testing/one_op_graph.h"
#include "tflite/fusion.h"

namespace sparsebnn {
namespace {

struct Graph : OneOpGraph<TfLitePoolParams> {
  Graph() : OneOpGraph(17, "MAX_POOL_2D", {1, 2, 2, 3, 3, 0}) {  // SAME, stride 2, 3x3
    input = runtime.AddTensor(kTfLiteFloat32, {1, 8, 7, 40});
    output = runtime.AddTensor(kTfLiteFloat32, {1, 4, 4, 40});
    signs = runtime.AddTensor(kTfLiteInt32, {1, 4, 4, 2});
    inputs = {input};
    outputs = {output};
  }
};

void OnlyPoolsBesideBinaryOpsAreClaimed() {
  EXPECT(Claims<Graph>([](Graph*) {}));
  EXPECT(Claims<Graph>([](Graph* graph) { graph->params.padding = 2; }));
  EXPECT(Claims<Graph>([](Graph* graph) { graph->options[1] = "scalar"; }));
  const auto leaves = [](const std::function<void(Graph*)>& change) {
    return !Claims<Graph>(change);
  };
  EXPECT(leaves([](Graph* graph) { graph->has_binary = false; }));
  EXPECT(leaves([](Graph* graph) { graph->options[0] = "glue", graph->options[1] = "0"; }));
  EXPECT(leaves([](Graph* graph) { graph->has_params = false; }));
  for (int field = 0; field < 6; ++field) {
    for (const int value : {INT_MIN, -1, 256, INT_MAX}) {
      EXPECT(leaves([&](Graph* graph) { (&graph->params.padding)[field] = value; }));
    }
  }
  EXPECT(leaves([](Graph* graph) { graph->params.padding = 0; }));
  EXPECT(leaves([](Graph* graph) { graph->params.activation = 1; }));
  EXPECT(leaves([](Graph* graph) { graph->params.stride_width = 0; }));
  EXPECT(
      leaves([](Graph* graph) { graph->params.padding = 2, graph->params.filter_width = 8; }));
  for (const int index : {0, 1}) {
    const auto operand = [index](Graph* graph) {
      return graph->tensor(index == 0 ? graph->input : graph->output);
    };
    EXPECT(leaves([&](Graph* graph) { operand(graph)->type = kTfLiteInt8; }));
    EXPECT(leaves([&](Graph* graph) { operand(graph)->allocation_type = kTfLiteMmapRo; }));
    EXPECT(leaves([&](Graph* graph) { operand(graph)->is_variable = true; }));
    EXPECT(leaves([&](Graph* graph) { operand(graph)->sparsity = graph; }));
  }
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{8, 7, 40},
                                                                    {1, 1, 8, 7, 40},
                                                                    {1, 0, 7, 40},
                                                                    {1, -8, 7, 40},
                                                                    {1, 1, 65536, 40},
                                                                    {1, 1, 65535, 65535},
                                                                    {1, INT_MAX, INT_MAX, 40},
                                                                    {}}) {
    EXPECT(leaves([&](Graph* graph) { graph->runtime.SetDims(graph->input, dims); }));
  }
}

bool GivesWhatItShould(Graph* graph, Applied<Graph>* applied, const std::vector<int>& shape) {
  graph->runtime.SetDims(graph->input, shape);
  if (!applied->Run()) return false;
  const TfLiteTensor *map = graph->tensor(graph->input), *pooled = graph->tensor(graph->output);
  const auto *values = static_cast<const float*>(map->data),
             *got = static_cast<const float*>(pooled->data);
  const auto* signs = static_cast<const uint32_t*>(graph->tensor(graph->signs)->data);
  const int height = (shape[1] + 1) / 2, width = (shape[2] + 1) / 2;
  const int top = shape[1] % 2, left = shape[2] % 2;
  bool equal =
      pooled->bytes == sizeof(float) * 40u * static_cast<size_t>(shape[0] * height * width);
  for (int i = 0; equal && i < shape[0] * height * width * 40; ++i) {
    const int c = i % 40, x = i / 40 % width, y = i / 40 / width % height;
    float greatest = -INFINITY;
    for (int row = std::max(0, 2 * y - top); row < std::min(shape[1], 2 * y - top + 3); ++row) {
      for (int at = std::max(0, 2 * x - left); at < std::min(shape[2], 2 * x - left + 3);
           ++at) {
        const int pixel = (i / 40 / width / height * shape[1] + row) * shape[2] + at;
        const float value = values[pixel * 40 + c];
        if (value > greatest) greatest = value;
      }
    }
    equal = got[i] == greatest && (signs[i / 40 * 2 + c / 32] >> c % 32 & 1) == (greatest < 0);
  }
  return equal;
}

void ResizedMapsGiveWhatTheyShould() {
  Graph graph;
  Applied applied(&graph);
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{
           {1, 8, 7, 40}, {3, 8, 7, 40}, {1, 1, 1, 40}, {2, 30, 41, 40}, {1, 8, 7, 40}}) {
    EXPECT(GivesWhatItShould(&graph, &applied, shape));
  }
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{
           {8, 7, 40}, {0, 8, 7, 40}, {1, 8, 65536, 40}, {1, 8, INT_MAX, 40}}) {
    graph.runtime.SetDims(graph.input, shape);
    EXPECT(!applied.Run());
  }
  EXPECT(graph.runtime.errors().find("Use option glue=0") != std::string::npos);
  EXPECT(GivesWhatItShould(&graph, &applied, {1, 8, 7, 40}));
}

// How many nodes each group has.
std::string Sizes(const std::vector<FusionNode>& nodes) {
  std::string text;
  for (const Group& group : PlanGroups(nodes, true)) {
    text += static_cast<char>('0' + group.size());
  }
  return text;
}

void APoolRunsWithTheRowsBeforeIt() {
  using Role = FusionRole;
  EXPECT(Sizes({{Role::kRows, {-1}},
                {Role::kPool, {0}},
                {Role::kElementwise, {1}},
                {Role::kQuantize, {2}}}) == "4");
  // Not if somebody else reads them, or an op lies between; or of a convolution that makes tiles.
  EXPECT(Sizes({{Role::kRows, {-1}, true}, {Role::kPool, {0}}}) == "11");
  EXPECT(Sizes({{Role::kRows, {-1}}, {Role::kPool, {0}}, {Role::kQuantize, {0}}}) == "21");
  EXPECT(Sizes({{Role::kRows, {-1}}, {Role::kElementwise, {0}}, {Role::kPool, {1}}}) == "21");
  EXPECT(Sizes({{Role::kConvolution, {-1}}, {Role::kPool, {0}}, {Role::kQuantize, {1}}}) ==
         "12");
  EXPECT(Sizes({{Role::kRows, {-1}}, {Role::kPool, {0}}, {Role::kPool, {1}}}) == "21");
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  OnlyPoolsBesideBinaryOpsAreClaimed();
  ResizedMapsGiveWhatTheyShould();
  DamagedGraphsRunOrAreRefused<Graph>();
  APoolRunsWithTheRowsBeforeIt();
  return Outcome();
}
