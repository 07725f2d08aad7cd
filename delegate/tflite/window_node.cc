#include "window_node.h"

#include <algorithm>
#include <cstring>

#include "constant.h"
#include "float_node.h"
#include "kernels/max_pool/float_pool.h"
#include "kernels/stem/stem.h"

namespace sparsebnn {
namespace {

// What networks begin with, and a general kernel is slow for: it takes one tap at a time.
constexpr int kMaxChannelsIn = 4;
constexpr int kMaxFilter = 11;
constexpr int kMaxStride = 4;
constexpr int kMaxExtent = 65535;  // of a side of an image, and of batch and channels
constexpr int kMaxWindow = 255;    // of a side of a pool's window or stride
constexpr int kMaxPointwiseChannels = 4096;

bool IsBetween(int first, int value, int last) { return value >= first && value <= last; }

bool AreStemOptions(const TfLiteConvParams& params) {
  float minimum, maximum;
  return IsBetween(1, params.padding, 2) && IsBetween(1, params.stride_height, kMaxStride) &&
         IsBetween(1, params.stride_width, kMaxStride) && params.dilation_height_factor == 1 &&
         params.dilation_width_factor == 1 &&
         ActivationBounds(params.activation, &minimum, &maximum);
}

// What is the same for all stems. `filter` has four axes.
bool ReadWindow(const Shape& filter, const TfLiteConvParams& params, StemGeometry* g) {
  g->filter_height = filter.dims[1];
  g->filter_width = filter.dims[2];
  g->stride_height = params.stride_height;
  g->stride_width = params.stride_width;
  return std::max(g->filter_height, g->filter_width) <= kMaxFilter &&
         g->stride_height <= g->filter_height && g->stride_width <= g->filter_width;
}

// As TFLite's options have it.
Padding PaddingOf(int padding) { return padding == 1 ? Padding::kSame : Padding::kValid; }

Shape ShapeOf4(int a, int b, int c, int d) {
  Shape shape;
  shape.rank = 4;
  const int dims[] = {a, b, c, d};
  std::copy_n(dims, 4, shape.dims);
  return shape;
}

// What the window of `g`, a stem's or a pool's, makes of a map. False if it does not fit into it,
// or the map is too large.
template <typename WindowGeometry>
bool SlideOver(const Shape& map, int option, WindowGeometry* g) {
  SlidingWindow rows, columns;
  const Padding padding = PaddingOf(option);
  if (map.rank != 4 || *std::max_element(map.dims, map.dims + 4) > kMaxExtent ||
      !Slide(padding, map.dims[1], g->filter_height, g->stride_height, 1, &rows) ||
      !Slide(padding, map.dims[2], g->filter_width, g->stride_width, 1, &columns)) {
    return false;
  }
  g->batch = map.dims[0];
  g->input_height = map.dims[1];
  g->input_width = map.dims[2];
  g->output_height = rows.output;
  g->output_width = columns.output;
  g->padding_top = rows.padding_before;
  g->padding_left = columns.padding_before;
  return true;
}

}  // namespace

bool IsBuiltin(const TfLiteNode& node, const TfLiteRegistration& registration, int32_t code,
               int inputs) {
  return registration.custom_name == nullptr && registration.builtin_code == code &&
         node.inputs != nullptr && node.inputs->size == inputs && node.outputs != nullptr &&
         node.outputs->size == 1;
}

bool ReadConvolution(const TfLiteContext* context, const TfLiteNode& node,
                     const TfLiteRegistration& registration, const DequantizedFilters& filters,
                     TfLiteConvParams* params, Shape shapes[4]) {
  const bool depthwise = ReadDepthwiseOptions(node, registration, params);
  if (!depthwise &&
      !(IsBuiltin(node, registration, kBuiltinConv2d, 3) && ReadStemOptions(node, params))) {
    return false;
  }
  const int* const inputs = node.inputs->data;
  const int integers = filters.Constant(inputs[1]);
  const TfLiteTensor* const image = TensorAt(context, inputs[0]);
  const TfLiteTensor* const output = TensorAt(context, node.outputs->data[0]);
  return ReadFloatShape(image, &shapes[0]) && !IsConstant(*image) &&
         ReadFloatShape(output, &shapes[3]) && !IsConstant(*output) &&
         IsDenseConstant(TensorAt(context, integers < 0 ? inputs[1] : integers),
                         integers < 0 ? kTfLiteFloat32 : kTfLiteInt8, &shapes[1]) &&
         IsDenseConstant(TensorAt(context, inputs[2]), kTfLiteFloat32, &shapes[2]) &&
         shapes[0].rank == 4 && shapes[1].rank == 4 && shapes[2].rank == 1 &&
         shapes[2].dims[0] == shapes[1].dims[depthwise ? 3 : 0];
}

bool ReadStemOptions(const TfLiteNode& node, TfLiteConvParams* params) {
  if (node.builtin_data == nullptr) return false;
  std::memcpy(params, node.builtin_data, sizeof *params);
  return AreStemOptions(*params);
}

bool ReadDepthwiseOptions(const TfLiteNode& node, const TfLiteRegistration& registration,
                          TfLiteConvParams* params) {
  if (!IsBuiltin(node, registration, kBuiltinDepthwiseConv2d, 3) ||
      node.builtin_data == nullptr) {
    return false;
  }
  TfLiteDepthwiseConvParams own;
  std::memcpy(&own, node.builtin_data, sizeof own);
  // The multiplier follows from the shapes.
  *params = {own.padding,    own.stride_width,          own.stride_height,
             own.activation, own.dilation_width_factor, own.dilation_height_factor};
  return AreStemOptions(*params);
}

bool ReadStemFilter(const Shape& filter, const TfLiteConvParams& params, StemGeometry* g) {
  if (filter.rank != 4) return false;
  g->channels_out = filter.dims[0];
  g->channels_in = filter.dims[3];
  return ReadWindow(filter, params, g) && g->channels_in <= kMaxChannelsIn &&
         IsBetween(kMinChannelsOut, g->channels_out, kMaxExtent);
}

bool ReadDepthwiseFilter(const Shape& filter, int channels_in, const TfLiteConvParams& params,
                         StemGeometry* g) {
  if (filter.rank != 4 || filter.dims[0] != 1) return false;
  g->channels_out = filter.dims[3];
  g->groups = g->channels_in = channels_in;
  return ReadWindow(filter, params, g) && channels_in > 1 && g->channels_out <= kMaxExtent &&
         g->channels_out % channels_in == 0 && g->channels_out / channels_in >= kMinChannelsOut;
}

bool ReadStemImage(const Shape& image, const TfLiteConvParams& params, StemGeometry* g) {
  return SlideOver(image, params.padding, g) && image.dims[3] == g->channels_in &&
         Stem::WorkspaceBytes(*g) <= kMaxScratchBytes;
}

Shape StemFilterShape(const StemGeometry& g) {
  return g.groups > 1
             ? ShapeOf4(1, g.filter_height, g.filter_width, g.channels_out)
             : ShapeOf4(g.channels_out, g.filter_height, g.filter_width, g.channels_in);
}

Shape StemOutputShape(const StemGeometry& g) {
  return ShapeOf4(g.batch, g.output_height, g.output_width, g.channels_out);
}

bool ReadPointwise(const Shape& filter, const TfLiteConvParams& params) {
  return filter.rank == 4 && filter.dims[1] == 1 && filter.dims[2] == 1 &&
         params.stride_height == 1 && params.stride_width == 1 &&
         std::max(filter.dims[0], filter.dims[3]) <= kMaxPointwiseChannels;
}

bool ReadPoolOptions(const TfLiteNode& node, TfLitePoolParams* params) {
  if (node.builtin_data == nullptr) return false;
  std::memcpy(params, node.builtin_data, sizeof *params);
  for (const int size : {params->filter_height, params->filter_width, params->stride_height,
                         params->stride_width}) {
    if (!IsBetween(1, size, kMaxWindow)) return false;
  }
  return IsBetween(1, params->padding, 2) && params->activation == kActNone;
}

bool ReadPool(const Shape& map, const TfLitePoolParams& params, PoolGeometry* g) {
  g->filter_height = params.filter_height;
  g->filter_width = params.filter_width;
  g->stride_height = params.stride_height;
  g->stride_width = params.stride_width;
  if (!SlideOver(map, params.padding, g)) return false;
  g->values = map.dims[3];
  return FloatPool::ScratchFloats(*g) <= kMaxScratchBytes / sizeof(float);
}

bool ReadFloatPool(const TfLiteContext* context, const TfLiteNode& node,
                   const TfLiteRegistration& registration, int32_t code,
                   TfLitePoolParams* params) {
  if (!IsBuiltin(node, registration, code, 1) || !ReadPoolOptions(node, params)) return false;
  const TfLiteTensor* const map = TensorAt(context, node.inputs->data[0]);
  const TfLiteTensor* const output = TensorAt(context, node.outputs->data[0]);
  Shape shape, output_shape;
  PoolGeometry g;
  return ReadFloatShape(map, &shape) && !IsConstant(*map) &&
         ReadFloatShape(output, &output_shape) && !IsConstant(*output) &&
         ReadPool(shape, *params, &g);
}

bool PrepareFloatPool(const std::vector<Operand>& inputs, const TfLitePoolParams& params,
                      PoolGeometry* g, Operand* output, OpError* error) {
  if (!ExpectInputs(inputs, 1, error) || !ExpectType(inputs[0], kTfLiteFloat32, error) ||
      !ExpectType(*output, kTfLiteFloat32, error)) {
    return false;
  }
  if (!ReadPool(inputs[0].shape, params, g)) {
    return error->Set("Expected a map that the window fits into, got " +
                          inputs[0].shape.ToString() + ". Use option glue=0",
                      inputs[0].tensor);
  }
  output->shape = inputs[0].shape;
  output->shape.dims[1] = g->output_height;
  output->shape.dims[2] = g->output_width;
  return true;
}

}  // namespace sparsebnn
