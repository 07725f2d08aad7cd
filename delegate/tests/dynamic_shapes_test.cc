// Shapes that the runtime tells in Invoke only: a partition plans for them then, and keeps the plan for
// as long as they stay the same.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "sparsebnn_delegate.h"
#include "testing/bconv2d_node.h"
#include "testing/expect.h"
#include "testing/fake_runtime.h"
#include "testing/flexbuffer_writer.h"

namespace sparsebnn {
namespace {

// A convolution of 1x1 with one channel of output, whose filter is all +1: y = (32 - 2 popcount(x)) m.
class Model {
 public:
  Model() {
    Geometry g;
    g.channels_out = g.filter_height = g.filter_width = 1;
    x_ = runtime_.AddTensor(kTfLiteInt32, {1, 1, 1, 1});
    y_ = runtime_.AddTensor(kTfLiteFloat32, {1, 1, 1, 1});
    multiplier_ = runtime_.AddConstant(kTfLiteFloat32, {1}, BytesOf<float>({1}));
    const int filter = runtime_.AddConstant(kTfLiteInt32, {1, 1, 1, 1}, BytesOf<int>({0}));
    const int bias = runtime_.AddConstant(kTfLiteFloat32, {1}, BytesOf<float>({0}));
    runtime_.AddNode("LceBconv2d", {x_, filter, multiplier_, bias, -1}, {y_},
                     WriteFlexBufferMap(Bconv2dOptionsOf(g, 32, /*padding=*/1, 0, 0)));
    runtime_.tensor(x_)->allocation_type = kTfLiteDynamic;
    delegate_ = sparsebnn_delegate_create(nullptr);
    EXPECT(runtime_.ApplyDelegate(delegate_, {x_}, {y_}));
    EXPECT(runtime_.AllocateTensors());
  }
  ~Model() {
    runtime_.FreePartition();
    sparsebnn_delegate_destroy(delegate_);
  }

  // As an op before the partition would in every run.
  void MakeInput(const std::vector<int>& shape, const std::vector<uint32_t>& words) {
    runtime_.SetDims(x_, shape);
    TfLiteTensor* x = runtime_.tensor(x_);
    std::free(x->data);
    x->bytes = words.size() * sizeof(uint32_t);
    x->data = std::malloc(x->bytes);
    std::memcpy(x->data, words.data(), x->bytes);
  }

  bool Invoke() { return runtime_.Invoke(); }

  void ExpectOutput(const std::vector<int>& shape, const std::vector<uint32_t>& words,
                    float multiplier) {
    const TfLiteTensor* y = runtime_.tensor(y_);
    EXPECT(y->dims->size == 4 && std::equal(shape.begin(), shape.end(), y->dims->data));
    EXPECT(y->bytes == words.size() * sizeof(float));
    for (size_t i = 0; i < words.size(); ++i) {
      const float expected =
          static_cast<float>(32 - 2 * __builtin_popcount(words[i])) * multiplier;
      EXPECT(static_cast<const float*>(y->data)[i] == expected);
    }
  }

  void SetMultiplier(float value) {
    std::memcpy(runtime_.tensor(multiplier_)->data, &value, sizeof value);
  }

  const std::string& errors() const { return runtime_.errors(); }

 private:
  FakeRuntime runtime_;
  int x_ = 0, y_ = 0, multiplier_ = 0;
  ::TfLiteDelegate* delegate_ = nullptr;
};

void EveryShapeGetsItsOwnOutput() {
  Model model;
  std::mt19937 random(1);
  for (int run = 0; run < 200; ++run) {
    const std::vector<int> shape = {static_cast<int>(random() % 2) + 1,
                                    static_cast<int>(random() % 3) + 1,
                                    static_cast<int>(random() % 3) + 1, 1};
    std::vector<uint32_t> words(static_cast<size_t>(shape[0] * shape[1] * shape[2]));
    for (uint32_t& word : words) word = static_cast<uint32_t>(random());
    model.MakeInput(shape, words);
    EXPECT(model.Invoke());
    model.ExpectOutput(shape, words, 1);
  }
}

// Seen by when the constants are read, which a runtime never changes.
void APlanIsKeptForTheSameShapes() {
  Model model;
  const std::vector<uint32_t> two = {7, 1}, three = {1, 2, 3};
  model.MakeInput({1, 1, 2, 1}, two);
  EXPECT(model.Invoke());
  model.SetMultiplier(3);
  model.MakeInput({1, 1, 2, 1}, two);
  EXPECT(model.Invoke());
  model.ExpectOutput({1, 1, 2, 1}, two, 1);
  model.MakeInput({1, 3, 1, 1}, three);
  EXPECT(model.Invoke());
  model.ExpectOutput({1, 3, 1, 1}, three, 3);
}

void AShapeThatFailsIsForgotten() {
  Model model;
  const std::vector<uint32_t> words = {7, 1};
  for (const std::vector<int>& wrong : {std::vector<int>{2}, {1, 1, 0, 1}, {1, 1, 1, 2}}) {
    model.MakeInput({1, 1, 2, 1}, words);
    EXPECT(model.Invoke());
    model.MakeInput(wrong, words);
    EXPECT(!model.Invoke());
    EXPECT(!model.Invoke());
    model.MakeInput({1, 1, 2, 1}, words);
    EXPECT(model.Invoke());
    model.ExpectOutput({1, 1, 2, 1}, words, 1);
  }
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  EveryShapeGetsItsOwnOutput();
  APlanIsKeptForTheSameShapes();
  AShapeThatFailsIsForgotten();
  return Outcome();
}
