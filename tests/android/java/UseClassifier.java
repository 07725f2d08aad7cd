import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Paths;

/** Uses the class of docs/android.md. Arguments: model, file of one input, file for the output. */
public final class UseClassifier {
  public static void main(String[] arguments) throws IOException {
    byte[] input = Files.readAllBytes(Paths.get(arguments[1]));
    ByteBuffer image = ByteBuffer.allocateDirect(input.length).order(ByteOrder.nativeOrder());
    image.put(input).rewind();
    ByteBuffer scores = ByteBuffer.allocateDirect(input.length).order(ByteOrder.nativeOrder());
    try (Classifier classifier = new Classifier(new File(arguments[0]))) {
      classifier.classify(image, scores);
    }
    byte[] output = new byte[input.length];
    scores.rewind();
    scores.get(output);
    Files.write(Paths.get(arguments[2]), output);
  }
}
