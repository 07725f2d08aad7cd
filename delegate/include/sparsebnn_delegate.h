/* libsparsebnn_delegate: binary and sub-bit convolutions for any TFLite or LiteRT runtime.
 *
 * The library is an external delegate: whatever loads one by its path needs nothing of this
 * header. Programs that link to it create the delegate themselves:
 *
 *   sparsebnn_delegate_options options = sparsebnn_delegate_options_default();
 *   options.num_threads = 2;
 *   TfLiteDelegate* delegate = sparsebnn_delegate_create(&options);
 *   TfLiteInterpreterOptionsAddDelegate(interpreter_options, delegate);
 *   ...
 *   TfLiteInterpreterDelete(interpreter);
 *   sparsebnn_delegate_destroy(delegate);
 *
 * The same options as strings, for runtimes that load by path: num_threads=1..256,
 * kernel=auto|xnor|codebook|reference, isa=auto|scalar|avx2|avx512|neon, profile=0|1,
 * verbose=0|1, glue=0|1, stem=0|1. The environment variable SPARSEBNN_ISA says what isa=auto is.
 */
#ifndef SPARSEBNN_DELEGATE_H_
#define SPARSEBNN_DELEGATE_H_

#include <stddef.h>

#if defined(_WIN32) && defined(SPARSEBNN_BUILDING)
#define SPARSEBNN_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define SPARSEBNN_EXPORT __attribute__((visibility("default")))
#else
#define SPARSEBNN_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct TfLiteDelegate;

typedef struct sparsebnn_delegate_options {
  /* Threads of each interpreter; 0: as many as the interpreter recommends. */
  int num_threads;
  /* "auto", "xnor", "codebook" or "reference". Layers that a kernel cannot do get another. */
  const char* kernel;
  /* "auto", "scalar", "avx2", "avx512" or "neon". */
  const char* isa;
  /* Not 0: measure each node. */
  int profile;
  /* Not 0: write to stderr what runs which node. */
  int verbose;
} sparsebnn_delegate_options;

/* The structure stays as it is; `glue`, whether float elementwise ops beside binary ones are
 * run too, and `stem`, whether float convolutions are (of few channels, and with `glue` of 1x1; 1, the
 * default), are set by name: tflite_plugin_create_delegate below. */

/* All automatic, no profile, quiet. */
SPARSEBNN_EXPORT sparsebnn_delegate_options sparsebnn_delegate_options_default(void);

/* A delegate, which must outlive the interpreters that use it; it may serve several, also at
 * the same time. NULL, with a line on stderr, if an option is wrong. NULL options: default. */
SPARSEBNN_EXPORT struct TfLiteDelegate* sparsebnn_delegate_create(
    const sparsebnn_delegate_options* options);

SPARSEBNN_EXPORT void sparsebnn_delegate_destroy(struct TfLiteDelegate* delegate);

/* "0.1.0" */
SPARSEBNN_EXPORT const char* sparsebnn_delegate_version(void);

/* What runs each node of the interpreters that are alive, as JSON; with the option `profile`
 * also how often it ran and for how many nanoseconds. The text belongs to the delegate and
 * lives until the next call. NULL for NULL.
 *
 *   {"version": "0.1.0", "isa": "avx2", "partitions": [
 *     {"threads": 1, "arena_bytes": 0, "nodes": [
 *       {"node": 3, "op": "LceBconv2d", "input": [1, 56, 56, 2], "output": [1, 56, 56, 64],
 *        "kernel": "codebook avx2", "runs": 10, "ns": 123456}]}]}
 */
SPARSEBNN_EXPORT const char* sparsebnn_delegate_profile_json(struct TfLiteDelegate* delegate);

/* What runtimes look for. Unknown options and values are reported and give NULL. */
SPARSEBNN_EXPORT struct TfLiteDelegate* tflite_plugin_create_delegate(
    char** keys, char** values, size_t count, void (*report_error)(const char*));
SPARSEBNN_EXPORT void tflite_plugin_destroy_delegate(struct TfLiteDelegate* delegate);

#ifdef __cplusplus
}
#endif

#endif /* SPARSEBNN_DELEGATE_H_ */
