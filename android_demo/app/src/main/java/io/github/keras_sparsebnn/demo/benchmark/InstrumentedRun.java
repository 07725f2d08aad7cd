package io.github.keras_sparsebnn.demo.benchmark;

import android.content.Context;
import android.os.Bundle;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.file.BadFile;
import io.github.keras_sparsebnn.demo.models.Model;
import io.github.keras_sparsebnn.demo.models.ModelStore;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.function.Consumer;

/** One model, measured as text arguments say: what {@link BenchmarkInstrumentation} does. */
public final class InstrumentedRun {
  /** Of the result: the report as JSON in one line. */
  public static final String REPORT = "report";

  /** Of the result: what went wrong, in one line. */
  public static final String ERROR = "error";

  private static final long TOLD_NANOS = 500_000_000L;

  private InstrumentedRun() {}

  /**
   * Measures the file that the argument {@code model} names.
   *
   * @param arguments texts: model, threads, kernel, warmup, runs; all but the first have defaults
   * @param status hears {@code done} and {@code total} now and then, on this thread
   * @return {@link #REPORT} or {@link #ERROR}
   */
  public static Bundle run(Context context, Bundle arguments, Consumer<Bundle> status) {
    Bundle result = new Bundle();
    String path = arguments.getString("model", "");
    try {
      Settings settings = settings(path, arguments);
      Model model = ModelStore.open(new File(path));
      Report report = new Benchmark(context, settings, new Progress(status)).run(List.of(model));
      if (report.failures().isEmpty()) {
        result.putString(REPORT, ReportJson.writeLine(report));
      } else {
        result.putString(ERROR, report.failures().get(0).reason());
      }
    } catch (BadFile | IOException error) {
      String line =
          context.getString(R.string.error_not_a_model, path, UserError.reason(error));
      result.putString(ERROR, line);
    } catch (UserError | OutOfMemoryError error) {
      result.putString(ERROR, UserError.line(context, error));
    }
    return result;
  }

  private static Settings settings(String path, Bundle arguments) throws UserError {
    return Settings.of(
        List.of(new File(path).getName()),
        Settings.threads(arguments.getString("threads", "1")),
        Settings.kernel(arguments.getString("kernel", Settings.KERNELS.get(0))),
        arguments.getString("warmup", "10"),
        arguments.getString("runs", "50"));
  }

  private static final class Progress implements Benchmark.Listener {
    private final Consumer<Bundle> status;
    private long told;

    Progress(Consumer<Bundle> status) {
      this.status = status;
    }

    @Override
    public boolean progress(long done, long total, String model) {
      long now = System.nanoTime();
      if (done == total || now - told >= TOLD_NANOS) {
        told = now;
        Bundle progress = new Bundle();
        progress.putString("done", Long.toString(done));
        progress.putString("total", Long.toString(total));
        status.accept(progress);
      }
      return true;
    }

    @Override
    public void soFar(Report report) {}
  }
}
