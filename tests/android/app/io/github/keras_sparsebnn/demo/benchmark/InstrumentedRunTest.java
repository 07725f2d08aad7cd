package io.github.keras_sparsebnn.demo.benchmark;

import static io.github.keras_sparsebnn.demo.Fixture.app;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import android.os.Bundle;
import io.github.keras_sparsebnn.demo.Fixture;
import java.io.File;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import org.json.JSONObject;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** What a PC asks for through `am instrument`. */
@RunWith(RobolectricTestRunner.class)
public class InstrumentedRunTest {
  private static File model(String name) {
    return Fixture.path("models").resolve(name + ".tflite").toFile();
  }

  private static Bundle arguments(String... namesAndValues) {
    Bundle bundle = new Bundle();
    bundle.putString("model", model("other").getPath());
    for (int i = 0; i < namesAndValues.length; i += 2) {
      bundle.putString(namesAndValues[i], namesAndValues[i + 1]);
    }
    return bundle;
  }

  private static String error(String... namesAndValues) {
    Bundle result = InstrumentedRun.run(app(), arguments(namesAndValues), progress -> {});
    assertFalse(result.containsKey(InstrumentedRun.REPORT));
    String line = result.getString(InstrumentedRun.ERROR);
    assertFalse(line, line.contains("\n"));
    return line;
  }

  private static void assertSays(String expected, String line) {
    assertTrue(line, line.contains(expected));
  }

  @Test
  public void reportsInOneLine() throws Exception {
    List<String> progress = new ArrayList<>();
    Bundle result =
        InstrumentedRun.run(
            app(),
            arguments("threads", "2", "warmup", "2", "runs", "7"),
            told -> progress.add(told.getString("done") + "/" + told.getString("total")));
    String line = result.getString(InstrumentedRun.REPORT);
    assertFalse(line.contains("\n"));
    JSONObject report = new JSONObject(line);
    assertTrue(report.getBoolean("complete"));
    assertEquals(1, report.getJSONArray("timings").length());
    JSONObject timing = report.getJSONArray("timings").getJSONObject(0);
    assertEquals(7, timing.getInt("runs"));
    assertEquals(2, timing.getInt("warmup"));
    assertEquals(2, timing.getInt("num_threads"));
    assertEquals("delegate on tensorflow-lite", timing.getString("runtime"));
    assertEquals("18/18", progress.get(progress.size() - 1)); // 9 for the time, 9 for the nodes
    // Written for pytest, which reads it as the command line does.
    Files.writeString(Fixture.path("screenshots").resolve("instrumented.json"), line);
  }

  @Test
  public void whatIsWrongIsOneLine() {
    assertSays("1 to 256 threads", error("threads", "0"));
    assertSays("auto, xnor, codebook, reference, got fast", error("kernel", "fast"));
    assertSays("1 to 1000000 runs", error("runs", "many"));
    assertSays("/no/such.tflite", error("model", "/no/such.tflite"));
    assertSays("Expected a .tflite model", error("model", model("letter").getPath()));
    assertSays("does not load", error("model", model("unknown_op").getPath()));
  }
}
