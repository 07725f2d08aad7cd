// Classifies images in C++, with TFLite's C library and the delegate.
//
//   c++ -std=c++17 -O2 examples/deploy.cc -o deploy -I delegate/include -I TFLITE_HEADERS
//     -L TFLITE -ltensorflowlite_c -L keras_sparsebnn/runtime -lsparsebnn_delegate
//   ./deploy model.tflite cat.ppm
//
// Images are binary .pgm and .ppm files of the model's size. Their bytes become [-1, 1], as this
// package trains. deploy.py does the same, for more kinds of files.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "sparsebnn_delegate.h"
#include "tensorflow/lite/c/c_api.h"

namespace {

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "deploy: %s\n", message.c_str());
  std::exit(2);
}

struct Image {
  int height = 0, width = 0, channels = 0;
  std::vector<uint8_t> bytes;  // [height, width, channels]
};

// "P5" or "P6", width, height, 255, one space, then the bytes.
Image ReadNetpbm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Fail("Expected a file that can be read, got " + path + ".");
  std::string kind;
  int largest = 0;
  Image image;
  file >> kind >> image.width >> image.height >> largest;
  const bool valid = (kind == "P5" || kind == "P6") && largest == 255 && image.width > 0 &&
                     image.width < 65536 && image.height > 0 && image.height < 65536;
  if (!valid)
    Fail("Expected a binary PGM or PPM of 8 bits, got something else (" + path + ").");
  image.channels = kind == "P5" ? 1 : 3;
  image.bytes.resize(size_t{1} * image.width * image.height * image.channels);
  file.get();
  file.read(reinterpret_cast<char*>(image.bytes.data()), image.bytes.size());
  if (!file) Fail("Expected all pixels, got fewer bytes (" + path + ").");
  return image;
}

std::string ShapeOf(const TfLiteTensor* tensor) {
  std::string text;
  for (int i = 0; i < TfLiteTensorNumDims(tensor); ++i) {
    text += (i == 0 ? "" : "x") + std::to_string(TfLiteTensorDim(tensor, i));
  }
  return text;
}

void SetInput(const Image& image, const std::string& path, TfLiteTensor* tensor) {
  const std::string shape = "1x" + std::to_string(image.height) + "x" +
                            std::to_string(image.width) + "x" + std::to_string(image.channels);
  if (ShapeOf(tensor) != shape) {
    Fail("Expected an image of " + ShapeOf(tensor) + ", got " + shape + " (" + path + ").");
  }
  if (TfLiteTensorType(tensor) != kTfLiteFloat32) Fail("Expected a model that takes float32.");
  float* input = static_cast<float*>(TfLiteTensorData(tensor));
  for (const uint8_t byte : image.bytes) *input++ = byte / 127.5f - 1;
}

int BestClass(const TfLiteTensor* tensor) {
  if (TfLiteTensorType(tensor) != kTfLiteFloat32) Fail("Expected a model that gives float32.");
  const float* scores = static_cast<const float*>(TfLiteTensorData(tensor));
  const size_t count = TfLiteTensorByteSize(tensor) / sizeof(float);
  return static_cast<int>(std::max_element(scores, scores + count) - scores);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) Fail("Expected: deploy MODEL IMAGE...");
  const std::unique_ptr<TfLiteModel, void (*)(TfLiteModel*)> model(
      TfLiteModelCreateFromFile(arguments[1]), TfLiteModelDelete);
  if (model == nullptr) Fail(std::string("Expected a .tflite file, got ") + arguments[1] + ".");

  // Before the interpreter, so that it is destroyed after it.
  const sparsebnn_delegate_options delegate_options = sparsebnn_delegate_options_default();
  const std::unique_ptr<TfLiteDelegate, void (*)(TfLiteDelegate*)> delegate(
      sparsebnn_delegate_create(&delegate_options), sparsebnn_delegate_destroy);
  if (delegate == nullptr) return 2;  // it has said why

  const std::unique_ptr<TfLiteInterpreterOptions, void (*)(TfLiteInterpreterOptions*)> options(
      TfLiteInterpreterOptionsCreate(), TfLiteInterpreterOptionsDelete);
  TfLiteInterpreterOptionsSetNumThreads(options.get(), 1);
  TfLiteInterpreterOptionsAddDelegate(options.get(), delegate.get());
  const std::unique_ptr<TfLiteInterpreter, void (*)(TfLiteInterpreter*)> interpreter(
      TfLiteInterpreterCreate(model.get(), options.get()), TfLiteInterpreterDelete);
  if (interpreter == nullptr ||
      TfLiteInterpreterAllocateTensors(interpreter.get()) != kTfLiteOk) {
    return 2;  // TFLite has said why
  }
  std::fprintf(stderr, "%s\n", sparsebnn_delegate_profile_json(delegate.get()));

  for (int i = 2; i < count; ++i) {
    const std::string path = arguments[i];
    SetInput(ReadNetpbm(path), path, TfLiteInterpreterGetInputTensor(interpreter.get(), 0));
    const auto start = std::chrono::steady_clock::now();
    if (TfLiteInterpreterInvoke(interpreter.get()) != kTfLiteOk) return 2;
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - start;
    const int best = BestClass(TfLiteInterpreterGetOutputTensor(interpreter.get(), 0));
    std::printf("%s: %d (%.2f ms)\n", path.c_str(), best, taken.count());
  }
  return 0;
}
