import io.github.keras_sparsebnn.SparsebnnDelegate;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import org.tensorflow.lite.Interpreter;

/**
 * Runs models in TFLite for Android with the delegate, and prints its profile, a line a model.
 *
 * <p>Five arguments each: model, file of input samples, file for outputs, kernel, threads.
 */
public final class RunModels {
  public static void main(String[] arguments) throws IOException {
    for (int i = 0; i < arguments.length; i += 5) {
      Path output = Paths.get(arguments[i + 2]);
      SparsebnnDelegate.Options options =
          new SparsebnnDelegate.Options()
              .setKernel(arguments[i + 3])
              .setNumThreads(Integer.parseInt(arguments[i + 4]))
              .setProfile(true);
      run(new File(arguments[i]), Files.readAllBytes(Paths.get(arguments[i + 1])), output, options);
    }
  }

  private static void run(
      File model, byte[] inputs, Path output, SparsebnnDelegate.Options options)
      throws IOException {
    try (SparsebnnDelegate delegate = new SparsebnnDelegate(options);
        Interpreter interpreter =
            new Interpreter(model, new Interpreter.Options().addDelegate(delegate))) {
      ByteBuffer sample = direct(interpreter.getInputTensor(0).numBytes());
      ByteBuffer result = direct(interpreter.getOutputTensor(0).numBytes());
      int count = inputs.length / sample.capacity();
      byte[] results = new byte[count * result.capacity()];
      for (int i = 0; i < count; ++i) {
        sample.clear();
        sample.put(inputs, i * sample.capacity(), sample.capacity()).rewind();
        result.clear();
        interpreter.run(sample, result);
        result.rewind();
        result.get(results, i * result.capacity(), result.capacity());
      }
      Files.write(output, results);
      System.out.println(delegate.profileJson());
    }
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }
}
