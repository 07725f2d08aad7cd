// A binary convolution as a node of a model: its operands and options.
#ifndef SPARSEBNN_TESTING_BCONV2D_NODE_H_
#define SPARSEBNN_TESTING_BCONV2D_NODE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "testing/fake_runtime.h"
#include "testing/random_layer.h"

namespace sparsebnn {

using FlexOptions = std::map<std::string, int64_t>;

template <typename T>
std::vector<uint8_t> BytesOf(const std::vector<T>& values) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  return std::vector<uint8_t>(bytes, bytes + values.size() * sizeof(T));
}

// What the options of both ops say. Paddings and activations as the schema numbers them.
inline FlexOptions Bconv2dOptionsOf(const Geometry& g, int channels_in, int padding,
                                    int pad_values, int activation) {
  return {{"channels_in", channels_in},
          {"dilation_height_factor", g.dilation_height},
          {"dilation_width_factor", g.dilation_width},
          {"fused_activation_function", activation},
          {"pad_values", pad_values},
          {"padding", padding},
          {"stride_height", g.stride_height},
          {"stride_width", g.stride_width}};
}

// The filter's tensors: words for LceBconv2d; for SparsebnnBconv2d, when `index_bits` is not 0,
// indices and codebook, and the options that go with them.
inline std::vector<int> AddFilter(const Geometry& g, const RandomFilter& filter, int index_bits,
                                  FakeRuntime* runtime, FlexOptions* options) {
  if (index_bits == 0) {
    return {runtime->AddConstant(
        kTfLiteInt32, {g.channels_out, g.filter_height, g.filter_width, g.group_words()},
        BytesOf(filter.words))};
  }
  options->insert({{"format_version", 1},
                   {"groups", g.groups},
                   {"channels_out", g.channels_out},
                   {"index_bits", index_bits}});
  const std::vector<uint8_t> indices = filter.PackedIndices(index_bits);
  const std::vector<uint16_t> codebook(filter.codebook.begin(), filter.codebook.end());
  return {runtime->AddConstant(kTfLiteUInt8, {static_cast<int>(indices.size())}, indices),
          runtime->AddConstant(kTfLiteUInt16, {static_cast<int>(codebook.size())},
                               BytesOf(codebook))};
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_BCONV2D_NODE_H_
