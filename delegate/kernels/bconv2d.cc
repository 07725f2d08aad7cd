#include "bconv2d.h"

#include <utility>

#include "bconv2d_reference.h"
#include "zero_padding.h"

namespace sparsebnn {

std::unique_ptr<Bconv2d> MakeBconv2d(const Geometry& geometry, const FilterReader& filter,
                                     OutputTransform transform, const Bconv2dOptions& options,
                                     std::string* error) {
  if (options.zero_padding == ZeroPadding::kHalfPopcount ||
      options.kernel == KernelKind::kReference) {
    const bool half_popcount = options.zero_padding == ZeroPadding::kHalfPopcount;
    auto bconv =
        MakeReferenceBconv2d(geometry, filter, std::move(transform), half_popcount, error);
    if (bconv == nullptr || options.zero_padding != ZeroPadding::kAddToFloat) return bconv;
    return AddZeroPadding(std::move(bconv), geometry, filter, options.unfolded_multiplier, error);
  }
  auto bconv = MakeReferenceBconv2d(geometry, filter, std::move(transform), false, error);
  if (bconv == nullptr || options.zero_padding != ZeroPadding::kAddToFloat) return bconv;
  return AddZeroPadding(std::move(bconv), geometry, filter, options.unfolded_multiplier, error);
}

}  // namespace sparsebnn
