// One node of the graph: what it makes of its input's shape, and how it runs.
//
// An op has one input that changes between calls (its first) and one output. Its other inputs
// are constants of the model and are read when the op is prepared.
#ifndef SPARSEBNN_TFLITE_OP_H_
#define SPARSEBNN_TFLITE_OP_H_

#include <climits>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/average_pool/average_pool.h"
#include "kernels/bconv2d/bconv2d.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/max_pool/float_pool.h"
#include "shape.h"
#include "tflite_abi.h"

namespace sparsebnn {

// A tensor as an op sees it. The shape of a tensor between two delegated ops, which the runtime
// does not know about, is the one computed here and not the one in `tensor`.
struct Operand {
  const TfLiteTensor* tensor = nullptr;  // null for an optional input that is not there
  Shape shape;
  // Of bits in words: those of this channel and of later ones are 0. Known of what another
  // delegated op has made.
  int channels = INT_MAX;

  TfLiteType type() const { return tensor->type; }
};

// What went wrong, in one line, and with which tensor.
struct OpError {
  std::string message;
  const TfLiteTensor* tensor = nullptr;

  // Always false, so that a check can end in `return error->Set(...)`.
  bool Set(std::string text, const TfLiteTensor* about = nullptr);
  bool Expected(const std::string& expected, const std::string& got,
                const TfLiteTensor* about = nullptr);
};

// How the user wants it done.
struct OpSettings {
  KernelKind kernel = KernelKind::kAuto;
  Isa isa = Isa::kScalar;
  int threads = 1;
};

class Op {
 public:
  virtual ~Op() = default;
  // Checks types and constants and computes the output's shape from the first input's. Called
  // again whenever a shape has changed. `output` comes with the shape that the file gives.
  virtual bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs,
                       Operand* output, OpError* error) = 0;
  // The pointers are aligned to four bytes and as large as the shapes of the last Prepare say.
  // False if memory is short.
  virtual bool Run(const void* input, void* output, Workspace* workspace,
                   ThreadPool* threads) const = 0;
  // What runs, e.g. "xnor avx2"; for the profile.
  virtual std::string Description() const = 0;

  // After Prepare. About how long Run takes the caller alone, by which the partition decides whether
  // it gets more threads; 0 if it decides itself.
  virtual double Microseconds() const { return 0; }

  // After Prepare. Whether RunEpilogue can be called: a convolution that makes floats.
  virtual bool TakesEpilogue() const { return false; }
  // As Run, but the epilogue takes the floats, tile by tile, and says where they go.
  virtual bool RunEpilogue(const void*, const Epilogue&, Workspace*, ThreadPool*) const {
    return false;
  }
  // After Prepare. Whether RunPooled can be called: a convolution that makes its floats row by row.
  virtual bool TakesPool() const { return false; }
  // As RunEpilogue, of a max pool of what the op makes.
  virtual bool RunPooled(const void*, const FloatPool&, const Epilogue&, Workspace*,
                         ThreadPool*) const {
    return false;
  }
  // After Prepare. The max pool of floats that the op is; null for any other.
  virtual const FloatPool* float_pool() const { return nullptr; }
  // After Prepare. The average pool that the op is; null for any other.
  virtual const AveragePool* average_pool() const { return nullptr; }
  // After Prepare. Whether RunAveraged can be called: a convolution that takes its input pixel by
  // pixel.
  virtual bool TakesAverages() const { return false; }
  // As RunEpilogue, of what the pool makes of its map.
  virtual bool RunAveraged(const void*, const AveragePool&, const Epilogue&, Workspace*,
                           ThreadPool*) const {
    return false;
  }
  // After Prepare. Whether the op makes signs of floats, as an epilogue can.
  virtual bool QuantizesFloats() const { return false; }
};

// The op that a custom name stands for; null for any other name. `options` may be anything and
// is only used during the call; what is wrong with it is reported by Prepare.
std::unique_ptr<Op> MakeOp(const char* custom_name, const void* options, size_t options_size);

// ---- Checks that ops share ----

bool ExpectInputs(const std::vector<Operand>& inputs, size_t count, OpError* error);
bool ExpectType(const Operand& operand, TfLiteType type, OpError* error);
bool ExpectRank(const Operand& operand, int rank, OpError* error);
// At least one byte and at most Shape::kMaxBytes.
bool ExpectBounded(const Operand& operand, OpError* error);
// Constant data of this type and shape: present when the op is prepared, and all of it.
bool ExpectConstant(const Operand& operand, TfLiteType type, const Shape& shape,
                    OpError* error);
// As ExpectConstant, for [elements], copied because a damaged file may misalign it.
bool ReadConstant(const Operand& operand, int elements, std::vector<float>* values,
                  OpError* error);
bool ReadConstant(const Operand& operand, int elements, std::vector<int32_t>* values,
                  OpError* error);
// A convolution's filter, copied likewise: a constant of float32, or one of int8 with a scale for each
// output channel, which it is multiplied by.
bool ReadFilter(const Operand& operand, const Shape& shape, std::vector<float>* values,
                OpError* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_OP_H_
