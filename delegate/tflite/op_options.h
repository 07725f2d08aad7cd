// The integer options of an op, each with the range that is accepted.
#ifndef SPARSEBNN_TFLITE_OP_OPTIONS_H_
#define SPARSEBNN_TFLITE_OP_OPTIONS_H_

#include <cstddef>
#include <string>

#include "flexbuffer.h"
#include "kernels/base/decimal.h"

namespace sparsebnn {

class OpOptions {
 public:
  OpOptions(const void* data, size_t size) {
    if (!map_.Parse(data, size))
      error_ = "Expected options as a FlexBuffer map, got other bytes";
  }

  // The option `key`, or `minimum` after noting an error if it is missing or out of range.
  int Get(const char* key, int minimum, int maximum) {
    int64_t value = 0;
    const FlexBufferMap::Result result = map_.Find(key, &value);
    if (result == FlexBufferMap::Result::kFound && value >= minimum && value <= maximum) {
      return static_cast<int>(value);
    }
    if (error_.empty()) {
      error_ = std::string("Expected option ") + key + " in " + Decimal(minimum) + ".." +
               Decimal(maximum) + ", got " +
               (result == FlexBufferMap::Result::kFound     ? Decimal(value)
                : result == FlexBufferMap::Result::kMissing ? "none"
                                                            : "no integer");
    }
    return minimum;
  }

  // The first error; empty if there is none.
  const std::string& error() const { return error_; }

 private:
  FlexBufferMap map_;
  std::string error_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_OP_OPTIONS_H_
