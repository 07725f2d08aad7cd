// Scratch memory that grows to what is asked and is kept between calls.
#ifndef SPARSEBNN_KERNELS_CPU_WORKSPACE_H_
#define SPARSEBNN_KERNELS_CPU_WORKSPACE_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace sparsebnn {

// Uninitialised bytes, aligned for every vector that the kernels load.
class AlignedBytes {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedBytes() = default;
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  ~AlignedBytes() { std::free(allocation_); }

  // At least `size` bytes, whose contents are lost when it grows. False if memory is short.
  // 64 bits everywhere: a product of sizes from a file must not wrap before it is refused.
  bool Reserve(uint64_t size) {
    if (size <= size_) return true;
    if (size > static_cast<uint64_t>(PTRDIFF_MAX) - kAlignment) return false;
    std::free(allocation_);
    size_ = 0;
    allocation_ = std::malloc(static_cast<size_t>(size) + kAlignment);
    if (allocation_ == nullptr) return false;
    size_ = static_cast<size_t>(size);
    return true;
  }

  uint8_t* data() const {
    const uintptr_t address = reinterpret_cast<uintptr_t>(allocation_);
    return reinterpret_cast<uint8_t*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }
  size_t size() const { return size_; }

 private:
  void* allocation_ = nullptr;
  size_t size_ = 0;
};

using Workspace = AlignedBytes;

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CPU_WORKSPACE_H_
