// The dense convolution without vectors.
#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorScalar {
  using Register = uint32_t;
  static constexpr int kLanes = 1, kVectors = 4, kPixels = 2;
  static constexpr int kMaxSteps = 1 << 26;

  static Register Zero() { return 0; }
  static Register Load(const uint32_t* p) { return *p; }
  static Register Broadcast(const uint32_t* p) { return *p; }
  static Register Add(Register counts, Register a, Register b) {
    return counts + static_cast<uint32_t>(__builtin_popcount(a ^ b));
  }
  static Register Widen(Register counts) { return counts; }
  static Register AddWide(Register a, Register b) { return a + b; }
  static void StoreWide(uint32_t* p, Register counts) { *p = counts; }
};

}  // namespace

std::unique_ptr<Bconv2d> MakeXnorBconv2d_2x4__scalar(const Geometry& geometry,
                                                     const FilterReader& filter,
                                                     OutputTransform transform,
                                                     std::string* error) {
  return MakeXnorBconv2d<XnorScalar>(geometry, filter, std::move(transform), "scalar", error);
}

}  // namespace sparsebnn
