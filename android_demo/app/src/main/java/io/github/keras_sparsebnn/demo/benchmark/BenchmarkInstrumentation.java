package io.github.keras_sparsebnn.demo.benchmark;

import android.app.Activity;
import android.app.Instrumentation;
import android.content.Intent;
import android.os.Bundle;
import io.github.keras_sparsebnn.demo.ui.MainActivity;

/**
 * The benchmark for {@code sparsebnn benchmark --device adb}, in the app's process.
 *
 * <pre>am instrument -w -r -e model FILE [-e threads N] [-e kernel K] [-e warmup N] [-e runs N]
 * io.github.keras_sparsebnn.demo/.benchmark.BenchmarkInstrumentation</pre>
 *
 * prints {@code done} and {@code total} as it goes, and in the end {@code report}, JSON in one
 * line, or {@code error}, one line. See {@link InstrumentedRun}.
 */
public final class BenchmarkInstrumentation extends Instrumentation {
  private static final int PROGRESS = 1;

  private Bundle arguments;

  @Override
  public void onCreate(Bundle given) {
    super.onCreate(given);
    arguments = given == null ? new Bundle() : given;
    start();
  }

  @Override
  public void onStart() {
    super.onStart();
    // Android gives the app in front more of the processor.
    Intent front = new Intent(getTargetContext(), MainActivity.class);
    getTargetContext().startActivity(front.addFlags(Intent.FLAG_ACTIVITY_NEW_TASK));
    Bundle result =
        InstrumentedRun.run(
            getTargetContext(), arguments, progress -> sendStatus(PROGRESS, progress));
    boolean good = result.containsKey(InstrumentedRun.REPORT);
    finish(good ? Activity.RESULT_OK : Activity.RESULT_CANCELED, result);
  }
}
