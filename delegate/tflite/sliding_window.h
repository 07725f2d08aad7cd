// Where a window slides over an image: TFLite's rules for SAME and VALID.
#ifndef SPARSEBNN_TFLITE_SLIDING_WINDOW_H_
#define SPARSEBNN_TFLITE_SLIDING_WINDOW_H_

#include <cstdint>

namespace sparsebnn {

// As the schema of .tflite files numbers them.
enum class Padding { kSame = 0, kValid = 1 };

struct SlidingWindow {
  int output = 0;
  int padding_before = 0;
  bool leaves_image = false;  // whether any tap of any output lies outside
};

// Along one dimension. `size`, `stride` and `dilation` are positive and below 2^16. False if
// the window does not fit once.
inline bool Slide(Padding padding, int input, int size, int stride, int dilation,
                  SlidingWindow* window) {
  const int64_t extent = static_cast<int64_t>(size - 1) * dilation + 1;
  const int64_t covered = padding == Padding::kSame ? input : input - extent + 1;
  if (covered < 1) return false;
  const int64_t output = (covered + stride - 1) / stride;
  const int64_t excess = (output - 1) * stride + extent - input;
  window->output = static_cast<int>(output);
  window->padding_before = excess > 0 ? static_cast<int>(excess / 2) : 0;
  window->leaves_image = excess > 0;
  return true;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_SLIDING_WINDOW_H_
