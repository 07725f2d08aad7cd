// A pointer of several owners, the last of which deletes what it points to. std::shared_ptr would
// bring the C++ library along.
#ifndef SPARSEBNN_TFLITE_SHARED_H_
#define SPARSEBNN_TFLITE_SHARED_H_

#include <atomic>

namespace sparsebnn {

// A base of what is shared.
class Owned {
 private:
  template <typename T>
  friend class Shared;
  std::atomic<int> owners_{0};
};

template <typename T>
class Shared {
 public:
  explicit Shared(T* object) : object_(object) { object_->owners_.fetch_add(1); }
  Shared(const Shared& other) : Shared(other.object_) {}
  Shared& operator=(const Shared&) = delete;
  ~Shared() {
    if (object_->owners_.fetch_sub(1) == 1) delete object_;
  }

  T* operator->() const { return object_; }

 private:
  T* const object_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_SHARED_H_
