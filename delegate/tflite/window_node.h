// What the nodes of TFLite's own with a sliding window have in common: CONV_2D of few input channels,
// as networks begin with, and MAX_POOL_2D. Everything comes from the file and is checked here.
#ifndef SPARSEBNN_TFLITE_WINDOW_NODE_H_
#define SPARSEBNN_TFLITE_WINDOW_NODE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/max_pool/max_pool.h"
#include "kernels/stem/stem_geometry.h"
#include "shape.h"
#include "sliding_window.h"
#include "tflite_abi.h"

namespace sparsebnn {

constexpr int32_t kBuiltinConv2d = 3;
constexpr int32_t kBuiltinMaxPool2d = 17;
constexpr size_t kMaxScratchBytes = 16 << 20;  // of one thread

// Whether the node is that op of TFLite's own, with so many inputs and one output.
bool IsBuiltin(const TfLiteNode& node, const TfLiteRegistration& registration, int32_t code,
               int inputs);

// A CONV_2D's options, and everything of `g` but what depends on the image. False if there are none,
// or they are not those of a stem.
bool ReadStemOptions(const TfLiteNode& node, TfLiteConvParams* params);
bool ReadStemFilter(const Shape& filter, const TfLiteConvParams& params, StemGeometry* g);
// The rest of it. False if the filter does not fit into the image, or either is too large.
bool ReadStemImage(const Shape& image, const TfLiteConvParams& params, StemGeometry* g);
// [channels_out, filter_height, filter_width, channels_in], and of what comes out.
Shape StemFilterShape(const StemGeometry& g);
Shape StemOutputShape(const StemGeometry& g);

// A MAX_POOL_2D's options, and what they make of a map. False if there are none, or they are
// not those of a pool without an activation; or if the window does not fit, or is too large.
bool ReadPoolOptions(const TfLiteNode& node, TfLitePoolParams* params);
bool ReadPool(const Shape& map, const TfLitePoolParams& params, PoolGeometry* g);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_WINDOW_NODE_H_
