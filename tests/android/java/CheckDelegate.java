import io.github.keras_sparsebnn.SparsebnnDelegate;
import java.io.File;
import org.tensorflow.lite.Interpreter;

/** What SparsebnnDelegate promises beside results. Argument: a model. */
public final class CheckDelegate {
  public static void main(String[] arguments) throws Exception {
    System.out.println(SparsebnnDelegate.version());
    refused(options().setKernel("fast"));
    refused(options().setKernel(null));
    refused(options().setIsa("neon"));
    refused(options().setNumThreads(257));
    refused(options().setNumThreads(-1));

    SparsebnnDelegate delegate = new SparsebnnDelegate(options().setIsa("scalar"));
    File model = new File(arguments[0]);
    try (Interpreter first = interpreter(model, delegate);
        Interpreter second = interpreter(model, delegate)) {
      System.out.println(delegate.profileJson());
      System.out.println(first.getInputTensorCount() + second.getInputTensorCount());
    }
    System.out.println(delegate.profileJson());
    delegate.close();
    delegate.close();
    closed(delegate::profileJson);
    closed(delegate::getNativeHandle);
  }

  private static SparsebnnDelegate.Options options() {
    return new SparsebnnDelegate.Options();
  }

  private static Interpreter interpreter(File model, SparsebnnDelegate delegate) {
    return new Interpreter(model, new Interpreter.Options().addDelegate(delegate));
  }

  private static void refused(SparsebnnDelegate.Options options) {
    try {
      new SparsebnnDelegate(options).close();
    } catch (IllegalArgumentException error) {
      System.out.println(error.getMessage());
      return;
    }
    throw new AssertionError("a wrong option was accepted");
  }

  private static void closed(Runnable use) {
    try {
      use.run();
    } catch (IllegalStateException error) {
      System.out.println(error.getMessage());
      return;
    }
    throw new AssertionError("a closed delegate was used");
  }
}
