package io.github.keras_sparsebnn.demo.run;

import io.github.keras_sparsebnn.SparsebnnDelegate;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.models.Model;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;

/**
 * A model that is ready to run: TFLite's interpreter, with the delegate if the model has binary
 * operators. Not thread-safe.
 */
public final class Network implements AutoCloseable {
  /**
   * How to run a model.
   *
   * @param threads of one inference
   * @param kernel the delegate's: auto, xnor, codebook or reference
   * @param profile whether the delegate takes the time of every node
   */
  public record Options(int threads, String kernel, boolean profile) {
    public static final Options DEFAULT = new Options(1, "auto", false);
  }

  /** What TFLite's package is called, as `runtime` in the JSON of a benchmark. */
  public static final String RUNTIME = "tensorflow-lite";

  private final Model model;
  private final Interpreter interpreter;
  private final SparsebnnDelegate delegate;
  private final ByteBuffer[] inputs;
  private final Map<Integer, Object> outputs = new HashMap<>();
  private final long initNanos;

  /**
   * Loads a model.
   *
   * @throws UserError TFLite or the delegate refuses it or is missing, or there is no memory
   */
  public Network(Model model, Options options) throws UserError {
    this.model = model;
    long start = System.nanoTime();
    SparsebnnDelegate made = null;
    Interpreter opened = null;
    try {
      Interpreter.Options settings = new Interpreter.Options().setNumThreads(options.threads());
      if (model.facts().kind().binary()) {
        made = delegate(options);
        settings.addDelegate(made);
      }
      opened = new Interpreter(model.file(), settings);
      opened.allocateTensors();
      inputs = new ByteBuffer[opened.getInputTensorCount()];
      for (int i = 0; i < inputs.length; ++i) inputs[i] = buffer(opened.getInputTensor(i));
      for (int i = 0; i < opened.getOutputTensorCount(); ++i) {
        outputs.put(i, buffer(opened.getOutputTensor(i)));
      }
    } catch (RuntimeException | OutOfMemoryError | LinkageError error) {
      if (opened != null) opened.close();
      if (made != null) made.close();
      if (error instanceof OutOfMemoryError) throw new UserError(error, R.string.error_memory);
      throw new UserError(error, R.string.error_load, model.name(), UserError.reason(error));
    }
    interpreter = opened;
    delegate = made;
    initNanos = System.nanoTime() - start;
  }

  private static SparsebnnDelegate delegate(Options options) {
    return new SparsebnnDelegate(
        new SparsebnnDelegate.Options()
            .setNumThreads(options.threads())
            .setKernel(options.kernel())
            .setProfile(options.profile()));
  }

  private static ByteBuffer buffer(Tensor tensor) {
    return ByteBuffer.allocateDirect(tensor.numBytes()).order(ByteOrder.nativeOrder());
  }

  /** Runs once, from {@link #input} to {@link #output}. */
  public void run() throws UserError {
    try {
      for (ByteBuffer input : inputs) input.rewind();
      for (Object output : outputs.values()) ((ByteBuffer) output).rewind();
      interpreter.runForMultipleInputsOutputs(inputs, outputs);
    } catch (RuntimeException | OutOfMemoryError error) {
      if (error instanceof OutOfMemoryError) throw new UserError(error, R.string.error_memory);
      throw new UserError(error, R.string.error_run, model.name(), UserError.reason(error));
    }
  }

  /** How long the last run took, without copies from and to Java. */
  public long nanos() {
    return interpreter.getLastNativeInferenceDurationNanoseconds();
  }

  /** How long it took to load the model. */
  public long initNanos() {
    return initNanos;
  }

  public int inputCount() {
    return inputs.length;
  }

  public int outputCount() {
    return outputs.size();
  }

  /** Type, shape and quantization of an input. */
  public Tensor inputTensor(int index) {
    return interpreter.getInputTensor(index);
  }

  public Tensor outputTensor(int index) {
    return interpreter.getOutputTensor(index);
  }

  /** An input's values, in the byte order of the machine. */
  public ByteBuffer input(int index) {
    return inputs[index];
  }

  public ByteBuffer output(int index) {
    return (ByteBuffer) outputs.get(index);
  }

  /** "delegate on tensorflow-lite", or without the delegate if it has nothing to do. */
  public String runtime() {
    return delegate == null ? RUNTIME : "delegate on " + RUNTIME;
  }

  /** The nodes that the delegate runs; none without the delegate. */
  public List<NodeProfile> nodes() {
    return delegate == null ? List.of() : NodeProfile.read(delegate.profileJson());
  }

  /** The interpreter first: it uses the delegate until it is gone. */
  @Override
  public void close() {
    interpreter.close();
    if (delegate != null) delegate.close();
  }
}
