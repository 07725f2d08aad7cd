// What the nodes of TFLite's own with a sliding window have in common: CONV_2D of few input channels,
// as networks begin with, or of 1x1, DEPTHWISE_CONV_2D, MAX_POOL_2D and AVERAGE_POOL_2D. Everything
// comes from the file and is checked here.
#ifndef SPARSEBNN_TFLITE_WINDOW_NODE_H_
#define SPARSEBNN_TFLITE_WINDOW_NODE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dequantized_filters.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/stem/stem_geometry.h"
#include "op.h"
#include "shape.h"
#include "sliding_window.h"
#include "tflite_abi.h"

namespace sparsebnn {

constexpr int32_t kBuiltinAveragePool2d = 1;
constexpr int32_t kBuiltinConv2d = 3;
constexpr int32_t kBuiltinDepthwiseConv2d = 4;
constexpr int32_t kBuiltinDequantize = 6;
constexpr int32_t kBuiltinMaxPool2d = 17;
constexpr int32_t kBuiltinQuantize = 114;
constexpr size_t kMaxScratchBytes = 16 << 20;  // of one thread

// Whether the node is that op of TFLite's own, with that many inputs and one output.
bool IsBuiltin(const TfLiteNode& node, const TfLiteRegistration& registration, int32_t code,
               int inputs);

// Below, XNNPACK has kernels with more than one sum for an output, which are added up last: for a
// single output of each image and, for AArch64, of few channels.
constexpr int kMinOutputs = 8;
constexpr int kMinChannelsOut = 8;

// A DEPTHWISE_CONV_2D's options, as those of a CONV_2D. False for any other node, and if they are not
// those of a stem.
bool ReadDepthwiseOptions(const TfLiteNode& node, const TfLiteRegistration& registration,
                          TfLiteConvParams* params);

// A CONV_2D or DEPTHWISE_CONV_2D of float32: its options, and the shapes of image, filter, bias and
// output. False for any other node, and if filter or bias are no constants, or not all there; a
// filter may be one of `filters`.
bool ReadConvolution(const TfLiteContext* context, const TfLiteNode& node,
                     const TfLiteRegistration& registration, const DequantizedFilters& filters,
                     TfLiteConvParams* params, Shape shapes[4]);

// A CONV_2D's options, and everything of `g` but what depends on the image. False if there are none,
// or they are not those of a stem.
bool ReadStemOptions(const TfLiteNode& node, TfLiteConvParams* params);
bool ReadStemFilter(const Shape& filter, const TfLiteConvParams& params, StemGeometry* g);
// Likewise of the filter [1, height, width, channels_out] of a DEPTHWISE_CONV_2D.
bool ReadDepthwiseFilter(const Shape& filter, int channels_in, const TfLiteConvParams& params,
                         StemGeometry* g);
// The rest of it. False if the filter does not fit into the image, or either is too large.
bool ReadStemImage(const Shape& image, const TfLiteConvParams& params, StemGeometry* g);
// As the file has it, and of what comes out.
Shape StemFilterShape(const StemGeometry& g);
Shape StemOutputShape(const StemGeometry& g);

// [channels_out, 1, 1, channels_in] of a CONV_2D with these options of 1x1, stride 1. False for any
// other, and for too many channels.
bool ReadPointwise(const Shape& filter, const TfLiteConvParams& params);

// A pool's options, and what they make of a map. False if there are none, or they are
// not those of a pool without an activation; or if the window does not fit, or is too large.
bool ReadPoolOptions(const TfLiteNode& node, TfLitePoolParams* params);
bool ReadPool(const Shape& map, const TfLitePoolParams& params, PoolGeometry* g);
// Of float32, and that op of TFLite's own.
bool ReadFloatPool(const TfLiteContext* context, const TfLiteNode& node,
                   const TfLiteRegistration& registration, int32_t code,
                   TfLitePoolParams* params);
// Of that, as Op::Prepare.
bool PrepareFloatPool(const std::vector<Operand>& inputs, const TfLitePoolParams& params,
                      PoolGeometry* g, Operand* output, OpError* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_WINDOW_NODE_H_
