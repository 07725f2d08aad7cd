// The delegate for entry points that report errors in another way than C's.
#ifndef SPARSEBNN_TFLITE_DELEGATE_H_
#define SPARSEBNN_TFLITE_DELEGATE_H_

#include <string>

#include "sparsebnn_delegate.h"

namespace sparsebnn {

// As sparsebnn_delegate_create, but an error is one line in `error`, without a full stop.
::TfLiteDelegate* CreateDelegate(const sparsebnn_delegate_options& options, std::string* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_DELEGATE_H_
