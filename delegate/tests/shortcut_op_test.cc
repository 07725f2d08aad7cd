// AVERAGE_POOL_2D and CONV_2D of 1x1 beside binary ops: which are claimed, what runs together, what
// comes out, also after a resize, and what a damaged graph does.
#include <climits>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "testing/bconv2d_node.h"
#include "testing/expect.h"
#include "testing/one_op_graph.h"
#include "testing/pointwise_layer.h"
#include "testing/stem_layer.h"
#include "tflite/fusion.h"

namespace sparsebnn {
namespace {

// Input -> AVERAGE_POOL_2D -> CONV_2D -> LceQuantize.
struct Graph : OneOpGraph<TfLiteConvParams> {
  TfLitePoolParams pool = {1, 2, 2, 2, 2, 0};  // SAME, stride 2, 2x2
  int pooled = 0, filter = 0, bias = 0;
  std::vector<float> filter_values, bias_values;
  std::vector<int> pool_inputs, pool_outputs;

  explicit Graph(const char* claimed = "CONV_2D") : OneOpGraph(3, claimed, {1, 1, 1, 0, 1, 1}) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (int i = 0; i < 24 * 10; ++i) filter_values.push_back(normal(random));
    for (int i = 0; i < 24; ++i) bias_values.push_back(normal(random));
    input = runtime.AddTensor(kTfLiteFloat32, {1, 9, 8, 10});
    pooled = runtime.AddTensor(kTfLiteFloat32, {1, 5, 4, 10});
    filter = runtime.AddConstant(kTfLiteFloat32, {24, 1, 1, 10}, BytesOf(filter_values));
    bias = runtime.AddConstant(kTfLiteFloat32, {24}, BytesOf(bias_values));
    output = runtime.AddTensor(kTfLiteFloat32, {1, 5, 4, 24});
    signs = runtime.AddTensor(kTfLiteInt32, {1, 5, 4, 1});
    pool_inputs = {input}, pool_outputs = {pooled};
    inputs = {pooled, filter, bias};
    outputs = {output};
  }

  std::vector<std::vector<int>*> Lists() {
    return {&inputs, &outputs, &pool_inputs, &pool_outputs};
  }

  void AddOp() {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&pool);
    runtime.AddBuiltin(1, pool_inputs, pool_outputs,
                       std::vector<uint8_t>(bytes, bytes + sizeof pool));
    runtime.AddBuiltin(op, inputs, outputs, Options());
  }
};

struct PoolGraph : Graph {
  PoolGraph() : Graph("AVERAGE_POOL_2D") {}
};

bool HasFma() {
  return IsaAvailable(Isa::kAvx2) || IsaAvailable(Isa::kAvx512) || IsaAvailable(Isa::kNeon);
}

template <typename Changed>
bool Leaves(const std::function<void(Changed*)>& change) {
  return !Claims<Changed>(change);
}

// What leaves both to the runtime.
template <typename Changed>
void WithoutOptionsNothingIsClaimed() {
  EXPECT(Claims<Changed>([](Changed*) {}) == HasFma());
  EXPECT(Leaves<Changed>([](Changed* graph) { graph->has_binary = false; }));
  EXPECT(Leaves<Changed>([](Changed* graph) { graph->options[1] = "scalar"; }));
  for (const char* option : {"glue", "stem"}) {
    EXPECT(Leaves<Changed>(
        [&](Changed* graph) { graph->options[0] = option, graph->options[1] = "0"; }));
  }
}

void OnlyConvolutionsOf1x1AreClaimed() {
  WithoutOptionsNothingIsClaimed<Graph>();
  const auto leaves = Leaves<Graph>;
  EXPECT(leaves([](Graph* graph) { graph->has_params = false; }));
  for (int field = 0; field < 6; ++field) {
    for (const int value : {INT_MIN, -1, 5, 257, INT_MAX}) {
      EXPECT(leaves([&](Graph* graph) { (&graph->params.padding)[field] = value; }));
    }
  }
  EXPECT(leaves([](Graph* graph) { graph->params.stride_width = 2; }));
  EXPECT(leaves([](Graph* graph) { graph->params.stride_height = 2; }));
  EXPECT(leaves([](Graph* graph) { graph->params.dilation_height_factor = 2; }));
  EXPECT(leaves([](Graph* graph) { graph->params.activation = 4; }));
  EXPECT(leaves([](Graph* graph) { graph->inputs = {graph->pooled, graph->filter}; }));
  EXPECT(leaves([](Graph* graph) { graph->inputs[2] = -1; }));
  for (const int index : {1, 2}) {
    const auto operand = [index](Graph* graph) {
      return graph->tensor(index == 1 ? graph->filter : graph->bias);
    };
    EXPECT(leaves([&](Graph* graph) {
      operand(graph)->allocation_type = static_cast<TfLiteAllocationType>(2);
    }));
    EXPECT(leaves([&](Graph* graph) { operand(graph)->type = kTfLiteInt8; }));
    EXPECT(leaves([&](Graph* graph) { operand(graph)->bytes -= 1; }));
    EXPECT(leaves([&](Graph* graph) { operand(graph)->sparsity = graph; }));
  }
  // Filters: not 1x1, of other channels than the map or than the bias, not of whole eights.
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{24, 1, 2, 5},
                                                                    {24, 2, 1, 5},
                                                                    {24, 1, 1, 9},
                                                                    {16, 1, 1, 10},
                                                                    {24, 10},
                                                                    {24, 1, 1, 1, 10},
                                                                    {24, 1, 1, -10},
                                                                    {}}) {
    EXPECT(leaves([&](Graph* graph) { graph->runtime.SetDims(graph->filter, dims); }));
  }
  EXPECT(leaves([](Graph* graph) {
    graph->runtime.SetDims(graph->filter, {20, 1, 1, 10});
    graph->runtime.SetDims(graph->bias, {20});
  }));
  // Maps of few pixels.
  for (const std::vector<int>& dims :
       std::vector<std::vector<int>>{{1, 7, 1, 10}, {8, 1, 1, 10}, {20, 10}, {1, 5, 0, 10}}) {
    EXPECT(leaves([&](Graph* graph) { graph->runtime.SetDims(graph->pooled, dims); }));
  }
}

void OnlyAveragesOf2x2AreClaimed() {
  WithoutOptionsNothingIsClaimed<PoolGraph>();
  EXPECT(Claims<PoolGraph>([](PoolGraph* graph) { graph->pool.padding = 2; }) == HasFma());
  EXPECT(Claims<PoolGraph>([](PoolGraph* graph) { graph->pool.stride_width = 1; }) == HasFma());
  const auto leaves = Leaves<PoolGraph>;
  for (int field = 0; field < 6; ++field) {
    for (const int value : {INT_MIN, -1, 256, INT_MAX}) {
      EXPECT(leaves([&](PoolGraph* graph) { (&graph->pool.padding)[field] = value; }));
    }
  }
  EXPECT(leaves([](PoolGraph* graph) { graph->pool.stride_width = 3; }));
  EXPECT(leaves([](PoolGraph* graph) { graph->pool.stride_height = 3; }));
  EXPECT(leaves([](PoolGraph* graph) { graph->pool.filter_width = 3; }));
  EXPECT(leaves([](PoolGraph* graph) { graph->pool.filter_height = 1; }));
  EXPECT(leaves([](PoolGraph* graph) { graph->pool.activation = 1; }));
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{
           {1, 2, 2, 10}, {9, 8, 10}, {1, 0, 8, 10}, {1, 1, 65536, 10}, {}}) {
    EXPECT(leaves([&](PoolGraph* graph) { graph->runtime.SetDims(graph->input, dims); }));
  }
  EXPECT(leaves([](PoolGraph* graph) { graph->tensor(graph->input)->type = kTfLiteInt8; }));
  EXPECT(leaves(
      [](PoolGraph* graph) { graph->tensor(graph->pooled)->allocation_type = kTfLiteMmapRo; }));
}

bool GivesWhatItShould(Graph* graph, Applied<Graph>* applied, const std::vector<int>& shape) {
  graph->runtime.SetDims(graph->input, shape);
  if (!applied->Run()) return false;
  std::mt19937 random(2);
  PointwiseLayer layer(&random);
  layer.g = {shape[0], shape[1], shape[2], (shape[1] + 1) / 2, (shape[2] + 1) / 2, 10, 2,
             2,        2,        2};
  layer.channels_out = 24;
  layer.filter = graph->filter_values, layer.bias = graph->bias_values;
  layer.minimum = -INFINITY, layer.maximum = INFINITY;
  const TfLiteTensor* input = graph->tensor(graph->input);
  layer.map.assign(static_cast<float*>(input->data),
                   static_cast<float*>(input->data) + input->bytes / sizeof(float));
  const std::vector<float> averages = layer.Averages(), expected = layer.Expected(averages);
  const TfLiteTensor* output = graph->tensor(graph->output);
  const auto* values = static_cast<const float*>(output->data);
  bool equal = output->bytes == expected.size() * sizeof(float) &&
               SameFloats(expected.data(), values, expected.size());
  const auto* signs = static_cast<const uint32_t*>(graph->tensor(graph->signs)->data);
  for (size_t i = 0; equal && i < expected.size(); ++i) {
    equal = (signs[i / 24] >> i % 24 & 1) == (expected[i] < 0);
  }
  if (graph->seen.empty()) return equal;
  const TfLiteTensor* pooled = graph->tensor(graph->pooled);
  return equal && pooled->bytes == averages.size() * sizeof(float) &&
         std::memcmp(pooled->data, averages.data(), pooled->bytes) == 0;
}

// Both where the pool's map is read outside, too, and where it is not.
void ResizedMapsGiveWhatTheyShould() {
  if (!HasFma()) return;
  for (const bool seen : {false, true}) {
    Graph graph;
    if (seen) graph.seen = {graph.pooled};
    Applied applied(&graph);
    for (const std::vector<int>& shape : std::vector<std::vector<int>>{
             {1, 9, 8, 10}, {3, 9, 8, 10}, {1, 1, 1, 10}, {2, 30, 41, 10}, {1, 9, 8, 10}}) {
      EXPECT(GivesWhatItShould(&graph, &applied, shape));
    }
    for (const std::vector<int>& shape : std::vector<std::vector<int>>{
             {1, 9, 8, 11}, {9, 8, 10}, {0, 9, 8, 10}, {1, 9, 65536, 10}}) {
      graph.runtime.SetDims(graph.input, shape);
      EXPECT(!applied.Run());
    }
    EXPECT(graph.runtime.errors().find("Use option glue=0") != std::string::npos);
    EXPECT(GivesWhatItShould(&graph, &applied, {1, 9, 8, 10}));
  }
}

// How many nodes each group has.
std::string Sizes(const std::vector<FusionNode>& nodes) {
  std::string text;
  for (const Group& group : PlanGroups(nodes, true)) {
    text += static_cast<char>('0' + group.size());
  }
  return text;
}

void AConvolutionRunsWithThePoolBeforeIt() {
  using Role = FusionRole;
  const FusionNode pool = {Role::kAveragePool, {-1}}, pixels = {Role::kPixels, {0}};
  EXPECT(Sizes({pool, pixels, {Role::kElementwise, {1}}, {Role::kQuantize, {2}}}) == "4");
  // Not if somebody else reads the averages, or an op lies between; or of other convolutions.
  EXPECT(Sizes({{Role::kAveragePool, {-1}, true}, pixels}) == "11");
  EXPECT(Sizes({pool, pixels, {Role::kQuantize, {0}}}) == "21");
  EXPECT(Sizes({pool, {Role::kElementwise, {0}}, {Role::kPixels, {1}}}) == "21");
  EXPECT(Sizes({pool, {Role::kRows, {0}}}) == "11");
  EXPECT(Sizes({pool, {Role::kConvolution, {0}}}) == "11");
  EXPECT(Sizes({pool, {Role::kPool, {0}}}) == "11");
  EXPECT(Sizes({{Role::kRows, {-1}}, pixels}) == "11");
  EXPECT(Sizes({{Role::kPool, {-1}}, pixels, {Role::kElementwise, {1}}}) == "12");
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  OnlyConvolutionsOf1x1AreClaimed();
  OnlyAveragesOf2x2AreClaimed();
  ResizedMapsGiveWhatTheyShould();
  DamagedGraphsRunOrAreRefused<Graph>();
  AConvolutionRunsWithThePoolBeforeIt();
  return Outcome();
}
