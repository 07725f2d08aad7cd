// Looks every option of every op up in any bytes.
#ifndef SPARSEBNN_TESTING_FLEXBUFFER_LOOKUP_H_
#define SPARSEBNN_TESTING_FLEXBUFFER_LOOKUP_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tflite/flexbuffer.h"

namespace sparsebnn {

inline int64_t LookUpAllOptions(const uint8_t* data, size_t size) {
  // A copy of its own size, so that a sanitizer knows where it ends.
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  for (size_t i = 0; i < size; ++i) copy[i] = data[i];
  FlexBufferMap map;
  int64_t sum = 0;
  if (!map.Parse(copy.get(), size)) return sum;
  static constexpr const char* kKeys[] = {"channels_in", "padding", "index_bits", "", "a"};
  for (const char* key : kKeys) {
    int64_t value = 0;
    if (map.Find(key, &value) == FlexBufferMap::Result::kFound) sum ^= value;
  }
  return sum;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_FLEXBUFFER_LOOKUP_H_
