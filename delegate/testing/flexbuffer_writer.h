// Writes a FlexBuffer map of integers, as a converter would.
#ifndef SPARSEBNN_TESTING_FLEXBUFFER_WRITER_H_
#define SPARSEBNN_TESTING_FLEXBUFFER_WRITER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sparsebnn {

// All values and offsets `width` bytes wide: 1 (values up to 127 only), 2, 4 or 8.
inline std::vector<uint8_t> WriteFlexBufferMap(const std::map<std::string, int64_t>& options,
                                               int width = 8) {
  std::vector<uint8_t> bytes;
  const auto put = [&](uint64_t value) {
    for (int i = 0; i < width; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
  };
  std::vector<size_t> key_at;
  for (const auto& option : options) {
    key_at.push_back(bytes.size());
    bytes.insert(bytes.end(), option.first.begin(), option.first.end());
    bytes.push_back(0);
  }
  while (bytes.size() % 8 != 0) bytes.push_back(0);
  put(options.size());
  const size_t keys = bytes.size();
  for (const size_t at : key_at) put(bytes.size() - at);
  put(bytes.size() - keys);
  put(static_cast<uint64_t>(width));
  put(options.size());
  const size_t values = bytes.size();
  for (const auto& option : options) put(static_cast<uint64_t>(option.second));
  const uint8_t log_width = width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3;
  bytes.insert(bytes.end(), options.size(), static_cast<uint8_t>(1 << 2 | log_width));
  put(bytes.size() - values);
  bytes.push_back(static_cast<uint8_t>(9 << 2 | log_width));
  bytes.push_back(static_cast<uint8_t>(width));
  return bytes;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_FLEXBUFFER_WRITER_H_
