// DEPTHWISE_CONV_2D with many outputs for each channel, beside a binary op: which are claimed, what
// comes out, also after a resize and of a filter in 8 bits, and what a damaged graph does.
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

constexpr int kIn = 3, kOut = 27, kTaps = 3 * 2;

struct Graph : OneOpGraph<TfLiteDepthwiseConvParams> {
  int filter = 0, bias = 0;
  std::vector<float> filter_values, bias_values;

  // SAME, stride 2.
  Graph() : OneOpGraph(4, "DEPTHWISE_CONV_2D", {1, 2, 2, kOut / kIn, 0, 1, 1}) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (int i = 0; i < kTaps * kOut; ++i) filter_values.push_back(normal(random));
    for (int i = 0; i < kOut; ++i) bias_values.push_back(normal(random));
    input = runtime.AddTensor(kTfLiteFloat32, {1, 9, 8, kIn});
    filter = runtime.AddConstant(kTfLiteFloat32, {1, 3, 2, kOut}, BytesOf(filter_values));
    bias = runtime.AddConstant(kTfLiteFloat32, {kOut}, BytesOf(bias_values));
    output = runtime.AddTensor(kTfLiteFloat32, {1, 5, 4, kOut});
    signs = runtime.AddTensor(kTfLiteInt32, {1, 5, 4, 1});
    inputs = {input, filter, bias};
    outputs = {output};
  }
};

// Its filter is made of integers, a scale for each output channel.
struct Scaled : Graph {
  int constant = 0;

  Scaled() {
    std::vector<int8_t> integers;
    std::vector<float> scales;
    std::mt19937 random(3);
    for (int o = 0; o < kOut; ++o) scales.push_back(0.003f * static_cast<float>(1 + o));
    for (int i = 0; i < kTaps * kOut; ++i) {
      integers.push_back(static_cast<int8_t>(Draw(&random, -127, 127)));
      filter_values[static_cast<size_t>(i)] =
          scales[static_cast<size_t>(i % kOut)] * integers.back();
    }
    constant = runtime.AddConstant(kTfLiteInt8, {1, 3, 2, kOut}, BytesOf(integers));
    runtime.Quantize(constant, scales, std::vector<int>(kOut), 3);
    filter = runtime.AddTensor(kTfLiteFloat32, {1, 3, 2, kOut});
    inputs[1] = filter;
  }

  void AddOp() {
    runtime.AddBuiltin(6, {constant}, {filter}, {});
    Graph::AddOp();
  }
};

bool HasFma() {
  return IsaAvailable(Isa::kAvx2) || IsaAvailable(Isa::kAvx512) || IsaAvailable(Isa::kNeon);
}

bool Leaves(const std::function<void(Graph*)>& change) { return !Claims<Graph>(change); }

void OnlyThoseOfManyOutputsAreClaimed() {
  EXPECT(Claims<Graph>([](Graph*) {}) == HasFma());
  EXPECT(Claims<Graph>([](Graph* g) { g->params.padding = 2; }) == HasFma());
  EXPECT(Claims<Graph>([](Graph* g) { g->options[0] = "glue", g->options[1] = "0"; }) ==
         HasFma());
  EXPECT(Claims<Scaled>([](Scaled*) {}) == HasFma());
  EXPECT(Leaves([](Graph* g) { g->has_binary = false; }));
  EXPECT(Leaves([](Graph* g) { g->options[1] = "scalar"; }));
  EXPECT(Leaves([](Graph* g) { g->options[0] = "stem", g->options[1] = "0"; }));
  EXPECT(Leaves([](Graph* g) { g->has_params = false; }));
  for (int field = 0; field < 7; ++field) {
    if (field == 3) continue;  // the multiplier, which the shapes say
    for (const int value : {INT_MIN, -1, 5, 257, INT_MAX}) {
      EXPECT(Leaves([&](Graph* g) { (&g->params.padding)[field] = value; }));
    }
  }
  EXPECT(Leaves([](Graph* g) { g->params.stride_width = 3; }));  // beyond the filter
  EXPECT(Leaves([](Graph* g) { g->inputs = {g->input, g->filter}; }));
  EXPECT(Leaves([](Graph* g) { g->inputs[2] = -1; }));
  for (const bool is_filter : {true, false}) {
    const auto operand = [&](Graph* g) { return g->tensor(is_filter ? g->filter : g->bias); };
    EXPECT(Leaves([&](Graph* g) { operand(g)->bytes -= 1; }));
    EXPECT(Leaves([&](Graph* g) { operand(g)->type = kTfLiteInt8; }));
    EXPECT(Leaves([&](Graph* g) { operand(g)->sparsity = g; }));
    EXPECT(Leaves([&](Graph* g) { operand(g)->is_variable = true; }));
  }
  EXPECT(Leaves([](Graph* g) { g->runtime.SetDims(g->bias, {kIn}); }));
  // Of the filter, then of the map: channels that do not divide, fewer than 8 outputs for each, one.
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{kOut, 3, 2, 1},
                                                                    {2, 3, 1, kOut},
                                                                    {1, 6, kOut},
                                                                    {1, 0, 2, kOut},
                                                                    {1, 3, 2, INT_MAX},
                                                                    {}}) {
    EXPECT(Leaves([&](Graph* g) { g->runtime.SetDims(g->filter, dims); }));
  }
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{1, 9, 8, 2},
                                                                    {1, 9, 8, 9},
                                                                    {1, 9, 8, 1},
                                                                    {9, 8, kIn},
                                                                    {0, 9, 8, kIn},
                                                                    {1, 9, -8, kIn},
                                                                    {1, 1, 65536, kIn},
                                                                    {1, 4, 4, kIn},
                                                                    {}}) {
    EXPECT(Leaves([&](Graph* g) { g->runtime.SetDims(g->input, dims); }));
  }
  for (const int axis : {0, 1, 2, 4, -1}) {
    EXPECT(!Claims<Scaled>([&](Scaled* g) {
      g->runtime.Quantize(g->constant, std::vector<float>(kOut, 0.1f), std::vector<int>(kOut),
                          axis);
    }));
  }
}

template <typename OneGraph>
bool GivesWhatItShould(OneGraph* graph, Applied<OneGraph>* applied,
                       const std::vector<int>& shape) {
  graph->runtime.SetDims(graph->input, shape);
  if (!applied->Run()) return false;
  std::mt19937 random(2);
  StemLayer layer(&random);
  StemGeometry& g = layer.g;
  g = {shape[0], shape[1], shape[2], kIn, (shape[1] + 1) / 2, (shape[2] + 1) / 2, kOut,
       3,        2,        2,        2};
  g.padding_top = shape[1] % 2, g.padding_left = 0, g.groups = kIn;
  layer.minimum = -INFINITY, layer.maximum = INFINITY;
  layer.bias = graph->bias_values;
  layer.filter.resize(kTaps * kOut);
  for (size_t k = 0; k < kTaps; ++k) {
    for (size_t o = 0; o < kOut; ++o) {
      layer.filter[o * kTaps + k] = graph->filter_values[k * kOut + o];
    }
  }
  const TfLiteTensor* input = graph->tensor(graph->input);
  layer.input.assign(static_cast<float*>(input->data),
                     static_cast<float*>(input->data) + input->bytes / sizeof(float));
  const std::vector<float> expected = layer.Expected();
  const TfLiteTensor* output = graph->tensor(graph->output);
  const auto* signs = static_cast<const uint32_t*>(graph->tensor(graph->signs)->data);
  bool equal =
      output->bytes == expected.size() * sizeof(float) &&
      SameFloats(expected.data(), static_cast<const float*>(output->data), expected.size());
  for (size_t i = 0; equal && i < expected.size(); ++i) {
    equal = (signs[i / kOut] >> i % kOut & 1) == (expected[i] < 0);
  }
  return equal;
}

template <typename OneGraph>
void ResizedMapsGiveWhatTheyShould() {
  if (!HasFma()) return;
  OneGraph graph;
  Applied<OneGraph> applied(&graph);
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{
           {1, 9, 8, kIn}, {3, 9, 8, kIn}, {1, 1, 1, kIn}, {2, 30, 41, kIn}, {1, 9, 8, kIn}}) {
    EXPECT(GivesWhatItShould(&graph, &applied, shape));
  }
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{
           {1, 9, 8, 4}, {9, 8, kIn}, {0, 9, 8, kIn}, {1, 9, INT_MAX, kIn}}) {
    graph.runtime.SetDims(graph.input, shape);
    EXPECT(!applied.Run());
  }
  EXPECT(graph.runtime.errors().find("Use option stem=0") != std::string::npos);
  EXPECT(GivesWhatItShould(&graph, &applied, {1, 9, 8, kIn}));
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  OnlyThoseOfManyOutputsAreClaimed();
  ResizedMapsGiveWhatTheyShould<Graph>();
  ResizedMapsGiveWhatTheyShould<Scaled>();
  DamagedGraphsRunOrAreRefused<Graph>();
  return Outcome();
}
