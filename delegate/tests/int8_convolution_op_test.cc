// QUANTIZE, CONV_2D, MAX_POOL_2D and DEQUANTIZE at the beginning of a binary network, or of 1x1 later:
// which are claimed, what comes out, also of the tensors between and after a resize, and what a damaged
// graph does.
#include <climits>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "testing/bconv2d_node.h"
#include "testing/expect.h"
#include "testing/int8_stem_layer.h"
#include "testing/one_op_graph.h"

namespace sparsebnn {
namespace {

constexpr int kChannels = 18, kDepth = 3 * 3 * 3;

struct Step {
  int code;
  std::vector<int> inputs, outputs;
};

struct Graph : OneOpGraph<TfLiteConvParams> {
  Int8StemLayer layer;
  std::vector<float> scales;
  int filter = 0, bias = 0, quantized = 0, convolved = 0, pooled = 0;
  TfLitePoolParams pool = {1, 2, 2, 3, 3, 0};
  std::vector<Step> steps;

  explicit Graph(bool has_pool) : OneOpGraph(3, "CONV_2D", {1, 2, 2, 1, 1, 1}) {
    std::mt19937 random(1);
    layer.image = {0.02f, 3}, layer.output = {0.4f, -20};
    for (int i = 0; i < kChannels * kDepth; ++i) {
      layer.filter.push_back(static_cast<int8_t>(Draw(&random, -127, 127)));
    }
    for (int o = 0; o < kChannels; ++o) {
      layer.bias.push_back(Draw(&random, -9999, 9999));
      scales.push_back(0.01f * static_cast<float>(1 + o));
      layer.multipliers.push_back(layer.image.scale * scales.back() / layer.output.scale);
    }
    layer.minimum = layer.output.zero_point;  // ReLU
    input = runtime.AddTensor(kTfLiteFloat32, {1, 9, 8, 3});
    filter = runtime.AddConstant(kTfLiteInt8, {kChannels, 3, 3, 3}, BytesOf(layer.filter));
    bias = runtime.AddConstant(kTfLiteInt32, {kChannels}, BytesOf(layer.bias));
    quantized = runtime.AddTensor(kTfLiteInt8, {1, 9, 8, 3});
    convolved = runtime.AddTensor(kTfLiteInt8, {1, 5, 4, kChannels});
    pooled = runtime.AddTensor(kTfLiteInt8, {1, 3, 2, kChannels});
    output = runtime.AddTensor(kTfLiteFloat32, {1, 1, 1, kChannels});
    signs = runtime.AddTensor(kTfLiteInt32, {1, 1, 1, 1});
    runtime.Quantize(quantized, {layer.image.scale}, {layer.image.zero_point});
    runtime.Quantize(filter, scales, std::vector<int>(kChannels));
    for (const int tensor : {convolved, pooled}) {
      runtime.Quantize(tensor, {layer.output.scale}, {layer.output.zero_point});
    }
    steps = {{114, {input}, {quantized}}, {3, {quantized, filter, bias}, {convolved}}};
    if (has_pool) steps.push_back({17, {convolved}, {pooled}});
    steps.push_back({6, {has_pool ? pooled : convolved}, {output}});
  }
  Graph() : Graph(true) {}

  std::vector<std::vector<int>*> Lists() {
    std::vector<std::vector<int>*> lists;
    for (Step& step : steps) lists.insert(lists.end(), {&step.inputs, &step.outputs});
    return lists;
  }

  void AddOp() {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&pool);
    for (const Step& step : steps) {
      std::vector<uint8_t> options;
      if (step.code == 3) options = Options();
      if (step.code == 17) options.assign(bytes, bytes + sizeof pool);
      runtime.AddBuiltin(step.code, step.inputs, step.outputs, options);
    }
  }
};

struct Plain : Graph {
  Plain() : Graph(false) {}
};

// Of 1x1 and more channels than a stem has.
struct Pointwise : Graph {
  static constexpr int kChannelsIn = 40;

  Pointwise() : Graph(false) {
    params.stride_width = params.stride_height = 1;
    layer.filter.resize(kChannels * kChannelsIn, 3);
    filter =
        runtime.AddConstant(kTfLiteInt8, {kChannels, 1, 1, kChannelsIn}, BytesOf(layer.filter));
    runtime.Quantize(filter, scales, std::vector<int>(kChannels));
    steps[1].inputs[1] = filter;
    runtime.SetDims(input, {1, 9, 8, kChannelsIn});
  }
};

bool HasStem() {
  return IsaAvailable(Isa::kAvx2) || IsaAvailable(Isa::kAvx512) || IsaAvailable(Isa::kNeon);
}

bool Leaves(const std::function<void(Graph*)>& change) { return !Claims<Graph>(change); }

void OnlyInt8ConvolutionsAreClaimed() {
  EXPECT(Claims<Graph>([](Graph*) {}) == HasStem());
  EXPECT(Claims<Plain>([](Plain*) {}) == HasStem());
  for (const int activation : {0, 1, 2, 3}) {
    EXPECT(Claims<Graph>([&](Graph* g) { g->params.activation = activation; }) == HasStem());
  }
  EXPECT(Claims<Graph>([](Graph* g) { g->params.padding = 2; }) == HasStem());
  EXPECT(Claims<Graph>([](Graph* g) { g->options[0] = "glue", g->options[1] = "0"; }) ==
         HasStem());
  EXPECT(Leaves([](Graph* g) { g->has_binary = false; }));
  EXPECT(Leaves([](Graph* g) { g->options[1] = "scalar"; }));
  EXPECT(Leaves([](Graph* g) { g->options[0] = "stem", g->options[1] = "0"; }));
  EXPECT(Leaves([](Graph* g) { g->has_params = false; }));
  for (int field = 0; field < 6; ++field) {
    for (const int value : {INT_MIN, -1, 5, 257, INT_MAX}) {
      EXPECT(Leaves([&](Graph* g) { (&g->params.padding)[field] = value; }));
      EXPECT(value == 5 || value == 257 ||
             Leaves([&](Graph* g) { (&g->pool.padding)[field] = value; }));
    }
  }
  EXPECT(Leaves([](Graph* g) { g->pool.activation = 1; }));
  EXPECT(Leaves([](Graph* g) { g->pool.padding = 0; }));
  EXPECT(Leaves([](Graph* g) { g->pool = {2, 1, 1, 6, 1, 0}; }));  // does not fit
}

void OfManyChannelsOnlyPointwiseIsClaimed() {
  EXPECT(Claims<Pointwise>([](Pointwise*) {}) == HasStem());
  for (const char* option : {"glue", "stem"}) {
    EXPECT(
        !Claims<Pointwise>([&](Pointwise* g) { g->options[0] = option, g->options[1] = "0"; }));
  }
  EXPECT(!Claims<Pointwise>([](Pointwise* g) { g->params.stride_width = 2; }));
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{kChannels, 1, 2, 20},
                                                                    {kChannels, 2, 1, 20},
                                                                    {kChannels, 1, 1, 41},
                                                                    {kChannels, 1, 1, 4097}}) {
    EXPECT(!Claims<Pointwise>([&](Pointwise* g) { g->runtime.SetDims(g->filter, dims); }));
  }
  EXPECT(!Claims<Pointwise>([](Pointwise* g) { g->runtime.SetDims(g->input, {1, 9, 8, 41}); }));
}

// Fewer outputs than a stem has: of 1x1, which is no stem then.
void FewChannelsToFewAreNoStem() {
  const auto few = [](Pointwise* g) {
    for (const int tensor : {g->filter, g->bias}) g->tensor(tensor)->dims->data[0] = 7;
    g->runtime.Quantize(g->filter, std::vector<float>(7, 0.01f), std::vector<int>(7));
    g->tensor(g->filter)->dims->data[3] = 4;
    g->runtime.SetDims(g->input, {1, 9, 8, 4});
  };
  EXPECT(Claims<Pointwise>(few) == HasStem());
  EXPECT(!Claims<Pointwise>([&](Pointwise* g) {
    few(g);
    g->options[0] = "glue", g->options[1] = "0";
  }));
}

void WhatIsReadElsewhereIsLeft() {
  for (const int code : {3, 6, 17, 114}) {
    EXPECT(Leaves([&](Graph* g) {
      for (Step& step : g->steps) step.code += step.code == code ? 100 : 0;
    }));
  }
  for (const int tensor : {0, 1, 2}) {
    EXPECT(Leaves([&](Graph* g) {
      const int read[] = {g->quantized, g->convolved, g->pooled};
      const int written = g->runtime.AddTensor(kTfLiteInt8, {1});
      g->steps.push_back({25, {read[tensor]}, {written}});
    }));
    EXPECT(Leaves([&](Graph* g) {  // two nodes write it
      const int written[] = {g->quantized, g->convolved, g->pooled};
      g->steps.push_back({25, {g->input}, {written[tensor]}});
    }));
  }
  EXPECT(Leaves([](Graph* g) { g->steps[0].inputs.push_back(g->input); }));
  EXPECT(Leaves([](Graph* g) { g->steps[1].inputs.pop_back(); }));
  EXPECT(Leaves([](Graph* g) { g->steps[1].inputs[2] = -1; }));
  EXPECT(Leaves([](Graph* g) { g->steps[1].inputs[1] = g->quantized; }));
  EXPECT(Leaves([](Graph* g) { g->steps[3].outputs.push_back(g->output); }));
}

void RangesAreChecked() {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto tensors = [](Graph* g) {
    return std::vector<int>{g->quantized, g->convolved, g->pooled, g->filter};
  };
  for (size_t which = 0; which < 4; ++which) {
    const std::vector<int> zeros(which == 3 ? kChannels : 1);
    const auto with = [&](float scale, const std::vector<int>& points, int dimension) {
      return Leaves([&](Graph* g) {
        std::vector<float> scales = which == 3 ? g->scales : std::vector<float>{1.0f};
        scales.back() = scale;
        g->runtime.Quantize(tensors(g)[which], scales, points, dimension);
      });
    };
    for (const float scale : {0.0f, -0.0f, -1.0f, kNan, INFINITY, 1e-40f, 3e38f}) {
      EXPECT(with(scale, zeros, 0));
    }
    for (const int point : {INT_MIN, -129, 128, INT_MAX}) {
      std::vector<int> points = zeros;
      points.back() = point;
      EXPECT(with(0.1f, points, 0));
    }
    EXPECT(with(0.1f, {}, 0));
    EXPECT(with(0.1f, std::vector<int>(zeros.size() + 1), 0));
    EXPECT(Leaves([&](Graph* g) { g->runtime.Quantize(tensors(g)[which], {}, {}); }));
    EXPECT(Leaves(
        [&](Graph* g) { g->runtime.Quantize(tensors(g)[which], {0.1f, 0.1f}, {0, 0}); }));
    EXPECT(Leaves([&](Graph* g) { g->tensor(tensors(g)[which])->quantization.params = {}; }));
    EXPECT(Leaves([&](Graph* g) {
      g->tensor(tensors(g)[which])->quantization.type = kTfLiteNoQuantization;
    }));
    EXPECT(Leaves([&](Graph* g) { g->tensor(tensors(g)[which])->type = kTfLiteUInt8; }));
    EXPECT(Leaves([&](Graph* g) { g->tensor(tensors(g)[which])->sparsity = g; }));
    EXPECT(Leaves([&](Graph* g) { g->tensor(tensors(g)[which])->is_variable = true; }));
    EXPECT(Leaves([&](Graph* g) {
      TfLiteTensor* tensor = g->tensor(tensors(g)[which]);
      tensor->allocation_type =
          which == 3 ? static_cast<TfLiteAllocationType>(2) : kTfLiteMmapRo;
    }));
    if (which < 3) continue;
    for (const int dimension : {-1, 1, 3, INT_MAX}) EXPECT(with(0.1f, zeros, dimension));
    EXPECT(with(0.1f, std::vector<int>(kChannels, 1), 0));
    EXPECT(with(257 * 0.4f / 0.02f, zeros, 0));  // a multiplier of 257
    EXPECT(with(1e-12f, zeros, 0));
  }
  EXPECT(Claims<Graph>([](Graph* g) { g->runtime.Quantize(g->filter, g->scales, {0}); }) ==
         HasStem());
  EXPECT(Leaves([](Graph* g) { g->runtime.Quantize(g->filter, g->scales, {1}); }));
  // Nothing is left between the bounds of the activation.
  EXPECT(Leaves([](Graph* g) {
    for (const int tensor : {g->convolved, g->pooled}) {
      g->runtime.Quantize(tensor, {0.4f}, {127});
    }
  }));
}

void OperandsAreChecked() {
  EXPECT(Leaves([](Graph* g) { static_cast<int8_t*>(g->tensor(g->filter)->data)[7] = -128; }));
  for (const bool is_filter : {true, false}) {
    const auto operand = [&](Graph* g) { return g->tensor(is_filter ? g->filter : g->bias); };
    EXPECT(Leaves([&](Graph* g) { operand(g)->bytes -= 1; }));
    EXPECT(Leaves([&](Graph* g) { operand(g)->type = kTfLiteFloat32; }));
    EXPECT(Leaves([&](Graph* g) { operand(g)->sparsity = g; }));
    EXPECT(Leaves([&](Graph* g) { operand(g)->is_variable = true; }));
  }
  for (const std::vector<int>& dims :
       std::vector<std::vector<int>>{{kChannels - 1}, {1, kChannels}, {}, {INT_MAX}}) {
    EXPECT(Leaves([&](Graph* g) { g->runtime.SetDims(g->bias, dims); }));
  }
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{kChannels, 3, 3, 2},
                                                                    {9, 3, 3, 6},
                                                                    {kChannels, 27, 1, 1},
                                                                    {kChannels, 3, 9},
                                                                    {kChannels, 0, 3, 3},
                                                                    {INT_MAX, 3, 3, 3},
                                                                    {}}) {
    EXPECT(Leaves([&](Graph* g) { g->runtime.SetDims(g->filter, dims); }));
  }
  for (const std::vector<int>& dims : std::vector<std::vector<int>>{{1, 9, 8, 4},
                                                                    {9, 8, 3},
                                                                    {0, 9, 8, 3},
                                                                    {1, 9, -8, 3},
                                                                    {1, 1, 65536, 3},
                                                                    {1, INT_MAX, INT_MAX, 3},
                                                                    {}}) {
    EXPECT(Leaves([&](Graph* g) { g->runtime.SetDims(g->input, dims); }));
  }
  EXPECT(Leaves([](Graph* g) { g->tensor(g->input)->type = kTfLiteInt8; }));
  EXPECT(Leaves([](Graph* g) { g->tensor(g->output)->type = kTfLiteInt8; }));
}

// Whether an int8 tensor holds what these floats stand for.
bool Holds(const TfLiteTensor& tensor, const std::vector<float>& floats,
           const Int8Range& range) {
  bool equal = tensor.bytes == floats.size();
  for (size_t i = 0; equal && i < floats.size(); ++i) {
    const float steps =
        static_cast<float>(static_cast<const int8_t*>(tensor.data)[i] - range.zero_point);
    equal = steps * range.scale == floats[i];
  }
  return equal;
}

// SAME, 3x3, stride 2, over a map of `g`'s outputs.
std::vector<float> Pooled(const StemGeometry& g, const std::vector<float>& map) {
  StemGeometry pooled = g;
  pooled.output_height = (g.output_height + 1) / 2,
  pooled.output_width = (g.output_width + 1) / 2;
  const int top = g.output_height % 2, left = g.output_width % 2;
  return StemOutputs(pooled, [&](int b, int y, int x, int o) {
    float greatest = -INFINITY;
    for (int row = std::max(0, 2 * y - top); row < std::min(2 * y - top + 3, g.output_height);
         ++row) {
      for (int column = std::max(0, 2 * x - left);
           column < std::min(2 * x - left + 3, g.output_width); ++column) {
        const int pixel = (b * g.output_height + row) * g.output_width + column;
        greatest = std::max(greatest, map[static_cast<size_t>(pixel * kChannels + o)]);
      }
    }
    return greatest;
  });
}

bool GivesWhatItShould(Graph* graph, Applied<Graph>* applied, const std::vector<int>& shape) {
  graph->runtime.SetDims(graph->input, shape);
  if (!applied->Prepare()) return false;
  Int8StemLayer& layer = graph->layer;
  StemGeometry& g = layer.g;
  if (shape[3] == 3) {
    g = {shape[0], shape[1], shape[2], 3, (shape[1] + 1) / 2, (shape[2] + 1) / 2, kChannels,
         3,        3,        2,        2};
    g.padding_top = shape[1] % 2, g.padding_left = shape[2] % 2;
  } else {
    g = {shape[0], shape[1], shape[2], shape[3], shape[1], shape[2], kChannels, 1, 1, 1, 1};
  }
  std::mt19937 random(7);
  std::uniform_real_distribution<float> values(-3.5f, 3.5f);
  layer.input.resize(graph->tensor(graph->input)->bytes / sizeof(float));
  for (float& value : layer.input) value = values(random);
  std::memcpy(graph->tensor(graph->input)->data, layer.input.data(),
              layer.input.size() * sizeof(float));
  if (!graph->runtime.Invoke()) return false;
  const std::vector<float> map = layer.Expected();
  const bool has_pool = graph->steps.size() == 4;
  const std::vector<float> expected = has_pool ? Pooled(g, map) : map;
  const TfLiteTensor& output = *graph->tensor(graph->output);
  bool equal = output.bytes == expected.size() * sizeof(float) &&
               std::memcmp(output.data, expected.data(), output.bytes) == 0;
  const auto* signs = static_cast<const uint32_t*>(graph->tensor(graph->signs)->data);
  for (size_t i = 0; equal && i < expected.size(); ++i) {
    equal = (signs[i / kChannels] >> i % kChannels & 1) == (expected[i] < 0);
  }
  for (const int seen : graph->seen) {
    const TfLiteTensor& tensor = *graph->tensor(seen);
    if (seen == graph->quantized) {
      const auto* samples = static_cast<const int8_t*>(tensor.data);
      equal &= tensor.bytes == layer.input.size();
      for (size_t i = 0; equal && i < tensor.bytes; ++i) {
        equal = samples[i] == layer.Sample(static_cast<int>(i));
      }
    } else {
      equal &= Holds(tensor, seen == graph->convolved ? map : expected, layer.output);
    }
  }
  return equal;
}

void ResizedImagesGiveWhatTheyShould() {
  if (!HasStem()) return;
  for (int kind = 0; kind < 6; ++kind) {
    Graph graph(kind % 2);
    if (kind >= 2) graph.seen = {graph.quantized, graph.convolved};
    if (kind >= 2 && kind % 2) graph.seen.push_back(graph.pooled);
    if (kind >= 4) graph.options[0] = "glue", graph.options[1] = "0";
    Applied applied(&graph);
    for (const std::vector<int>& shape : std::vector<std::vector<int>>{
             {1, 9, 8, 3}, {3, 9, 8, 3}, {1, 1, 1, 3}, {2, 30, 41, 3}, {1, 9, 8, 3}}) {
      EXPECT(GivesWhatItShould(&graph, &applied, shape));
    }
    for (const std::vector<int>& shape : std::vector<std::vector<int>>{
             {1, 9, 8, 4}, {9, 8, 3}, {0, 9, 8, 3}, {1, 9, 65536, 3}, {1, 9, INT_MAX, 3}}) {
      graph.runtime.SetDims(graph.input, shape);
      EXPECT(!applied.Run());
    }
    EXPECT(graph.runtime.errors().find("Use option stem=0") != std::string::npos);
    EXPECT(GivesWhatItShould(&graph, &applied, {1, 9, 8, 3}));
  }
}

// Rows of any length, which the op may join; with what is between and without.
void ResizedMapsGiveWhatTheyShould() {
  if (!HasStem()) return;
  for (int kind = 0; kind < 2; ++kind) {
    Pointwise graph;
    if (kind == 1) graph.seen = {graph.quantized, graph.convolved};
    Applied<Graph> applied(&graph);
    for (const std::vector<int>& map : std::vector<std::vector<int>>{
             {1, 9, 8}, {1, 7, 7}, {3, 1, 1}, {2, 2, 5}, {1, 14, 14}, {1, 32, 1}, {1, 3, 70}}) {
      EXPECT(GivesWhatItShould(&graph, &applied, {map[0], map[1], map[2], 40}));
    }
    graph.runtime.SetDims(graph.input, {1, 9, 8, 39});
    EXPECT(!applied.Run());
    EXPECT(GivesWhatItShould(&graph, &applied, {1, 9, 8, 40}));
  }
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  OnlyInt8ConvolutionsAreClaimed();
  OfManyChannelsOnlyPointwiseIsClaimed();
  FewChannelsToFewAreNoStem();
  WhatIsReadElsewhereIsLeft();
  RangesAreChecked();
  OperandsAreChecked();
  ResizedImagesGiveWhatTheyShould();
  ResizedMapsGiveWhatTheyShould();
  DamagedGraphsRunOrAreRefused<Graph>();
  DamagedGraphsRunOrAreRefused<Pointwise>();
  return Outcome();
}
