// Numbers as text, as std::to_string, which would bring the C++ library along.
#ifndef SPARSEBNN_KERNELS_BASE_DECIMAL_H_
#define SPARSEBNN_KERNELS_BASE_DECIMAL_H_

#include <cstdio>
#include <string>
#include <type_traits>

namespace sparsebnn {

template <typename Number>
std::string Decimal(Number value) {
  static_assert(std::is_arithmetic<Number>::value, "numbers only");
  char text[330];  // the largest double has 309 digits before the point
  if constexpr (std::is_floating_point<Number>::value) {
    std::snprintf(text, sizeof text, "%f", static_cast<double>(value));
  } else if constexpr (std::is_signed<Number>::value) {
    std::snprintf(text, sizeof text, "%lld", static_cast<long long>(value));
  } else {
    std::snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(value));
  }
  return text;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BASE_DECIMAL_H_
