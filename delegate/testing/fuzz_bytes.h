// Any bytes, as the choices that a model is made by.
#ifndef SPARSEBNN_TESTING_FUZZ_BYTES_H_
#define SPARSEBNN_TESTING_FUZZ_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparsebnn {

class FuzzBytes {
 public:
  FuzzBytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t Byte() { return at_ < size_ ? data_[at_++] : 0; }
  int Int(int first, int last) { return first + Byte() % (last - first + 1); }
  // Mostly small; sometimes what arithmetic stumbles over.
  int Wild() {
    static constexpr int kWild[] = {0,     -1,    1,         31,        32,         33,
                                    65535, 65536, 1 << 20,   INT32_MAX, INT32_MIN,  1 << 30,
                                    127,   256,   INT16_MAX, 46341,     0x01000001, 7};
    const int byte = Byte();
    return byte < 18 ? kWild[byte] : byte;
  }
  std::vector<uint8_t> Bytes(size_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t& byte : bytes) byte = Byte();
    return bytes;
  }
  // `count` bytes that differ, from one.
  std::vector<uint8_t> Noise(size_t count) {
    std::vector<uint8_t> bytes(count);
    uint32_t state = Byte() + 1u;
    for (uint8_t& byte : bytes) {
      state = state * 1664525u + 1013904223u;
      byte = static_cast<uint8_t>(state >> 24);
    }
    return bytes;
  }
  bool empty() const { return at_ >= size_; }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_FUZZ_BYTES_H_
