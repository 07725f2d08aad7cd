// Reads the options of a custom op: a FlexBuffer whose root is a map from strings to scalars.
//
// The bytes come from a model file and may be anything. Every offset, width and size is checked
// against the buffer before it is followed, and offsets only lead backwards, so reading ends.
#ifndef SPARSEBNN_TFLITE_FLEXBUFFER_H_
#define SPARSEBNN_TFLITE_FLEXBUFFER_H_

#include <cstddef>
#include <cstdint>

namespace sparsebnn {

class FlexBufferMap {
 public:
  // What a look-up found.
  enum class Result { kFound, kMissing, kNotInteger };

  // Keeps a reference to `data`. False if its root is not a well-formed map.
  bool Parse(const void* data, size_t size);

  size_t size() const { return size_; }

  // The value of `key`: an integer, an unsigned integer that fits, or a bool as 0 or 1.
  Result Find(const char* key, int64_t* value) const;

 private:
  bool ReadUnsigned(size_t at, int width, uint64_t* value) const;
  // The position `at` minus the offset stored there; false if that lies outside.
  bool Follow(size_t at, int width, size_t* target) const;
  bool KeyEquals(size_t at, const char* key) const;
  Result ReadInteger(size_t at, uint8_t packed_type, int64_t* value) const;

  const uint8_t* data_ = nullptr;
  size_t length_ = 0;
  size_t size_ = 0;  // entries
  size_t values_ = 0, keys_ = 0;
  int value_width_ = 1, key_width_ = 1;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_FLEXBUFFER_H_
