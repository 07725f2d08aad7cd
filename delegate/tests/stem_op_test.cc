// CONV_2D at the beginning of a binary network: which are claimed, what comes out, also after a
// resize, and what a damaged graph does.
#include <climits>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "testing/bconv2d_node.h"
#include "testing/expect.h"
#include "testing/one_op_graph.h"
#include "testing/stem_layer.h"

namespace sparsebnn {
namespace {

struct Graph : OneOpGraph<TfLiteConvParams> {
  int filter = 0, bias = 0;
  std::vector<float> filter_values, bias_values;

  Graph() : OneOpGraph(3, "CONV_2D", {1, 2, 2, 0, 1, 1}) {  // SAME, stride 2
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (int i = 0; i < 16 * 3 * 3 * 3; ++i) filter_values.push_back(normal(random));
    for (int i = 0; i < 16; ++i) bias_values.push_back(normal(random));
    input = runtime.AddTensor(kTfLiteFloat32, {1, 9, 8, 3});
    filter = runtime.AddConstant(kTfLiteFloat32, {16, 3, 3, 3}, BytesOf(filter_values));
    bias = runtime.AddConstant(kTfLiteFloat32, {16}, BytesOf(bias_values));
    output = runtime.AddTensor(kTfLiteFloat32, {1, 5, 4, 16});
    signs = runtime.AddTensor(kTfLiteInt32, {1, 5, 4, 1});
    inputs = {input, filter, bias};
    outputs = {output};
  }
};

bool HasStem() {
  return IsaAvailable(Isa::kAvx2) || IsaAvailable(Isa::kAvx512) || IsaAvailable(Isa::kNeon);
}

void OnlyStemsAreClaimed() {
  EXPECT(Claims<Graph>([](Graph*) {}) == HasStem());
  EXPECT(Claims<Graph>([](Graph* graph) { graph->params.padding = 2; }) == HasStem());
  const auto leaves = [](const std::function<void(Graph*)>& change) {
    return !Claims<Graph>(change);
  };
  EXPECT(leaves([](Graph* graph) { graph->has_binary = false; }));
  EXPECT(leaves([](Graph* graph) { graph->options[1] = "scalar"; }));
  EXPECT(leaves([](Graph* graph) { graph->options[0] = "stem", graph->options[1] = "0"; }));
  // Options.
  EXPECT(leaves([](Graph* graph) { graph->has_params = false; }));
  for (int field = 0; field < 6; ++field) {
    for (const int value : {INT_MIN, -1, 5, 257, INT_MAX}) {
      EXPECT(leaves([&](Graph* graph) { (&graph->params.padding)[field] = value; }));
    }
  }
  EXPECT(leaves([](Graph* graph) { graph->params.padding = 0; }));
  EXPECT(leaves([](Graph* graph) { graph->params.stride_width = 4; }));  // beyond the filter
  EXPECT(leaves([](Graph* graph) { graph->params.dilation_height_factor = 2; }));
  EXPECT(leaves([](Graph* graph) { graph->params.activation = 4; }));
  // Operands: the filter is computed; there is no bias, or one of another length.
  EXPECT(leaves([](Graph* graph) { graph->inputs = {graph->input, graph->filter}; }));
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
    EXPECT(leaves([&](Graph* graph) { operand(graph)->is_variable = true; }));
  }
  EXPECT(leaves([](Graph* graph) { graph->runtime.SetDims(graph->bias, {15}); }));
  EXPECT(leaves([](Graph* graph) { graph->runtime.SetDims(graph->bias, {1, 16}); }));
  EXPECT(leaves([](Graph* graph) { graph->tensor(graph->input)->type = kTfLiteInt8; }));
  EXPECT(leaves([](Graph* graph) { graph->tensor(graph->output)->type = kTfLiteInt8; }));
  // Shapes: of the filter, then of the image.
  for (const std::vector<int>& dims :
       std::vector<std::vector<int>>{{16, 3, 3, 2},
                                     {8, 3, 3, 6},
                                     {4, 3, 3, 3},
                                     {16, 3, 9},
                                     {16, 27, 1, 1},
                                     {16, 0, 3, 3},
                                     {16, -3, 3, 3},
                                     {INT_MAX, 3, 3, 3},
                                     {16, INT_MAX, INT_MAX, INT_MAX},
                                     {}}) {
    EXPECT(leaves([&](Graph* graph) { graph->runtime.SetDims(graph->filter, dims); }));
  }
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{1, 9, 8, 4},
                                                                    {9, 8, 3},
                                                                    {1, 1, 9, 8, 3},
                                                                    {0, 9, 8, 3},
                                                                    {1, 0, 8, 3},
                                                                    {1, 9, -8, 3},
                                                                    {1, 1, 65536, 3},
                                                                    {1, INT_MAX, INT_MAX, 3},
                                                                    {1, 4, 4, 3},
                                                                    {}}) {
    EXPECT(leaves([&](Graph* graph) { graph->runtime.SetDims(graph->input, dims); }));
  }
}

bool GivesWhatItShould(Graph* graph, Applied<Graph>* applied, const std::vector<int>& shape,
                       StemLayer* layer) {
  graph->runtime.SetDims(graph->input, shape);
  if (!applied->Run()) return false;
  StemGeometry& g = layer->g;
  g = {shape[0], shape[1], shape[2], 3, (shape[1] + 1) / 2, (shape[2] + 1) / 2, 16, 3, 3, 2, 2};
  g.padding_top = shape[1] % 2, g.padding_left = shape[2] % 2;
  const TfLiteTensor* input = graph->tensor(graph->input);
  layer->input.assign(static_cast<float*>(input->data),
                      static_cast<float*>(input->data) + input->bytes / sizeof(float));
  const std::vector<float> expected = layer->Expected();
  const TfLiteTensor* output = graph->tensor(graph->output);
  const auto* values = static_cast<const float*>(output->data);
  bool equal = output->bytes == expected.size() * sizeof(float) &&
               SameFloats(expected.data(), values, expected.size());
  const auto* signs = static_cast<const uint32_t*>(graph->tensor(graph->signs)->data);
  for (size_t i = 0; equal && i < expected.size(); ++i) {
    equal = (signs[i / 16] >> i % 16 & 1) == (expected[i] < 0);
  }
  return equal;
}

void ResizedImagesGiveWhatTheyShould() {
  if (!HasStem()) return;
  std::mt19937 random(2);
  StemLayer layer(&random);
  Graph graph;
  layer.filter = graph.filter_values, layer.bias = graph.bias_values;
  layer.minimum = -INFINITY, layer.maximum = INFINITY;
  Applied applied(&graph);
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{
           {1, 9, 8, 3}, {3, 9, 8, 3}, {1, 1, 1, 3}, {2, 30, 41, 3}, {1, 9, 8, 3}}) {
    EXPECT(GivesWhatItShould(&graph, &applied, shape, &layer));
  }
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{
           {1, 9, 8, 4}, {9, 8, 3}, {0, 9, 8, 3}, {1, 9, 65536, 3}, {1, 9, INT_MAX, 3}}) {
    graph.runtime.SetDims(graph.input, shape);
    EXPECT(!applied.Run());
  }
  EXPECT(graph.runtime.errors().find("Use option stem=0") != std::string::npos);
  EXPECT(GivesWhatItShould(&graph, &applied, {1, 9, 8, 3}, &layer));
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  OnlyStemsAreClaimed();
  ResizedImagesGiveWhatTheyShould();
  DamagedGraphsRunOrAreRefused<Graph>();
  return Outcome();
}
