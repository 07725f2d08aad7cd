// Float ops between binary ones: which are claimed, which run together, what comes out, and what
// a damaged graph does.
#include <climits>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/decimal.h"
#include "testing/bconv2d_node.h"
#include "testing/expect.h"
#include "testing/fake_runtime.h"
#include "testing/flexbuffer_writer.h"
#include "testing/random_layer.h"
#include "tflite/fusion.h"

namespace sparsebnn {
namespace {

// "0 1*, 2*": nodes of each group, with a star where the output is stored.
std::string Planned(const std::vector<FusionNode>& nodes, bool fuse = true) {
  std::string text;
  for (const Group& group : PlanGroups(nodes, fuse)) {
    if (!text.empty()) text += ", ";
    for (size_t i = 0; i < group.size(); ++i) {
      text += (i > 0 ? " " : "") + Decimal(group[i].node) + (group[i].stored ? "*" : "");
    }
  }
  return text;
}

constexpr FusionRole kOther = FusionRole::kNone, kConvolution = FusionRole::kConvolution,
                     kElementwise = FusionRole::kElementwise, kQuantize = FusionRole::kQuantize;

void AChainIsOneGroup() {
  const std::vector<FusionNode> chain = {{kConvolution, {-1}},
                                         {kElementwise, {0}},
                                         {kElementwise, {1, -1}},
                                         {kQuantize, {2}},
                                         {kConvolution, {3}}};
  EXPECT(Planned(chain) == "0 1 2 3*, 4*");
  EXPECT(Planned(chain, false) == "0*, 1*, 2*, 3*, 4*");
}

void WhatOthersReadIsStored() {
  // A residual block: the shortcut is what the first addition gives.
  EXPECT(Planned({{kElementwise, {-1}},
                  {kQuantize, {0}},
                  {kConvolution, {1}},
                  {kElementwise, {2, 0}},
                  {kQuantize, {3}}}) == "0* 1*, 2 3 4*");
  EXPECT(Planned({{kConvolution, {-1}, true}, {kQuantize, {0}}}) == "0* 1*");
}

void AnOperandThatIsNotThereYetEndsAGroup() {
  EXPECT(Planned({{kConvolution, {-1}}, {kConvolution, {-1}}, {kElementwise, {0, 1}}}) ==
         "0*, 1 2*");
  EXPECT(Planned({{kConvolution, {-1}}, {kElementwise, {0, 0}}}) == "0*, 1*");
  EXPECT(Planned({{kOther, {-1}}, {kElementwise, {0}}}) == "0*, 1*");
  EXPECT(Planned({{kQuantize, {-1}}, {kElementwise, {0}}}) == "0*, 1*");
}

// ---- Graphs ----

struct Graph {
  FakeRuntime runtime;
  int input = 0, output = 0, constant = 0, residual = 0;
  int channels = 0;
  std::vector<std::vector<int>> inputs, outputs;  // of each node
  std::vector<float> bias;
};

// input -> LceQuantize -> LceBconv2d -> + input -> - constant -> (residual, ) -> LceQuantize
void MakeGraph(int channels, Graph* graph) {
  FakeRuntime& runtime = graph->runtime;
  std::mt19937 random(3);
  Geometry g;
  g.channels_in = g.channels_out = graph->channels = channels;
  g.filter_height = g.filter_width = 3;
  const std::vector<int> floats = {1, 5, 6, channels}, bits = {1, 5, 6, WordsFor(channels)};
  graph->input = runtime.AddTensor(kTfLiteFloat32, floats);
  const int signs = runtime.AddTensor(kTfLiteInt32, bits);
  const int convolved = runtime.AddTensor(kTfLiteFloat32, floats);
  const int sum = runtime.AddTensor(kTfLiteFloat32, floats);
  graph->residual = runtime.AddTensor(kTfLiteFloat32, floats);
  graph->output = runtime.AddTensor(kTfLiteInt32, bits);
  for (int c = 0; c < channels; ++c) graph->bias.push_back(0.25f * static_cast<float>(c % 7));
  graph->constant = runtime.AddConstant(kTfLiteFloat32, {channels}, BytesOf(graph->bias));
  FlexOptions options = Bconv2dOptionsOf(g, channels, /*padding=*/0, /*pad_values=*/1,
                                         /*activation=*/0);
  const RandomFilter filter(g, 0, &random);
  std::vector<int> convolution = AddFilter(g, filter, 0, &runtime, &options);
  convolution.insert(convolution.begin(), signs);
  const std::vector<float> ones(static_cast<size_t>(channels), 0.125f);
  convolution.push_back(runtime.AddConstant(kTfLiteFloat32, {channels}, BytesOf(ones)));
  convolution.push_back(runtime.AddConstant(kTfLiteFloat32, {channels}, BytesOf(graph->bias)));
  convolution.push_back(-1);
  graph->inputs = {{graph->input},
                   convolution,
                   {convolved, graph->input},
                   {sum, graph->constant},
                   {graph->residual}};
  graph->outputs = {{signs}, {convolved}, {sum}, {graph->residual}, {graph->output}};
}

bool Run(Graph* graph, ::TfLiteDelegate* delegate) {
  FakeRuntime& runtime = graph->runtime;
  const std::vector<uint8_t> no_activation(4);
  Geometry g;
  const std::vector<uint8_t> options =
      WriteFlexBufferMap(Bconv2dOptionsOf(g, graph->channels, 0, 1, 0));
  runtime.AddNode("LceQuantize", graph->inputs[0], graph->outputs[0], {});
  runtime.AddNode("LceBconv2d", graph->inputs[1], graph->outputs[1], options);
  runtime.AddBuiltin(0, graph->inputs[2], graph->outputs[2], no_activation);
  runtime.AddBuiltin(41, graph->inputs[3], graph->outputs[3], no_activation);
  runtime.AddNode("LceQuantize", graph->inputs[4], graph->outputs[4], {});
  if (!runtime.ApplyDelegate(delegate, {graph->input}, {graph->residual, graph->output}) ||
      !runtime.AllocateTensors()) {
    return false;
  }
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 3);
  TfLiteTensor* input = runtime.tensor(graph->input);
  for (size_t i = 0; i < input->bytes / sizeof(float); ++i) {
    static_cast<float*>(input->data)[i] = normal(random);
  }
  return runtime.Invoke();
}

void AFusedGraphGivesWhatItsOpsGive() {
  for (const int channels : {1, 8, 16, 31, 32, 33, 64, 100}) {
    ::TfLiteDelegate* delegate = sparsebnn_delegate_create(nullptr);
    Graph graph;
    MakeGraph(channels, &graph);
    EXPECT(Run(&graph, delegate));
    EXPECT(std::strstr(sparsebnn_delegate_profile_json(delegate), "in node 1") != nullptr);
    // The signs are those of the residual map, which is the convolution plus the rest.
    const auto* residual = static_cast<float*>(graph.runtime.tensor(graph.residual)->data);
    const auto* signs = static_cast<uint32_t*>(graph.runtime.tensor(graph.output)->data);
    const int words = WordsFor(channels);
    bool equal = true;
    int negative = 0;
    for (int pixel = 0; pixel < 30; ++pixel) {
      for (int c = 0; c < channels; ++c) {
        const bool sign = signs[pixel * words + c / 32] >> c % 32 & 1;
        equal &= sign == (residual[pixel * channels + c] < 0);
        negative += sign;
      }
    }
    EXPECT(equal && negative > 0 && negative < 30 * channels);
    graph.runtime.FreePartition();
    sparsebnn_delegate_destroy(delegate);
  }
}

// The graph with one thing changed: true if it ran.
bool RunChanged(const std::function<void(Graph*)>& change) {
  ::TfLiteDelegate* delegate = sparsebnn_delegate_create(nullptr);
  bool done;
  {
    Graph graph;
    MakeGraph(40, &graph);
    change(&graph);
    done = Run(&graph, delegate);
    graph.runtime.FreePartition();
  }
  sparsebnn_delegate_destroy(delegate);
  return done;
}

void DamagedGraphsRunOrAreRefused() {
  EXPECT(RunChanged([](Graph*) {}));
  int refused = 0;
  for (size_t node = 0; node < 5; ++node) {
    for (const int index :
         {INT_MIN, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1 << 20, INT_MAX}) {
      for (size_t i = 0; i < 2; ++i) {
        refused += !RunChanged([&](Graph* graph) {
          if (i < graph->inputs[node].size()) graph->inputs[node][i] = index;
        });
      }
      refused += !RunChanged([&](Graph* graph) { graph->outputs[node] = {index}; });
    }
    for (const size_t count : {0, 3}) {
      refused += !RunChanged([&](Graph* graph) { graph->inputs[node].resize(count, 1); });
    }
  }
  EXPECT(refused > 50);
  // Constants that are not what they say: the op is not claimed, and who reads it complains.
  const auto refuses = [](const std::function<void(Graph*, TfLiteTensor*)>& change) {
    return !RunChanged(
        [&](Graph* graph) { change(graph, graph->runtime.tensor(graph->constant)); });
  };
  EXPECT(refuses([](Graph*, TfLiteTensor* tensor) { tensor->bytes = 159; }));
  EXPECT(refuses([](Graph*, TfLiteTensor* tensor) { tensor->type = kTfLiteInt32; }));
  EXPECT(refuses([](Graph*, TfLiteTensor* tensor) { tensor->sparsity = tensor; }));
  EXPECT(refuses(
      [](Graph* graph, TfLiteTensor*) { graph->runtime.SetDims(graph->constant, {40, 1}); }));
  EXPECT(refuses([](Graph* graph, TfLiteTensor*) {
    graph->runtime.SetDims(graph->constant, {1, 1, 1, 1, 40});
  }));
  EXPECT(refuses(
      [](Graph* graph, TfLiteTensor*) { graph->runtime.SetDims(graph->constant, {-40}); }));
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  AChainIsOneGroup();
  WhatOthersReadIsStored();
  AnOperandThatIsNotThereYetEndsAGroup();
  AFusedGraphGivesWhatItsOpsGive();
  DamagedGraphsRunOrAreRefused();
  return Outcome();
}
