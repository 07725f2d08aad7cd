import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Set;
import org.codehaus.mojo.animal_sniffer.SignatureChecker;
import org.codehaus.mojo.animal_sniffer.logging.PrintWriterLogger;

/** Prints every use, in the classes of a folder, of what a signature file does not have. */
public final class CheckApiLevel {
  private CheckApiLevel() {}

  public static void main(String[] arguments) throws IOException {
    try (InputStream signatures = new FileInputStream(arguments[0])) {
      Set<String> ignored = Set.of("org.tensorflow.lite.*", "io.github.keras_sparsebnn.*");
      SignatureChecker checker =
          new SignatureChecker(signatures, ignored, new PrintWriterLogger(System.out));
      checker.setSourcePath(List.of());
      checker.process(new File(arguments[1]));
    }
  }
}
