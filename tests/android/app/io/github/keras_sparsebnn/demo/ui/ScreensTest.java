package io.github.keras_sparsebnn.demo.ui;

import static io.github.keras_sparsebnn.demo.Fixture.app;
import static io.github.keras_sparsebnn.demo.Fixture.screenshot;
import static io.github.keras_sparsebnn.demo.Fixture.settle;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.drawable.BitmapDrawable;
import android.net.Uri;
import android.os.BatteryManager;
import android.os.Looper;
import android.view.View;
import android.view.ViewGroup;
import android.widget.EditText;
import android.widget.ImageView;
import android.widget.ScrollView;
import android.widget.Spinner;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.Fixture;
import io.github.keras_sparsebnn.demo.models.Model;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import org.junit.After;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;

/** Every screen does what it is for, in light and dark, upright and turned. */
@RunWith(RobolectricTestRunner.class)
public class ScreensTest {
  private ActivityController<MainActivity> controller;

  @SuppressWarnings("deprecation") // Of sticky intents only Android itself sends more.
  private MainActivity start() throws Exception {
    shadowOf(app().getPackageManager()).setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, true);
    Intent battery =
        new Intent(Intent.ACTION_BATTERY_CHANGED)
            .putExtra(BatteryManager.EXTRA_LEVEL, 83)
            .putExtra(BatteryManager.EXTRA_SCALE, 100)
            .putExtra(BatteryManager.EXTRA_TEMPERATURE, 284);
    app().sendStickyBroadcast(battery);
    controller = Robolectric.buildActivity(MainActivity.class).setup();
    settle();
    return controller.get();
  }

  private static MainActivity activity(ActivityController<MainActivity> controller) {
    return controller.get();
  }

  @After
  public void close() throws Exception {
    app().benchmark().cancel();
    app().benchmark().join();
    if (controller != null) controller.close();
    settle();
  }

  private <T extends View> T find(int id) {
    return activity(controller).findViewById(id);
  }

  private String text(int id) {
    return ((TextView) find(id)).getText().toString();
  }

  private void click(int id) throws Exception {
    click(find(id));
  }

  private void shoot(String name) throws Exception {
    shadowOf(Looper.getMainLooper()).idle();
    screenshot(activity(controller).getWindow().getDecorView(), name);
  }

  private String best() {
    ViewGroup scores = find(R.id.scores);
    return ((TextView) scores.getChildAt(0).findViewById(R.id.score_label)).getText().toString();
  }

  private void choose(String model) throws Exception {
    String name = model.endsWith(".tflite") ? model : model + ".tflite";
    int position = app().models().all().indexOf(app().models().find(name));
    ((Spinner) find(R.id.classify_model)).setSelection(position);
    settle();
  }

  private ImageView sample(int index) {
    return ((ViewGroup) find(R.id.samples)).getChildAt(index).findViewById(R.id.sample_image);
  }

  private static void click(View view) throws Exception {
    view.performClick();
    settle();
  }

  private int width() {
    return ((BitmapDrawable) ((ImageView) find(R.id.image)).getDrawable()).getBitmap().getWidth();
  }

  private void classify(String suffix) throws Exception {
    start();
    for (Model model : app().models().all()) {
      choose(model.name());
      assertEquals("", text(R.id.classify_error));
      assertTrue(text(R.id.classify_ms), text(R.id.classify_ms).endsWith(" ms"));
    }
    choose(suffix.equals("-light") ? "fashion_mnist_subbit_int8" : "digits_subbit_int8");
    click(sample(8));
    assertEquals(suffix.equals("-light") ? "Bag" : "8", best());
    assertTrue(text(R.id.classify_runtime), text(R.id.classify_runtime).contains("delegate"));
    shoot("classify" + suffix);
  }

  @Test
  public void classifies() throws Exception {
    classify("-light");
  }

  @Test
  @Config(qualifiers = "+night")
  public void classifiesInTheDark() throws Exception {
    classify("-dark");
  }

  @Test
  @Config(qualifiers = "w891dp-h411dp-land")
  public void classifiesTurned() throws Exception {
    classify("-landscape");
  }

  @Test
  public void classifiesInLargeLetters() throws Exception {
    RuntimeEnvironment.setFontScale(2f);
    classify("-large-font");
  }

  private void benchmark(String suffix) throws Exception {
    start();
    click(R.id.tab_benchmark);
    ((EditText) find(R.id.runs)).setText("60");
    shoot("benchmark" + suffix);
    click(R.id.start);
    app().benchmark().join();
    settle();
    assertTrue(text(R.id.device_state).contains("83"));
    assertEquals("", text(R.id.benchmark_error));
    assertEquals(app().models().all().size(), ((ViewGroup) find(R.id.result_rows)).getChildCount());
    assertTrue(find(R.id.chart).getContentDescription().toString().contains("Sub-bit"));
    ViewGroup rows = find(R.id.result_rows);
    rows.getChildAt(3).findViewById(R.id.result_toggle).performClick();
    settle();
    ScrollView scroll = (ScrollView) ((ViewGroup) find(R.id.content)).getChildAt(1);
    scroll.scrollTo(0, find(R.id.results_card).getTop() - 8);
    shoot("results" + suffix);
    scroll.scrollTo(0, find(R.id.result_rows).getTop() + find(R.id.results_card).getTop() + 1000);
    shoot("layers" + suffix);
    assertEquals(1, ((ViewGroup) find(R.id.history)).getChildCount());
  }

  @Test
  public void measures() throws Exception {
    benchmark("-light");
  }

  @Test
  @Config(qualifiers = "+night")
  public void measuresInTheDark() throws Exception {
    benchmark("-dark");
  }

  private void models(String suffix) throws Exception {
    start();
    click(R.id.tab_models);
    ViewGroup list = find(R.id.model_list);
    assertEquals(app().models().all().size(), list.getChildCount());
    String facts = ((TextView) list.getChildAt(3).findViewById(R.id.row_facts)).getText().toString();
    assertTrue(facts, facts.contains("10 classes with labels"));
    shoot("models" + suffix);
  }

  @Test
  public void lists() throws Exception {
    models("-light");
  }

  @Test
  @Config(qualifiers = "+night")
  public void listsInTheDark() throws Exception {
    models("-dark");
  }

  @Test
  public void keepsWhatWasChosenWhenTurned() throws Exception {
    start();
    choose("fashion_mnist_lce");
    click(sample(4));
    assertEquals("Coat", best());
    click(R.id.tab_models);
    RuntimeEnvironment.setQualifiers("+land");
    controller.recreate();
    settle();
    assertEquals(View.VISIBLE, find(R.id.add_model).getVisibility());
    assertTrue(find(R.id.tab_models).isSelected());
    click(R.id.tab_classify);
    Model chosen = (Model) ((Spinner) find(R.id.classify_model)).getSelectedItem();
    assertEquals("fashion_mnist_lce.tflite", chosen.name());
    assertEquals("Sample Coat", sample(4).getContentDescription());
    assertEquals("Coat", best());
  }

  @Test
  public void showsTheSamplesOfTheModel() throws Exception {
    start();
    choose("digits_subbit");
    assertEquals(10, ((ViewGroup) find(R.id.samples)).getChildCount());
    assertEquals("Sample 5", sample(5).getContentDescription());
    click(sample(5));
    choose("digits_lce");
    assertEquals("5", best()); // of the same set: it stays
    choose("fashion_mnist_subbit");
    assertEquals(10, ((ViewGroup) find(R.id.samples)).getChildCount());
    assertEquals("T-shirt/top", best());
    assertEquals(28, width());
    choose("digits_lce");
    assertEquals("0", best());
    assertEquals(8, width());
  }

  @Test
  public void anAddedModelMayBeTriedOnEverySample() throws Exception {
    start();
    choose("fashion_mnist_subbit");
    click(sample(1));
    try (InputStream in = app().getAssets().open("models/fashion_mnist_lce.tflite")) {
      app().models().add("mine.tflite", in);
    }
    click(R.id.tab_models);
    click(R.id.tab_classify);
    choose("mine");
    int sets = ((ViewGroup) find(R.id.samples)).getChildCount() / 10;
    assertTrue("sets: " + sets, sets >= 2);
    assertEquals("Trouser", best()); // what is shown stays
    controller.recreate();
    settle();
    assertEquals("Trouser", best());
    int set = 0;
    do {
      click(sample(10 * set++ + 3)); // digits are those of 8 pixels
    } while (width() != 8);
    choose("digits_subbit");
    assertEquals("3", best());
  }

  @Test
  public void anotherAppsImageStaysWithEveryModel() throws Exception {
    MainActivity activity = start();
    try (InputStream in = app().getAssets().open("samples/digits/7.png")) {
      byte[] png = in.readAllBytes();
      Uri uri = Uri.parse("content://gallery/7");
      shadowOf(app().getContentResolver())
          .registerInputStreamSupplier(uri, () -> new ByteArrayInputStream(png));
      click(R.id.photo);
      Intent asked = shadowOf(activity).getNextStartedActivityForResult().intent;
      shadowOf(activity).receiveResult(asked, Activity.RESULT_OK, new Intent().setData(uri));
      settle();
    }
    choose("fashion_mnist_subbit");
    assertEquals(8, width());
    choose("digits_subbit");
    assertEquals("7", best());
  }

  private static void waitForSome() throws Exception {
    while (app().benchmark().state().done() < 1000) {
      assertTrue("ended: " + app().benchmark().report(), app().benchmark().state().running());
      Thread.sleep(5);
    }
  }

  @Test
  public void goesOnMeasuringWhenTurned() throws Exception {
    start();
    click(R.id.tab_benchmark);
    ((EditText) find(R.id.runs)).setText("3000");
    click(R.id.start);
    assertTrue(app().benchmark().state().running());
    controller.recreate();
    settle();
    assertTrue(find(R.id.tab_benchmark).isSelected());
    assertTrue(app().benchmark().state().running());
    assertEquals(View.VISIBLE, find(R.id.running).getVisibility());
    app().benchmark().join();
    settle();
    assertEquals(View.GONE, find(R.id.running).getVisibility());
    assertTrue(app().benchmark().report().complete());
    assertEquals(app().models().all().size(), ((ViewGroup) find(R.id.result_rows)).getChildCount());
  }

  /** Android destroys an activity that was left when it has time for that. */
  @Test
  public void isToldOfItsMeasuringWhenAnOlderScreenIsDestroyed() throws Exception {
    start();
    click(R.id.tab_benchmark);
    ActivityController<MainActivity> old = controller;
    old.pause().stop();
    controller = Robolectric.buildActivity(MainActivity.class).setup();
    settle();
    click(R.id.tab_benchmark);
    ((EditText) find(R.id.runs)).setText("3");
    click(R.id.start);
    old.destroy();
    app().benchmark().join();
    settle();
    assertEquals(View.GONE, find(R.id.running).getVisibility());
    assertEquals(app().models().all().size(), ((ViewGroup) find(R.id.result_rows)).getChildCount());
  }

  @Test
  public void stopsMeasuringWhenTheAppIsLeft() throws Exception {
    start();
    click(R.id.tab_benchmark);
    ((EditText) find(R.id.runs)).setText("1000000");
    click(R.id.start);
    waitForSome();
    controller.pause().stop();
    app().benchmark().join();
    assertFalse(app().benchmark().report().complete());
    controller.restart().start().resume();
    settle();
    ViewGroup history = find(R.id.history);
    assertEquals(1, history.getChildCount());
    String facts =
        ((TextView) history.getChildAt(0).findViewById(R.id.history_facts)).getText().toString();
    assertTrue(facts, facts.startsWith("Not finished."));
  }

  @Test
  public void cancels() throws Exception {
    start();
    click(R.id.tab_benchmark);
    ((EditText) find(R.id.runs)).setText("1000000");
    click(R.id.start);
    waitForSome();
    shoot("running-light");
    find(R.id.cancel).performClick();
    app().benchmark().join();
    settle();
    assertEquals(app().models().all().size(), ((ViewGroup) find(R.id.result_rows)).getChildCount());
    assertEquals(View.VISIBLE, find(R.id.start).getVisibility());
  }

  @Test
  public void saysWhatIsWrongWithTheSettings() throws Exception {
    start();
    click(R.id.tab_benchmark);
    ((EditText) find(R.id.runs)).setText("0");
    click(R.id.start);
    assertEquals("Expected 1 to 1000000 runs.", text(R.id.benchmark_error));
    ((EditText) find(R.id.runs)).setText("10");
    ((EditText) find(R.id.warmup)).setText("");
    click(R.id.start);
    assertEquals("Expected 1 to 1000000 warm-up inferences.", text(R.id.benchmark_error));
    ViewGroup choices = find(R.id.benchmark_models);
    for (int i = 0; i < choices.getChildCount(); ++i) choices.getChildAt(i).performClick();
    click(R.id.start);
    assertEquals("Choose at least one model.", text(R.id.benchmark_error));
    assertFalse(app().benchmark().state().running());
  }

  @Test
  public void everythingThatCanBeTouchedHasAName() throws Exception {
    start();
    for (int tab : new int[] {R.id.tab_classify, R.id.tab_benchmark, R.id.tab_models}) {
      click(tab);
      check(activity(controller).getWindow().getDecorView());
    }
  }

  private void check(View view) {
    if (view.getVisibility() != View.VISIBLE) return;
    if (view.isClickable() && !(view instanceof ViewGroup)) {
      boolean named =
          view.getContentDescription() != null
              || view instanceof TextView label && label.getText().length() > 0
              || view instanceof EditText;
      assertTrue("without a name: " + view, named);
      float density = view.getResources().getDisplayMetrics().density;
      assertTrue("too small: " + view, view.getHeight() >= 47 * density);
    }
    if (view instanceof ViewGroup group) {
      for (int i = 0; i < group.getChildCount(); ++i) check(group.getChildAt(i));
    }
  }
}
