#include "bconv2d.h"

#include <utility>

#include "bconv2d_reference.h"
#include "kernel_choice.h"
#include "zero_padding.h"

namespace sparsebnn {
namespace {

std::unique_ptr<Bconv2d> MakeOnePadded(const Geometry& geometry, const FilterReader& filter,
                                       OutputTransform transform, const Bconv2dOptions& options,
                                       std::string* error) {
  // An output whose border is not what a +1 makes of it takes the reference: rare, and its cost
  // is the reference's in LCE too.
  const bool half_popcount = options.zero_padding == ZeroPadding::kHalfPopcount;
  if (half_popcount || options.kernel == KernelKind::kReference) {
    return MakeReferenceBconv2d(geometry, filter, std::move(transform),
                                half_popcount ? options.padded_channels / 2 : kReadsOnes,
                                error);
  }
  const KernelEntry* kernel = ChooseKernel(geometry, filter, transform.type, options, error);
  if (kernel == nullptr) return nullptr;
  return kernel->make(geometry, filter, std::move(transform), error);
}

}  // namespace

std::unique_ptr<Bconv2d> MakeBconv2d(const Geometry& geometry, const FilterReader& filter,
                                     OutputTransform transform, const Bconv2dOptions& options,
                                     std::string* error) {
  auto bconv = MakeOnePadded(geometry, filter, std::move(transform), options, error);
  if (bconv == nullptr || options.zero_padding != ZeroPadding::kAddToFloat) return bconv;
  return AddZeroPadding(std::move(bconv), geometry, filter, options.padded_channels,
                        options.unfolded_multiplier, error);
}

}  // namespace sparsebnn
