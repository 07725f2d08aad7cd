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
#include "testing/fake_runtime.h"
#include "tflite/fusion.h"

namespace sparsebnn {
namespace {

// A map -> MAX_POOL_2D -> LceQuantize; both outputs are the graph's.
struct Graph {
  FakeRuntime runtime;
  int map = 0, pooled = 0, signs = 0;
  std::vector<int> inputs, outputs;
  TfLitePoolParams params = {1, 2, 2, 3, 3, 0};  // SAME, stride 2, 3x3
  bool has_params = true, has_binary = true;
  const char* options[2] = {"isa", "auto"};

  Graph() {
    map = runtime.AddTensor(kTfLiteFloat32, {1, 8, 7, 40});
    pooled = runtime.AddTensor(kTfLiteFloat32, {1, 4, 4, 40});
    signs = runtime.AddTensor(kTfLiteInt32, {1, 4, 4, 2});
    inputs = {map};
    outputs = {pooled};
  }
  TfLiteTensor* tensor(int index) { return runtime.tensor(index); }
};

// A graph and its delegate, for as long as somebody looks.
class Applied {
 public:
  explicit Applied(Graph* graph) : graph_(graph) {
    FakeRuntime& runtime = graph->runtime;
    char* key = const_cast<char*>(graph->options[0]);
    char* value = const_cast<char*>(graph->options[1]);
    delegate_ = tflite_plugin_create_delegate(&key, &value, 1, nullptr);
    const auto* params = reinterpret_cast<const uint8_t*>(&graph->params);
    std::vector<uint8_t> bytes;
    if (graph->has_params) bytes.assign(params, params + sizeof graph->params);
    runtime.AddBuiltin(17, graph->inputs, graph->outputs, bytes);
    if (graph->has_binary) runtime.AddNode("LceQuantize", {graph->pooled}, {graph->signs}, {});
    applied_ = runtime.ApplyDelegate(delegate_, {graph->map}, {graph->pooled, graph->signs});
  }
  ~Applied() {
    graph_->runtime.FreePartition();
    sparsebnn_delegate_destroy(delegate_);
  }

  bool Run() {
    return applied_ && graph_->runtime.AllocateTensors() && graph_->runtime.Invoke();
  }
  bool Claims() {
    if (applied_) graph_->runtime.AllocateTensors();
    return std::strstr(sparsebnn_delegate_profile_json(delegate_), "MAX_POOL_2D") != nullptr;
  }

 private:
  Graph* const graph_;
  ::TfLiteDelegate* delegate_;
  bool applied_;
};

bool Claims(const std::function<void(Graph*)>& change) {
  Graph graph;
  change(&graph);
  return Applied(&graph).Claims();
}

void OnlyPoolsBesideBinaryOpsAreClaimed() {
  EXPECT(Claims([](Graph*) {}));
  EXPECT(Claims([](Graph* graph) { graph->params.padding = 2; }));
  EXPECT(Claims([](Graph* graph) { graph->options[1] = "scalar"; }));
  const auto leaves = [](const std::function<void(Graph*)>& change) { return !Claims(change); };
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
      return graph->tensor(index == 0 ? graph->map : graph->pooled);
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
    EXPECT(leaves([&](Graph* graph) { graph->runtime.SetDims(graph->map, dims); }));
  }
}

bool GivesWhatItShould(Graph* graph, Applied* applied, const std::vector<int>& shape) {
  graph->runtime.SetDims(graph->map, shape);
  if (!applied->Run()) return false;
  const TfLiteTensor *map = graph->tensor(graph->map), *pooled = graph->tensor(graph->pooled);
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
    graph.runtime.SetDims(graph.map, shape);
    EXPECT(!applied.Run());
  }
  EXPECT(graph.runtime.errors().find("Use option glue=0") != std::string::npos);
  EXPECT(GivesWhatItShould(&graph, &applied, {1, 8, 7, 40}));
}

void DamagedGraphsRunOrAreRefused() {
  int refused = 0;
  for (const int index : {INT_MIN, -2, -1, 0, 1, 2, 3, 1 << 20, INT_MAX}) {
    Graph graph;
    graph.inputs = {index};
    refused += !Applied(&graph).Run();
    Graph other;
    other.outputs = {index};
    refused += !Applied(&other).Run();
  }
  for (const size_t count : {0, 2}) {
    Graph graph;
    graph.inputs.resize(count, graph.map);
    refused += !Applied(&graph).Run();
    Graph other;
    other.outputs.resize(count, other.pooled);
    refused += !Applied(&other).Run();
  }
  std::printf("%d damaged graphs refused\n", refused);
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
  DamagedGraphsRunOrAreRefused();
  APoolRunsWithTheRowsBeforeIt();
  return Outcome();
}
