// The native methods of android_demo/library's SparsebnnDelegate.java.
#include <jni.h>

#include <string>

#include "sparsebnn_delegate.h"
#include "tflite/delegate.h"

#define SPARSEBNN_METHOD(type, name) \
  extern "C" JNIEXPORT type JNICALL Java_io_github_keras_1sparsebnn_SparsebnnDelegate_##name

namespace {

TfLiteDelegate* Unwrap(jlong handle) { return reinterpret_cast<TfLiteDelegate*>(handle); }

// A Java string as C's; a null pointer if that is what Java gave, or if memory is short, and then
// an OutOfMemoryError is on its way.
class JavaText {
 public:
  JavaText(JNIEnv* env, jstring text) : env_(env), text_(text) {
    if (text != nullptr) chars_ = env->GetStringUTFChars(text, nullptr);
  }
  JavaText(const JavaText&) = delete;
  JavaText& operator=(const JavaText&) = delete;
  ~JavaText() {
    if (chars_ != nullptr) env_->ReleaseStringUTFChars(text_, chars_);
  }
  const char* get() const { return chars_; }

 private:
  JNIEnv* env_;
  jstring text_;
  const char* chars_ = nullptr;
};

}  // namespace

SPARSEBNN_METHOD(jstring, version)(JNIEnv* env, jclass) {
  return env->NewStringUTF(sparsebnn_delegate_version());
}

SPARSEBNN_METHOD(jlong, create)
(JNIEnv* env, jclass, jint num_threads, jstring kernel, jstring isa, jboolean profile) {
  const JavaText kernel_text(env, kernel);
  const JavaText isa_text(env, isa);
  if (env->ExceptionCheck()) return 0;
  sparsebnn_delegate_options options = sparsebnn_delegate_options_default();
  options.num_threads = num_threads;
  options.kernel = kernel_text.get();
  options.isa = isa_text.get();
  options.profile = profile;
  std::string error;
  TfLiteDelegate* delegate = sparsebnn::CreateDelegate(options, &error);
  if (delegate == nullptr) {
    const jclass thrown = env->FindClass("java/lang/IllegalArgumentException");
    if (thrown != nullptr) env->ThrowNew(thrown, (error + ".").c_str());
  }
  return reinterpret_cast<jlong>(delegate);
}

SPARSEBNN_METHOD(jstring, profile)(JNIEnv* env, jclass, jlong handle) {
  return env->NewStringUTF(sparsebnn_delegate_profile_json(Unwrap(handle)));
}

SPARSEBNN_METHOD(void, destroy)(JNIEnv*, jclass, jlong handle) {
  sparsebnn_delegate_destroy(Unwrap(handle));
}
