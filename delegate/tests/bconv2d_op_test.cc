// The convolution ops in a model, with every kernel and instruction set, against LCE's equation:
//
//   popcount = sum over the words of taps and channels of popcount(input ^ filter)
//   K        = taps * channels_in / groups
//   float    = clamp(K - 2 popcount, activation and +-K) * multiplier + bias
//
// Every bit of a word is summed, those past channels_in too; K and the clamp know only
// channels_in. Bits past it are random here in filter and input, or 0.
//
//   bconv2d_op_test [layers] [seed]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/bconv2d/output_transform.h"
#include "testing/bconv2d_node.h"
#include "testing/expect.h"
#include "testing/fake_runtime.h"
#include "testing/flexbuffer_writer.h"
#include "testing/random_layer.h"

namespace sparsebnn {
namespace {

constexpr int kSame = 0, kValid = 1;
constexpr int kNone = 0, kRelu = 1, kReluMinus1To1 = 2, kRelu6 = 3;

// Where a layer's input comes from; the words of the last three can have bits past channels_in.
enum class Source { kQuantize, kWords, kQuantizeMore, kQuantizeMoreAndPool };

struct Case {
  Geometry g;  // its channels_in is that of the option
  int padding = kSame, pad_values = 1, activation = kNone;
  OutputType output = OutputType::kFloat32;
  Source source = Source::kQuantize;
  int source_channels = 0;  // of LceQuantize
  int index_bits = 0;       // of SparsebnnBconv2d, 0 for LceBconv2d
  float scale = 1;
  int zero_point = 0;

  bool leaves_image() const {
    const auto leaves = [](int input, int filter, int stride, int dilation, int output) {
      return (output - 1) * stride + (filter - 1) * dilation + 1 > input;
    };
    return leaves(g.input_height, g.filter_height, g.stride_height, g.dilation_height,
                  g.output_height) ||
           leaves(g.input_width, g.filter_width, g.stride_width, g.dilation_width,
                  g.output_width);
  }
  bool pads_with_zero() const { return padding == kSame && pad_values == 0 && leaves_image(); }
  bool corrects_floats() const {
    return output == OutputType::kFloat32 && activation == kNone && g.groups == 1;
  }
  bool is_refused() const {
    return pads_with_zero() && !corrects_floats() && g.channels_in % 2 != 0;
  }
};

Case DrawCase(std::mt19937* random) {
  Case c;
  bool same;
  c.g = DrawGeometry(40, &same, random);
  c.padding = same ? kSame : kValid;
  c.pad_values = Draw(random, 0, 1);
  c.activation = Draw(random, 0, 1) ? kNone : Draw(random, 0, 3);
  c.output = static_cast<OutputType>(Draw(random, 0, 2));
  c.source = static_cast<Source>(Draw(random, 0, 3));
  const int all_channels = 32 * c.g.input_words();
  c.source_channels = c.source == Source::kQuantize
                          ? c.g.channels_in
                          : Draw(random, c.g.channels_in, all_channels);
  if (c.g.filter_height == 3 && c.g.filter_width == 3) c.index_bits = Draw(random, 0, 6);
  c.scale = static_cast<float>(Draw(random, 1, 300)) / 100;
  c.zero_point = Draw(random, -9, 9);
  return c;
}

// The operands: of a layer whose channels are all that the words have.
struct Operands {
  RandomLayer layer;

  Operands(const Case& c, std::mt19937* random)
      : layer(Wide(c.g), Codewords(c), c.output, random) {
    const int stray = c.g.input_words() * 32 - c.g.channels_in;
    if (stray == 0) return;
    const uint32_t used = ~0u >> stray;
    // A codeword for each channel is all that SparsebnnBconv2d has.
    if (c.index_bits > 0) KeepIndicesOf(c.g.channels_in);
    if (c.index_bits > 0 || Draw(random, 0, 1)) {
      Mask(used, c.g.group_words(), &layer.filter.words);
    }
    if (c.source == Source::kWords && Draw(random, 0, 1)) {
      Mask(used, c.g.input_words(), &layer.input);
    }
    if (c.source != Source::kWords) {
      Mask(~0u >> (c.g.input_words() * 32 - c.source_channels), c.g.input_words(),
           &layer.input);
    }
  }

 private:
  static Geometry Wide(Geometry g) {
    g.channels_in = 32 * g.input_words();
    return g;
  }
  static int Codewords(const Case& c) { return c.index_bits > 0 ? 1 << c.index_bits : 0; }

  void KeepIndicesOf(int channels) {
    std::vector<uint16_t>& indices = layer.filter.indices;
    const size_t all = static_cast<size_t>(layer.geometry.channels_in_per_group());
    if (layer.geometry.groups > 1) return;
    size_t kept = 0;
    for (size_t i = 0; i < indices.size(); ++i) {
      if (i % all < static_cast<size_t>(channels)) indices[kept++] = indices[i];
    }
    indices.resize(kept);
  }
  static void Mask(uint32_t used, int words, std::vector<uint32_t>* bits) {
    for (size_t i = words - 1; i < bits->size(); i += words) (*bits)[i] &= used;
  }
};

// LCE's equation, as literally as it can be written.
template <typename Store>
void Reference(const Case& c, const RandomLayer& layer, const Store& store) {
  const Geometry& g = c.g;
  const int words = layer.geometry.group_words(), taps = g.taps();
  const int channels = g.channels_in / g.groups;
  const int k = taps * channels;
  int low = -k, high = k;
  if (c.activation == kRelu || c.activation == kRelu6) low = 0;
  if (c.activation == kRelu6) high = std::min(k, 6);
  if (c.activation == kReluMinus1To1) low = -1, high = 1;
  for (int pixel = 0; pixel < g.batch * g.output_height * g.output_width; ++pixel) {
    const int x = pixel % g.output_width, y = pixel / g.output_width % g.output_height;
    const int b = pixel / g.output_width / g.output_height;
    for (int o = 0; o < g.channels_out; ++o) {
      int popcount = 0, outside_sum = 0;
      bool any_outside = false;
      for (int t = 0; t < taps; ++t) {
        const int in_y =
            y * g.stride_height + t / g.filter_width * g.dilation_height - g.padding_top;
        const int in_x =
            x * g.stride_width + t % g.filter_width * g.dilation_width - g.padding_left;
        const bool inside =
            in_y >= 0 && in_y < g.input_height && in_x >= 0 && in_x < g.input_width;
        int of_tap = 0, negative = 0;
        for (int w = 0; w < words; ++w) {
          const uint32_t filter = layer.filter.words[(o * taps + t) * words + w];
          const int group = o / g.channels_out_per_group();
          const uint32_t input =
              inside ? layer.input[((b * g.input_height + in_y) * g.input_width + in_x) *
                                       g.input_words() +
                                   group * words + w]
                     : 0;
          of_tap += __builtin_popcount(input ^ filter);
          negative += __builtin_popcount(filter);
        }
        if (!inside && c.pads_with_zero() && !c.corrects_floats()) of_tap = channels / 2;
        if (!inside) any_outside = true, outside_sum += channels - 2 * negative;
        popcount += of_tap;
      }
      if (c.output == OutputType::kBitpacked) {
        store(pixel, o, popcount > layer.transform.thresholds[o], 0.0f);
        continue;
      }
      const double m = layer.transform.multiplier[o], bias = layer.transform.bias[o];
      const double scale = c.output == OutputType::kInt8 ? c.scale : 1.0;
      const double zero_point = c.output == OutputType::kInt8 ? c.zero_point : 0.0;
      const int clamped = std::max(std::min(2 * popcount, k - low), k - high);
      const float folded_m = static_cast<float>(-1 * m / scale);
      const float folded_bias = static_cast<float>((bias + k * m) / scale + zero_point);
      float value = static_cast<float>(clamped) * folded_m + folded_bias;
      if (c.pads_with_zero() && c.corrects_floats() && any_outside) {
        value += (-1.0f * layer.transform.multiplier[o]) * static_cast<float>(outside_sum);
      }
      store(pixel, o, false, value);
    }
  }
}

std::vector<uint8_t> Expected(const Case& c, const RandomLayer& layer) {
  std::vector<uint8_t> bytes(layer.OutputBytes());
  const int words = layer.geometry.output_words();
  Reference(c, layer, [&](int pixel, int o, bool bit, float value) {
    const size_t at = static_cast<size_t>(pixel) * c.g.channels_out + o;
    switch (c.output) {
      case OutputType::kFloat32:
        std::memcpy(&bytes[at * sizeof(float)], &value, sizeof(float));
        break;
      case OutputType::kInt8:
        bytes[at] = static_cast<uint8_t>(RoundToInt8(value));
        break;
      case OutputType::kBitpacked:
        bytes[static_cast<size_t>(pixel) * words * 4 + o / 8] |= bit << o % 8;
    }
  });
  return bytes;
}

// A model of the layer.
class Model {
 public:
  Model(const Case& c, const Operands& operands) : c_(c), layer_(operands.layer) {
    const Geometry& g = c.g;
    const std::vector<int> words = {g.batch, g.input_height, g.input_width, g.input_words()};
    int bits = runtime_.AddTensor(kTfLiteInt32, words);
    input_ = bits;
    if (c.source != Source::kWords) {
      input_ = runtime_.AddTensor(kTfLiteFloat32,
                                  {g.batch, g.input_height, g.input_width, c.source_channels});
      runtime_.AddNode("LceQuantize", {input_}, {bits}, {});
    }
    if (c.source == Source::kQuantizeMoreAndPool) {
      const int pooled = runtime_.AddTensor(kTfLiteInt32, words);
      runtime_.AddNode("LceBMaxPool2d", {bits}, {pooled},
                       WriteFlexBufferMap({{"filter_height", 1},
                                           {"filter_width", 1},
                                           {"stride_height", 1},
                                           {"stride_width", 1},
                                           {"padding", kValid}}));
      bits = pooled;
    }
    FlexOptions options =
        Bconv2dOptionsOf(g, g.channels_in, c.padding, c.pad_values, c.activation);
    std::vector<int> inputs = AddFilter(g, layer_.filter, c.index_bits, &runtime_, &options);
    inputs.insert(inputs.begin(), bits);
    const OutputTransform& t = layer_.transform;
    const bool packed = c.output == OutputType::kBitpacked;
    for (const auto* values : {&t.multiplier, &t.bias}) {
      inputs.push_back(
          packed ? -1
                 : runtime_.AddConstant(kTfLiteFloat32, {g.channels_out}, BytesOf(*values)));
    }
    inputs.push_back(
        packed ? runtime_.AddConstant(kTfLiteInt32, {g.channels_out}, BytesOf(t.thresholds))
               : -1);
    constexpr TfLiteType kTypes[] = {kTfLiteFloat32, kTfLiteInt8, kTfLiteInt32};
    output_ = runtime_.AddTensor(kTypes[static_cast<int>(c.output)], {1, 1, 1, 1});
    runtime_.tensor(output_)->params = {c.scale, c.zero_point};
    runtime_.tensor(output_)->quantization.type = kTfLiteAffineQuantization;
    runtime_.AddNode(c.index_bits > 0 ? "SparsebnnBconv2d" : "LceBconv2d", inputs, {output_},
                     WriteFlexBufferMap(options));
  }

  // False if the delegate refuses it.
  bool Run(const char* kernel, const char* isa, std::vector<uint8_t>* output) {
    sparsebnn_delegate_options options = sparsebnn_delegate_options_default();
    options.kernel = kernel;
    options.isa = isa;
    options.num_threads = 2;
    ::TfLiteDelegate* delegate = sparsebnn_delegate_create(&options);
    bool done =
        runtime_.ApplyDelegate(delegate, {input_}, {output_}) && runtime_.AllocateTensors();
    if (done) {
      FillInput();
      done = runtime_.Invoke();
      const TfLiteTensor* tensor = runtime_.tensor(output_);
      const auto* bytes = static_cast<const uint8_t*>(tensor->data);
      output->assign(bytes, bytes + tensor->bytes);
    }
    runtime_.FreePartition();
    sparsebnn_delegate_destroy(delegate);
    return done;
  }

 private:
  void FillInput() {
    void* data = runtime_.tensor(input_)->data;
    if (c_.source == Source::kWords) {
      std::memcpy(data, layer_.input.data(), layer_.input.size() * sizeof(uint32_t));
      return;
    }
    const int words = c_.g.input_words();
    for (size_t i = 0; i < layer_.input.size() / words * c_.source_channels; ++i) {
      const int channel = static_cast<int>(i % c_.source_channels);
      const uint32_t word = layer_.input[i / c_.source_channels * words + channel / 32];
      static_cast<float*>(data)[i] = word >> channel % 32 & 1 ? -1.0f : 1.0f;
    }
  }

  const Case& c_;
  const RandomLayer& layer_;
  FakeRuntime runtime_;
  int input_, output_;
};

// The number of kernels that are wrong.
int CheckCase(unsigned seed) {
  std::mt19937 random(seed);
  const Case c = DrawCase(&random);
  const Operands operands(c, &random);
  const std::vector<uint8_t> expected = Expected(c, operands.layer);
  int failures = 0;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (!IsaAvailable(isa)) continue;
    for (const char* kernel : {"auto", "xnor", "codebook", "reference"}) {
      std::vector<uint8_t> got;
      const bool done = Model(c, operands).Run(kernel, IsaName(isa), &got);
      if (done == c.is_refused() || (done && got != expected)) {
        std::printf("seed %u: %s on %s %s: channels_in %d, source %d of %d channels, %s\n",
                    seed, kernel, IsaName(isa), done ? "differs" : "is refused",
                    c.g.channels_in, static_cast<int>(c.source), c.source_channels,
                    operands.layer.Describe().c_str());
        ++failures;
      }
    }
  }
  return failures;
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  return sparsebnn::CheckSeeds(argc, argv, 150, sparsebnn::CheckCase);
}
