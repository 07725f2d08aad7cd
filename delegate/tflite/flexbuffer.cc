#include "flexbuffer.h"

#include <cstring>

namespace sparsebnn {
namespace {

// Types as the format numbers them; a packed type is (type << 2) | log2(byte width).
enum : int {
  kNull = 0,
  kInt = 1,
  kUInt = 2,
  kIndirectInt = 6,
  kIndirectUInt = 7,
  kMap = 9,
  kBool = 26,
};

// LCE's ops have at most 8 options.
constexpr uint64_t kMaxEntries = 64;

int WidthOf(uint8_t packed_type) { return 1 << (packed_type & 3); }
int TypeOf(uint8_t packed_type) { return packed_type >> 2; }

int64_t SignExtend(uint64_t value, int width) {
  const int unused = 64 - 8 * width;
  return static_cast<int64_t>(value << unused) >> unused;
}

}  // namespace

bool FlexBufferMap::ReadUnsigned(size_t at, int width, uint64_t* value) const {
  if (at > length_ || length_ - at < static_cast<size_t>(width)) return false;
  *value = 0;
  for (int i = 0; i < width; ++i) *value |= static_cast<uint64_t>(data_[at + i]) << (8 * i);
  return true;
}

bool FlexBufferMap::Follow(size_t at, int width, size_t* target) const {
  uint64_t offset;
  if (!ReadUnsigned(at, width, &offset) || offset > at) return false;
  *target = at - static_cast<size_t>(offset);
  return true;
}

bool FlexBufferMap::Parse(const void* data, size_t size) {
  *this = FlexBufferMap();
  data_ = static_cast<const uint8_t*>(data);
  length_ = size;
  // The last two bytes are the root's packed type and its width; the root lies before them.
  if (data == nullptr || size < 3) return false;
  const int root_width = data_[size - 1];
  const uint8_t root_type = data_[size - 2];
  if (root_width != 1 && root_width != 2 && root_width != 4 && root_width != 8) return false;
  if (TypeOf(root_type) != kMap || size - 2 < static_cast<size_t>(root_width)) return false;
  if (!Follow(size - 2 - root_width, root_width, &values_)) return false;
  // Before a map's values, each as wide as they are: the offset of its keys, their width, the
  // number of entries. Behind the values, a byte each: their packed types.
  value_width_ = WidthOf(root_type);
  const size_t width = static_cast<size_t>(value_width_);
  if (values_ < 3 * width) return false;
  uint64_t entries, key_width, key_entries;
  if (!ReadUnsigned(values_ - width, value_width_, &entries) || entries > kMaxEntries) {
    return false;
  }
  if (length_ - values_ < entries * (width + 1)) return false;
  if (!Follow(values_ - 3 * width, value_width_, &keys_) ||
      !ReadUnsigned(values_ - 2 * width, value_width_, &key_width)) {
    return false;
  }
  if (key_width != 1 && key_width != 2 && key_width != 4 && key_width != 8) return false;
  key_width_ = static_cast<int>(key_width);
  if (keys_ < key_width || !ReadUnsigned(keys_ - key_width, key_width_, &key_entries) ||
      key_entries != entries || length_ - keys_ < entries * key_width) {
    return false;
  }
  size_ = static_cast<size_t>(entries);
  return true;
}

bool FlexBufferMap::KeyEquals(size_t at, const char* key) const {
  const size_t bytes = std::strlen(key) + 1;  // with the terminating zero
  return at <= length_ && length_ - at >= bytes && std::memcmp(data_ + at, key, bytes) == 0;
}

FlexBufferMap::Result FlexBufferMap::Find(const char* key, int64_t* value) const {
  for (size_t i = 0; i < size_; ++i) {
    size_t key_at;
    if (!Follow(keys_ + i * key_width_, key_width_, &key_at) || !KeyEquals(key_at, key))
      continue;
    return ReadInteger(values_ + i * value_width_, data_[values_ + size_ * value_width_ + i],
                       value);
  }
  return Result::kMissing;
}

FlexBufferMap::Result FlexBufferMap::ReadInteger(size_t at, uint8_t packed_type,
                                                 int64_t* value) const {
  int width = value_width_;
  const int type = TypeOf(packed_type);
  if (type == kNull) return Result::kMissing;
  if (type == kIndirectInt || type == kIndirectUInt) {
    if (!Follow(at, value_width_, &at)) return Result::kNotInteger;
    width = WidthOf(packed_type);
  } else if (type != kInt && type != kUInt && type != kBool) {
    return Result::kNotInteger;
  }
  uint64_t bits;
  if (!ReadUnsigned(at, width, &bits)) return Result::kNotInteger;
  if (type == kInt || type == kIndirectInt) {
    *value = SignExtend(bits, width);
  } else if (type == kBool) {
    *value = bits != 0;
  } else if (bits > static_cast<uint64_t>(INT64_MAX)) {
    return Result::kNotInteger;
  } else {
    *value = static_cast<int64_t>(bits);
  }
  return Result::kFound;
}

}  // namespace sparsebnn
