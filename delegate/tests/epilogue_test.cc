// Every kernel with an epilogue, of every instruction set, against its definition: the layer's
// floats as the reference computes them, and one step after another over whole maps.
//
//   epilogue_test [layers] [seed]
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/bconv2d/bconv2d_reference.h"
#include "kernels/bconv2d/kernel_list.h"
#include "kernels/quantize/quantize.h"
#include "testing/expect.h"
#include "testing/random_layer.h"

namespace sparsebnn {
namespace {

constexpr int kSpare = 16;  // elements behind each map, which nobody may touch

float Step(StepKind kind, float v, float x) {
  switch (kind) {
    case StepKind::kAdd:
      return v + x;
    case StepKind::kSubtract:
      return v - x;
    case StepKind::kSubtractFrom:
      return x - v;
    case StepKind::kMultiply:
      return v * x;
    case StepKind::kMaximum:
      return v > x ? v : x;
    case StepKind::kMinimum:
      return v < x ? v : x;
    case StepKind::kPrelu:
      return v < 0 ? v * x : v;
    default:
      return v;
  }
}

// Steps with operands of their own, and what they must store.
struct Program {
  Epilogue epilogue;
  std::vector<std::vector<float>> operands, expected_values, got_values;
  std::vector<std::vector<uint32_t>> expected_signs, got_signs;

  Program(int channels, const std::vector<float>& layer, std::mt19937* random) {
    epilogue.channels = channels;
    const size_t pixels = layer.size() / channels;
    std::vector<float> v = layer;
    std::normal_distribution<float> normal(0, 10);
    for (int step = Draw(random, 1, 9); step > 0; --step) {
      EpilogueStep made = {static_cast<StepKind>(Draw(random, 0, 8))};
      if (made.kind == StepKind::kStore) {
        expected_values.push_back(v);
      } else if (made.kind == StepKind::kStoreSigns) {
        expected_signs.push_back(Signs(v, pixels));
      } else {
        const bool per_channel = Draw(random, 0, 1);
        operands.emplace_back(per_channel ? channels : v.size());
        std::vector<float>& operand = operands.back();
        for (float& value : operand) value = normal(*random);
        for (size_t i = 0; i < v.size(); ++i) {
          v[i] = Step(made.kind, v[i], operand[per_channel ? i % channels : i]);
        }
        if (per_channel) operand.resize(channels + kEpilogueChunk);
        (per_channel ? made.constants : made.tensor) = operand.data();
      }
      epilogue.steps.push_back(made);
    }
    for (const auto& values : expected_values) got_values.emplace_back(values.size() + kSpare);
    for (const auto& signs : expected_signs) got_signs.emplace_back(signs.size() + kSpare);
    size_t value = 0, sign = 0;
    for (EpilogueStep& step : epilogue.steps) {
      if (step.kind == StepKind::kStore) step.values = got_values[value++].data();
      if (step.kind == StepKind::kStoreSigns) step.signs = got_signs[sign++].data();
    }
  }

  std::vector<uint32_t> Signs(const std::vector<float>& values, size_t pixels) const {
    std::vector<uint32_t> signs(pixels * WordsFor(epilogue.channels));
    kQuantizeKernels_scalar.float32(values.data(), pixels, epilogue.channels, signs.data());
    return signs;
  }

  void Clear() {
    for (auto& values : got_values) values.assign(values.size(), -77.0f);
    for (auto& signs : got_signs) signs.assign(signs.size(), 0x5A5A5A5Au);
  }

  bool IsAsExpected() const {
    bool equal = true;
    for (size_t i = 0; i < got_values.size(); ++i) {
      const size_t count = expected_values[i].size();
      equal &= std::memcmp(got_values[i].data(), expected_values[i].data(),
                           count * sizeof(float)) == 0;
      for (int k = 0; k < kSpare; ++k) equal &= got_values[i][count + k] == -77.0f;
    }
    for (size_t i = 0; i < got_signs.size(); ++i) {
      const size_t count = expected_signs[i].size();
      equal &= std::memcmp(got_signs[i].data(), expected_signs[i].data(),
                           count * sizeof(uint32_t)) == 0;
      for (int k = 0; k < kSpare; ++k) equal &= got_signs[i][count + k] == 0x5A5A5A5Au;
    }
    return equal;
  }
};

// The number of kernels that differ.
int CheckLayer(unsigned seed) {
  std::mt19937 random(seed);
  bool same;
  const Geometry g = DrawGeometry(120, &same, &random);
  const int codewords = Draw(&random, 0, 3) ? 1 << Draw(&random, 1, 6) : 0;
  RandomLayer layer(g, codewords, OutputType::kFloat32, &random);
  std::string error;
  Workspace workspace;
  ThreadPool one(1);
  std::vector<float> floats(layer.OutputBytes() / sizeof(float));
  MakeReferenceBconv2d(g, layer.filter, layer.transform, kReadsOnes, &error)
      ->Run(layer.input.data(), floats.data(), &workspace, &one);
  Program program(g.channels_out, floats, &random);
  int failures = 0;
  for (const KernelEntry& kernel : kKernels) {
    if (!IsaAvailable(kernel.isa) || !KernelSupports(kernel, g, OutputType::kFloat32)) continue;
    const auto bconv = kernel.make(g, layer.filter, layer.transform, &error);
    if (bconv == nullptr || !bconv->TakesEpilogue()) continue;
    program.epilogue.kernel = EpilogueKernelFor(kernel.isa);
    for (const int threads : {1, 3, 4}) {
      ThreadPool pool(threads);
      program.Clear();
      bconv->RunTo({nullptr, &program.epilogue}, layer.input.data(), &workspace, &pool);
      if (program.IsAsExpected()) continue;
      std::printf("seed %u: %s differs with %d threads and %zu steps: %s\n", seed,
                  bconv->description().c_str(), threads, program.epilogue.steps.size(),
                  layer.Describe().c_str());
      ++failures;
    }
  }
  return failures;
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  return sparsebnn::CheckSeeds(argc, argv, 300, sparsebnn::CheckLayer);
}
