package io.github.keras_sparsebnn.demo.run;

import android.graphics.Bitmap;
import android.graphics.Color;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.models.Model;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Tensor;

/** Classifies images with a model that takes one image and gives one score for each class. */
public final class ImageClassifier implements AutoCloseable {
  /**
   * A class and its score.
   *
   * @param index of the class
   * @param label its name, or its number where the model has no labels
   * @param score a probability, in [0, 1]
   */
  public record Score(int index, String label, float score) {}

  /**
   * What an image was found to be.
   *
   * @param scores of the best classes, best first
   * @param milliseconds of the inference alone
   * @param nodes that the delegate ran
   */
  public record Result(List<Score> scores, double milliseconds, List<NodeProfile> nodes) {}

  private final Model model;
  private final Network network;
  private final int height, width, channels;
  private final int[] pixels;
  private final List<NodeProfile> nodes;

  /**
   * Loads a model.
   *
   * @throws UserError it is no classifier of images, or does not run
   */
  public ImageClassifier(Model model, Network.Options options) throws UserError {
    this.model = model;
    network = new Network(model, options);
    try {
      if (network.inputCount() != 1 || network.outputCount() != 1) throw wrong();
      int[] in = network.inputTensor(0).shape();
      int[] out = network.outputTensor(0).shape();
      if (in.length != 4 || in[0] != 1 || (in[3] != 1 && in[3] != 3)) throw wrong();
      if (out.length != 2 || out[0] != 1 || out[1] < 1) throw wrong();
      if (!supported(network.inputTensor(0)) || !supported(network.outputTensor(0))) throw wrong();
      height = in[1];
      width = in[2];
      channels = in[3];
      pixels = new int[height * width];
      nodes = network.nodes();
    } catch (UserError | RuntimeException | OutOfMemoryError error) {
      network.close();
      throw error;
    }
  }

  private UserError wrong() {
    return new UserError(
        R.string.error_not_a_classifier,
        model.name(),
        model.facts().inputs().size(),
        model.facts().inputs().isEmpty() ? "" : model.facts().inputs().get(0).toString());
  }

  private static boolean supported(Tensor tensor) {
    DataType type = tensor.dataType();
    return type == DataType.FLOAT32 || type == DataType.INT8 || type == DataType.UINT8;
  }

  /** Whether it takes grey images. */
  public boolean grey() {
    return channels == 1;
  }

  /**
   * Classifies an image.
   *
   * @param image of any size: its largest square in the middle is scaled to the model's input
   * @param invert whether dark and light change places
   * @param count how many classes at most
   */
  public Result classify(Bitmap image, boolean invert, int count) throws UserError {
    fill(image, invert);
    network.run();
    float[] scores = probabilities(scores());
    return new Result(best(scores, count), network.nanos() / 1e6, nodes);
  }

  private void fill(Bitmap image, boolean invert) {
    Bitmap scaled = Images.square(image, width, height);
    scaled.getPixels(pixels, 0, width, 0, 0, width, height);
    if (scaled != image) scaled.recycle();
    Tensor tensor = network.inputTensor(0);
    ByteBuffer input = network.input(0);
    input.rewind();
    float step = (model.high() - model.low()) / 255;
    for (int pixel : pixels) {
      int color = invert ? ~pixel : pixel;
      if (channels == 1) {
        put(input, tensor, model.low() + step * Images.luma(color));
      } else {
        put(input, tensor, model.low() + step * Color.red(color));
        put(input, tensor, model.low() + step * Color.green(color));
        put(input, tensor, model.low() + step * Color.blue(color));
      }
    }
  }

  private static void put(ByteBuffer input, Tensor tensor, float value) {
    if (tensor.dataType() == DataType.FLOAT32) {
      input.putFloat(value);
      return;
    }
    Tensor.QuantizationParams to = tensor.quantizationParams();
    int lowest = tensor.dataType() == DataType.INT8 ? -128 : 0;
    int rounded = (int) Math.rint(value / to.getScale() + to.getZeroPoint());
    input.put((byte) Math.max(lowest, Math.min(lowest + 255, rounded)));
  }

  private float[] scores() {
    Tensor tensor = network.outputTensor(0);
    ByteBuffer output = network.output(0);
    output.rewind();
    float[] scores = new float[tensor.numElements()];
    Tensor.QuantizationParams from = tensor.quantizationParams();
    for (int i = 0; i < scores.length; ++i) {
      scores[i] =
          switch (tensor.dataType()) {
            case FLOAT32 -> output.getFloat();
            case INT8 -> (output.get() - from.getZeroPoint()) * from.getScale();
            default -> ((output.get() & 0xFF) - from.getZeroPoint()) * from.getScale();
          };
    }
    return scores;
  }

  /** Probabilities as they are; of logits their softmax. */
  static float[] probabilities(float[] scores) {
    double sum = 0;
    float highest = Float.NEGATIVE_INFINITY;
    boolean probabilities = true;
    for (float score : scores) {
      sum += score;
      highest = Math.max(highest, score);
      probabilities &= score >= 0 && score <= 1;
    }
    // Quantized probabilities are off by at most half a step of 1/256 each.
    if (probabilities && Math.abs(sum - 1) <= 1e-3 + scores.length / 512.0) return scores;
    double total = 0;
    for (float score : scores) total += Math.exp(score - highest);
    float[] result = new float[scores.length];
    for (int i = 0; i < scores.length; ++i) {
      result[i] = (float) (Math.exp(scores[i] - highest) / total);
    }
    return result;
  }

  private List<Score> best(float[] scores, int count) {
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < scores.length; ++i) order.add(i);
    order.sort((a, b) -> Float.compare(scores[b], scores[a]));
    List<String> labels = model.facts().labels();
    List<Score> best = new ArrayList<>();
    for (int i : order.subList(0, Math.min(count, order.size()))) {
      String label = i < labels.size() ? labels.get(i) : String.valueOf(i);
      best.add(new Score(i, label, scores[i]));
    }
    return best;
  }

  @Override
  public void close() {
    network.close();
  }
}
