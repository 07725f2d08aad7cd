// Models that no converter writes: every index of a tensor and every option of every op, one
// wrong at a time. The delegate runs them or reports why not; it never reads what is not there.
#include <algorithm>
#include <climits>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/decimal.h"
#include "testing/bconv2d_node.h"
#include "testing/fake_runtime.h"
#include "testing/flexbuffer_writer.h"
#include "testing/random_layer.h"

namespace sparsebnn {
namespace {

constexpr int64_t kMissing = 0x5eed;  // as an option's value: the option is left out

int failures = 0;

// One node, with what it reads and writes.
struct OneNode {
  FakeRuntime runtime;
  const char* name = "";
  std::vector<int> inputs, outputs;
  FlexOptions options;

  int tensors = 0;  // how many there are

  // An empty string if the model runs, else what was reported.
  std::string Run() {
    runtime.AddNode(name, inputs, outputs, WriteFlexBufferMap(options));
    ::TfLiteDelegate* delegate = sparsebnn_delegate_create(nullptr);
    const bool done = runtime.ApplyDelegate(delegate, {0}, {1}) && runtime.AllocateTensors() &&
                      runtime.Invoke();
    runtime.FreePartition();
    sparsebnn_delegate_destroy(delegate);
    return done ? "" : runtime.errors() + "(refused)";
  }
};

// Valid models of every op; tensor 0 is the graph's input and tensor 1 its output.
void Quantize(OneNode* node) {
  node->name = "LceQuantize";
  node->runtime.AddTensor(kTfLiteFloat32, {1, 5, 5, 40});
  node->runtime.AddTensor(kTfLiteInt32, {1, 5, 5, 2});
  node->inputs = {0};
  node->tensors = 2;
}

void Dequantize(OneNode* node) {
  node->name = "LceDequantize";
  node->runtime.AddTensor(kTfLiteInt32, {1, 5, 5, 2});
  node->runtime.AddTensor(kTfLiteFloat32, {1, 5, 5, 40});
  node->inputs = {0};
  node->tensors = 2;
}

void MaxPool(OneNode* node) {
  node->name = "LceBMaxPool2d";
  node->runtime.AddTensor(kTfLiteInt32, {1, 5, 5, 2});
  node->runtime.AddTensor(kTfLiteInt32, {1, 1, 1, 1});
  node->inputs = {0};
  node->options = {{"filter_height", 2},
                   {"filter_width", 3},
                   {"stride_height", 1},
                   {"stride_width", 2},
                   {"padding", 0}};
  node->tensors = 2;
}

void Convolution(OneNode* node, int index_bits, TfLiteType output) {
  node->name = index_bits > 0 ? "SparsebnnBconv2d" : "LceBconv2d";
  std::mt19937 random(1);
  Geometry g;
  g.channels_in = 40;
  g.channels_out = 33;
  g.filter_height = g.filter_width = 3;
  node->runtime.AddTensor(kTfLiteInt32, {1, 5, 5, 2});
  node->runtime.AddTensor(output, {1, 1, 1, 1});
  node->options = Bconv2dOptionsOf(g, g.channels_in, /*padding=*/0, /*pad_values=*/1,
                                   /*activation=*/0);
  const RandomFilter filter(g, index_bits > 0 ? 1 << index_bits : 0, &random);
  node->inputs = AddFilter(g, filter, index_bits, &node->runtime, &node->options);
  node->inputs.insert(node->inputs.begin(), 0);
  const bool packed = output == kTfLiteInt32;
  const std::vector<uint8_t> zeros(sizeof(float) * static_cast<size_t>(g.channels_out));
  for (const TfLiteType type : {kTfLiteFloat32, kTfLiteFloat32, kTfLiteInt32}) {
    const bool used = (type == kTfLiteInt32) == packed;
    node->inputs.push_back(used ? node->runtime.AddConstant(type, {g.channels_out}, zeros)
                                : -1);
    node->tensors = std::max(node->tensors, node->inputs.back() + 1);
  }
}

const std::function<void(OneNode*)> kModels[] = {
    Quantize,
    Dequantize,
    MaxPool,
    [](OneNode* node) { Convolution(node, 0, kTfLiteFloat32); },
    [](OneNode* node) { Convolution(node, 0, kTfLiteInt32); },
    [](OneNode* node) { Convolution(node, 5, kTfLiteFloat32); },
    [](OneNode* node) { Convolution(node, 5, kTfLiteInt32); },
};

// Builds a valid model, changes it and runs it.
template <typename Change>
std::string RunChanged(const std::function<void(OneNode*)>& make, const Change& change) {
  OneNode node;
  make(&node);
  node.outputs = {1};
  change(&node);
  return node.Run();
}

void Expect(bool condition, const char* name, const std::string& what,
            const std::string& report) {
  if (condition) return;
  std::fprintf(stderr, "%s with %s: '%s'\n", name, what.c_str(), report.c_str());
  ++failures;
}

void EveryTensorIndex(const std::function<void(OneNode*)>& make) {
  OneNode valid;
  make(&valid);
  const int tensors = valid.tensors;
  for (const int index : {INT_MIN, -1000, -2, -1, tensors, tensors + 1, 1 << 20, INT_MAX}) {
    for (size_t i = 0; i < valid.inputs.size(); ++i) {
      if (index == -1 && valid.inputs[i] == -1) continue;
      const std::string report =
          RunChanged(make, [&](OneNode* node) { node->inputs[i] = index; });
      const bool unused = valid.inputs[i] == -1;
      Expect(!report.empty() && (unused || report.find("sparsebnn: ") == 0), valid.name,
             "input " + Decimal(i) + " = " + Decimal(index), report);
    }
    const std::string report =
        RunChanged(make, [&](OneNode* node) { node->outputs = {index}; });
    Expect(report.find("sparsebnn: ") == 0, valid.name, "output " + Decimal(index), report);
  }
  for (const std::vector<int>& outputs : {std::vector<int>{}, {1, 1}, {1, -2}, {-2, 1}}) {
    const std::string report =
        RunChanged(make, [&](OneNode* node) { node->outputs = outputs; });
    Expect(report.find("sparsebnn: ") == 0, valid.name, Decimal(outputs.size()) + " outputs",
           report);
  }
}

void EveryOption(const std::function<void(OneNode*)>& make) {
  OneNode valid;
  make(&valid);
  for (const auto& option : valid.options) {
    const std::string& key = option.first;
    for (const int64_t value :
         {kMissing, INT64_MIN, int64_t{INT_MIN} - 1, int64_t{INT_MIN}, -(int64_t{1} << 32),
          int64_t{-2}, int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{2}, int64_t{31},
          int64_t{64}, int64_t{65535}, int64_t{65536}, int64_t{INT_MAX}, int64_t{INT_MAX} + 1,
          (int64_t{1} << 32) + option.second, INT64_MAX}) {
      const std::string report = RunChanged(make, [&](OneNode* node) {
        if (value == kMissing) {
          node->options.erase(key);
        } else {
          node->options[key] = value;
        }
      });
      // Few of these are allowed, and not for every option.
      const bool may_run = value >= 0 && value <= 65535;
      const bool names_option =
          report.find(key) != std::string::npos || report.find("version") != std::string::npos;
      Expect(may_run || (report.find("sparsebnn: ") == 0 && names_option), valid.name,
             key + " = " + Decimal(value), report);
    }
  }
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  for (const auto& make : kModels) {
    OneNode valid;
    make(&valid);
    Expect(RunChanged(make, [](OneNode*) {}).empty(), valid.name, "nothing wrong", "refused");
    EveryTensorIndex(make);
    EveryOption(make);
  }
  std::printf("%d failures\n", failures);
  return failures != 0;
}
