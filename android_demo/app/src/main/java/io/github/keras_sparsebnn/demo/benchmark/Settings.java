package io.github.keras_sparsebnn.demo.benchmark;

import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import java.util.List;

/**
 * What a benchmark is to measure.
 *
 * @param models names of models, measured in turns
 * @param threads of one inference
 * @param kernel the delegate's: one of {@link #KERNELS}
 * @param warmup inferences of each model before the timed ones
 * @param runs timed inferences of each model
 */
public record Settings(List<String> models, int threads, String kernel, int warmup, int runs) {
  /** What the delegate accepts. */
  public static final List<String> KERNELS = List.of("auto", "xnor", "codebook", "reference");

  public static final int MAX_RUNS = 1_000_000;
  public static final int MAX_THREADS = 256;

  /**
   * Checks what was typed.
   *
   * @throws UserError a number is missing or out of range, or no model is chosen
   */
  public static Settings of(
      List<String> models, int threads, String kernel, String warmup, String runs)
      throws UserError {
    if (models.isEmpty()) throw new UserError(R.string.error_no_model);
    return new Settings(
        List.copyOf(models),
        threads,
        kernel,
        number(warmup, MAX_RUNS, R.string.error_warmup),
        number(runs, MAX_RUNS, R.string.error_runs));
  }

  /**
   * A number of threads.
   *
   * @throws UserError it is not a number, or out of range
   */
  public static int threads(String text) throws UserError {
    return number(text, MAX_THREADS, R.string.error_threads);
  }

  /**
   * A kernel by its name.
   *
   * @throws UserError there is no kernel of that name
   */
  public static String kernel(String text) throws UserError {
    if (KERNELS.contains(text)) return text;
    throw new UserError(R.string.error_kernel, String.join(", ", KERNELS), text);
  }

  private static int number(String text, int most, int message) throws UserError {
    try {
      int number = Integer.parseInt(text.trim());
      if (number >= 1 && number <= most) return number;
    } catch (NumberFormatException error) {
      // Said below.
    }
    throw new UserError(message, most);
  }
}
