// A CONV_2D whose filter a DEQUANTIZE makes of int8: when both are claimed, what comes out, also of the
// filter where somebody else reads it, and what a damaged graph does.
#include <climits>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "testing/bconv2d_node.h"
#include "testing/expect.h"
#include "testing/one_op_graph.h"
#include "testing/pointwise_layer.h"
#include "testing/stem_layer.h"

namespace sparsebnn {
namespace {

constexpr int kIn = 10, kOut = 24;

struct Graph : OneOpGraph<TfLiteConvParams> {
  int constant = 0, filter = 0, bias = 0;
  std::vector<int8_t> integers;
  std::vector<float> scales, floats, bias_values;
  std::vector<int> zero_points;
  int dimension = 0, dequantize = 6;
  bool filter_first = true;  // of the two nodes
  std::vector<int> makes, reads;

  Graph() : OneOpGraph(3, "CONV_2D", {1, 1, 1, 0, 1, 1}) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (int i = 0; i < kOut * kIn; ++i) {
      integers.push_back(static_cast<int8_t>(Draw(&random, -128, 127)));
    }
    for (int o = 0; o < kOut; ++o) scales.push_back(0.003f * static_cast<float>(1 + o));
    for (int i = 0; i < kOut * kIn; ++i) {
      floats.push_back(scales[static_cast<size_t>(i / kIn)] * integers[static_cast<size_t>(i)]);
    }
    for (int o = 0; o < kOut; ++o) bias_values.push_back(normal(random));
    zero_points.assign(kOut, 0);
    input = runtime.AddTensor(kTfLiteFloat32, {1, 5, 4, kIn});
    constant = runtime.AddConstant(kTfLiteInt8, {kOut, 1, 1, kIn}, BytesOf(integers));
    filter = runtime.AddTensor(kTfLiteFloat32, {kOut, 1, 1, kIn});
    bias = runtime.AddConstant(kTfLiteFloat32, {kOut}, BytesOf(bias_values));
    output = runtime.AddTensor(kTfLiteFloat32, {1, 5, 4, kOut});
    signs = runtime.AddTensor(kTfLiteInt32, {1, 5, 4, 1});
    inputs = {input, filter, bias};
    outputs = {output};
    reads = {constant}, makes = {filter};
  }

  std::vector<std::vector<int>*> Lists() { return {&inputs, &outputs, &reads, &makes}; }

  void AddOp() {
    if (!scales.empty()) runtime.Quantize(constant, scales, zero_points, dimension);
    if (filter_first) runtime.AddBuiltin(dequantize, reads, makes, {});
    runtime.AddBuiltin(op, inputs, outputs, Options());
    if (!filter_first) runtime.AddBuiltin(dequantize, reads, makes, {});
  }
};

bool HasFma() {
  return IsaAvailable(Isa::kAvx2) || IsaAvailable(Isa::kAvx512) || IsaAvailable(Isa::kNeon);
}

bool Leaves(const std::function<void(Graph*)>& change) { return !Claims<Graph>(change); }

void OnlyFiltersOfInt8AreTaken() {
  EXPECT(Claims<Graph>([](Graph*) {}) == HasFma());
  EXPECT(Claims<Graph>([](Graph* g) { g->zero_points = {0}; }) == HasFma());
  for (const char* option : {"glue", "stem"}) {
    EXPECT(Leaves([&](Graph* g) { g->options[0] = option, g->options[1] = "0"; }));
  }
  EXPECT(Leaves([](Graph* g) { g->options[1] = "scalar"; }));
  EXPECT(Leaves([](Graph* g) { g->dequantize = 114; }));
  EXPECT(Leaves([](Graph* g) { g->filter_first = false; }));
  // Without a DEQUANTIZE that is TFLite's hybrid kernel, which rounds its input.
  EXPECT(Leaves([](Graph* g) { g->inputs[1] = g->constant; }));
  EXPECT(Leaves([](Graph* g) { g->inputs = {g->filter, g->filter, g->bias}; }));
  EXPECT(Leaves([](Graph* g) { g->inputs = {g->filter, g->constant, g->bias}; }));
  EXPECT(Leaves([](Graph* g) { g->reads = {g->constant, g->constant}; }));
  EXPECT(Leaves([](Graph* g) { g->makes = {g->filter, g->filter}; }));
  // What the file says of the integers.
  EXPECT(Leaves([](Graph* g) { g->scales.clear(); }));
  EXPECT(Leaves([](Graph* g) { g->scales.pop_back(); }));
  EXPECT(Leaves([](Graph* g) { g->scales.resize(1), g->zero_points.resize(1); }));
  EXPECT(Leaves([](Graph* g) { g->zero_points.pop_back(); }));
  EXPECT(Leaves([](Graph* g) { g->zero_points.back() = 1; }));
  for (const int dimension : {INT_MIN, -1, 1, 3, INT_MAX}) {
    EXPECT(Leaves([&](Graph* g) { g->dimension = dimension; }));
  }
  for (const float scale :
       {0.0f, -1.0f, 1e-40f, INFINITY, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT(Leaves([&](Graph* g) { g->scales[5] = scale; }));
  }
  EXPECT(Leaves([](Graph* g) { g->tensor(g->constant)->type = kTfLiteUInt8; }));
  EXPECT(Leaves([](Graph* g) { g->tensor(g->constant)->bytes -= 1; }));
  EXPECT(Leaves([](Graph* g) { g->tensor(g->constant)->sparsity = g; }));
  EXPECT(Leaves([](Graph* g) { g->tensor(g->constant)->is_variable = true; }));
  EXPECT(Leaves([](Graph* g) {
    g->tensor(g->constant)->allocation_type = static_cast<TfLiteAllocationType>(2);
  }));
  EXPECT(Leaves([](Graph* g) { g->tensor(g->filter)->type = kTfLiteInt8; }));
  EXPECT(Leaves([](Graph* g) { g->tensor(g->filter)->allocation_type = kTfLiteMmapRo; }));
  for (const std::vector<int>& dims :
       std::vector<std::vector<int>>{{kIn, 1, 1, kOut}, {kOut, kIn}, {kOut, 1, 1, 0}, {}}) {
    EXPECT(Leaves([&](Graph* g) { g->runtime.SetDims(g->constant, dims); }));
    EXPECT(Leaves([&](Graph* g) { g->runtime.SetDims(g->filter, dims); }));
  }
}

// Also of a filter that is an output of the graph.
void ConvolvesWithScaledIntegers() {
  if (!HasFma()) return;
  for (const bool seen : {false, true}) {
    Graph graph;
    if (seen) graph.seen = {graph.filter};
    Applied applied(&graph);
    EXPECT(applied.Run());
    std::mt19937 random(2);
    PointwiseLayer layer(&random);
    layer.g = {1, 5, 4, 5, 4, kIn, 1, 1, 1, 1};
    layer.channels_out = kOut;
    layer.filter = graph.floats, layer.bias = graph.bias_values;
    layer.minimum = -INFINITY, layer.maximum = INFINITY;
    const auto* map = static_cast<const float*>(graph.tensor(graph.input)->data);
    const std::vector<float> expected = layer.Expected({map, map + 5 * 4 * kIn});
    const TfLiteTensor* output = graph.tensor(graph.output);
    EXPECT(output->bytes == expected.size() * sizeof(float));
    EXPECT(
        SameFloats(expected.data(), static_cast<const float*>(output->data), expected.size()));
    if (!seen) continue;
    const TfLiteTensor* filter = graph.tensor(graph.filter);
    EXPECT(filter->bytes == graph.floats.size() * sizeof(float));
    EXPECT(std::memcmp(filter->data, graph.floats.data(), filter->bytes) == 0);
  }
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  OnlyFiltersOfInt8AreTaken();
  ConvolvesWithScaledIntegers();
  DamagedGraphsRunOrAreRefused<Graph>();
  return Outcome();
}
