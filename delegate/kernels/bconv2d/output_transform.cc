#include "output_transform.h"

namespace sparsebnn {

void PadForVectors(OutputTransform* transform) {
  if (transform->type == OutputType::kBitpacked) {
    transform->thresholds.resize(transform->thresholds.size() + 7);
    return;
  }
  transform->multiplier.resize(transform->multiplier.size() + 7);
  transform->bias.resize(transform->bias.size() + 7);
}

}  // namespace sparsebnn
