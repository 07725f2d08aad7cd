package io.github.keras_sparsebnn.demo.benchmark;

import static io.github.keras_sparsebnn.demo.Fixture.app;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import android.content.Context;
import android.content.ContextWrapper;
import io.github.keras_sparsebnn.demo.Fixture;
import io.github.keras_sparsebnn.demo.models.Model;
import java.io.File;
import java.nio.file.Files;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** What is measured, and how it is written down. */
@RunWith(RobolectricTestRunner.class)
public class BenchmarkTest {
  private static Report measure(Settings settings) {
    Benchmark.Listener listener =
        new Benchmark.Listener() {
          @Override
          public boolean progress(long done, long total, String model) {
            assertTrue(done + " of " + total, done <= total);
            return true;
          }

          @Override
          public void soFar(Report report) {}
        };
    List<Model> models = settings.models().stream().map(app().models()::find).toList();
    return new Benchmark(app(), settings, listener).run(models);
  }

  private static List<String> names() {
    return app().models().all().stream().map(Model::name).toList();
  }

  @Test
  public void measuresEveryModel() throws Exception {
    Report report = measure(new Settings(names(), 1, "auto", 5, 37));
    assertTrue(report.complete());
    assertEquals(List.of(), report.failures());
    assertEquals(names(), report.timings().stream().map(Timing::model).toList());
    for (Timing timing : report.timings()) {
      assertEquals(37, timing.runs());
      assertTrue(timing.toString(), timing.minMs() > 0);
      assertTrue(timing.toString(), timing.minMs() <= timing.medianMs());
      assertTrue(timing.toString(), timing.medianMs() <= timing.p90Ms());
      assertTrue(timing.toString(), timing.firstMs() > 0 && timing.initMs() > 0);
      assertTrue(timing.toString(), timing.memoryBytes() >= 0);
      boolean binary = app().models().find(timing.model()).facts().kind().binary();
      assertEquals(binary ? "delegate on tensorflow-lite" : "tensorflow-lite", timing.runtime());
      assertEquals(binary, report.layers().containsKey(timing.model()));
    }
    // Written for pytest, which compares its format with that of the command line.
    Files.writeString(Fixture.path("screenshots").resolve("report.json"), ReportJson.write(report));
  }

  @Test
  public void theKernelIsTheOneAskedFor() {
    Report report = measure(new Settings(List.of("digits_lce.tflite"), 2, "reference", 1, 3));
    for (NodeTiming node : report.layers().get("digits_lce.tflite")) {
      if (node.op().contains("conv")) assertTrue(node.kernel(), node.kernel().contains("reference"));
    }
  }

  @Test
  public void aReportIsReadAsItWasWritten() throws Exception {
    Report report = measure(new Settings(names(), 2, "xnor", 2, 5));
    String text = ReportJson.write(report);
    assertEquals(text, ReportJson.write(ReportJson.read(text)));
    History history = new History(app());
    history.write(report);
    assertEquals(1, history.all().size());
    Files.writeString(history.file("benchmark-20000101-000000-000.json").toPath(), "{\"timings\": [");
    assertEquals(1, history.all().size());
    history.remove(report);
    assertEquals(0, history.all().size());
  }

  @Test
  public void quantilesAreNumPys() throws Exception {
    JSONArray cases = Fixture.expected().getJSONArray("quantiles");
    for (int i = 0; i < cases.length(); ++i) {
      JSONObject one = cases.getJSONObject(i);
      JSONArray values = one.getJSONArray("values");
      double[] sorted = new double[values.length()];
      for (int k = 0; k < sorted.length; ++k) sorted[k] = values.getDouble(k);
      double value = Timing.quantile(sorted, one.getDouble("q"));
      assertEquals(one.getDouble("result"), value, 1e-12);
    }
  }

  /** Files of the app where they outlive the process. */
  private static Context kept() {
    return new ContextWrapper(app()) {
      @Override
      public File getFilesDir() {
        return Fixture.path("kept").toFile();
      }
    };
  }

  /** pytest kills the process while this runs, then runs {@link #keptWhatItHad}. */
  @Test
  public void measuresUntilKilled() throws Exception {
    if (System.getProperty("kept") == null) return;
    History history = new History(kept());
    BenchmarkJob job = new BenchmarkJob(kept(), history);
    Settings settings = new Settings(names(), 1, "auto", 1, Settings.MAX_RUNS);
    job.start(settings, app().models().all());
    job.join();
  }

  @Test
  public void keptWhatItHad() {
    if (System.getProperty("kept") == null) return;
    List<Report> reports = new History(kept()).all();
    assertEquals(1, reports.size());
    Report report = reports.get(0);
    assertFalse(report.complete());
    assertEquals(names().size(), report.timings().size());
    for (Timing timing : report.timings()) assertTrue(timing.runs() >= Benchmark.BLOCK);
  }
}
