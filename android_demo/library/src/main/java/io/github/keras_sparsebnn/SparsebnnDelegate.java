package io.github.keras_sparsebnn;

import org.tensorflow.lite.Delegate;

/**
 * Runs the binary and sub-bit convolutions of a model in TFLite's {@code Interpreter}.
 *
 * <pre>{@code
 * try (SparsebnnDelegate delegate = new SparsebnnDelegate();
 *     Interpreter interpreter =
 *         new Interpreter(model, new Interpreter.Options().addDelegate(delegate))) {
 *   interpreter.run(input, output);
 * }
 * }</pre>
 *
 * One delegate may serve several interpreters, also at the same time. Close it after them, as the
 * statement above does. Do not give it to {@code addDelegateFactory}, which closes delegates first.
 */
public final class SparsebnnDelegate implements Delegate {
  static {
    System.loadLibrary("sparsebnn_delegate");
  }

  /** What {@code sparsebnn_delegate.h} offers, but for {@code verbose}: apps have no stderr. */
  public static final class Options {
    private int numThreads;
    private String kernel = "auto";
    private String isa = "auto";
    private boolean profile;

    /**
     * Threads of each interpreter.
     *
     * @param threads 1 to 256, or 0, the default: as many as the interpreter has
     */
    public Options setNumThreads(int threads) {
      numThreads = threads;
      return this;
    }

    /**
     * What computes convolutions. A layer that it cannot compute gets another kernel.
     *
     * @param kernel "auto", the default: the fastest for each layer, by an estimate; "xnor",
     *     "codebook" or "reference"
     */
    public Options setKernel(String kernel) {
      this.kernel = kernel;
      return this;
    }

    /**
     * The instruction set to use.
     *
     * @param isa "auto", the default: the best of this device; "scalar", "neon", "avx2" or
     *     "avx512"
     */
    public Options setIsa(String isa) {
      this.isa = isa;
      return this;
    }

    /**
     * Whether to measure each node, for {@link #profileJson}.
     *
     * @param profile false by default
     */
    public Options setProfile(boolean profile) {
      this.profile = profile;
      return this;
    }
  }

  // 0 once closed.
  private long handle;

  /** With the default options. */
  public SparsebnnDelegate() {
    this(new Options());
  }

  /**
   * With options, which are copied.
   *
   * @throws IllegalArgumentException if an option is not one of those named above, or this device
   *     lacks the instruction set; the message says which
   */
  public SparsebnnDelegate(Options options) {
    handle = create(options.numThreads, options.kernel, options.isa, options.profile);
  }

  /**
   * For TFLite.
   *
   * @throws IllegalStateException if the delegate is closed
   */
  @Override
  public synchronized long getNativeHandle() {
    if (handle == 0) {
      throw new IllegalStateException("Expected a delegate that is in use, got a closed one.");
    }
    return handle;
  }

  /**
   * What runs each node of the interpreters that are alive, as JSON; with the option {@code
   * profile} also how often it ran, and for how many nanoseconds.
   *
   * <pre>{@code
   * {"version": "0.1.0", "isa": "neon", "partitions": [
   *   {"threads": 1, "arena_bytes": 0, "nodes": [
   *     {"node": 3, "op": "LceBconv2d", "input": [1, 56, 56, 2], "output": [1, 56, 56, 64],
   *      "kernel": "codebook neon", "runs": 10, "ns": 123456}]}]}
   * }</pre>
   *
   * @throws IllegalStateException if the delegate is closed
   */
  public synchronized String profileJson() {
    return profile(getNativeHandle());
  }

  /** Frees the delegate, after the interpreters that use it. Another call does nothing. */
  @Override
  public synchronized void close() {
    if (handle != 0) {
      destroy(handle);
      handle = 0;
    }
  }

  /** Version of the native library, such as "0.1.0". */
  public static native String version();

  // Never 0; throws IllegalArgumentException.
  private static native long create(int numThreads, String kernel, String isa, boolean profile);

  private static native String profile(long handle);

  private static native void destroy(long handle);
}
