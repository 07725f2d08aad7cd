package io.github.keras_sparsebnn.demo.ui;

import static io.github.keras_sparsebnn.demo.Fixture.app;
import static io.github.keras_sparsebnn.demo.Fixture.settle;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.net.Uri;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.Fixture;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.android.controller.ActivityController;

/** Files that people choose: models, and whatever else. */
@RunWith(RobolectricTestRunner.class)
public class BadModelsTest {
  private final int bundled = app().models().all().size();
  private ActivityController<MainActivity> controller;
  private MainActivity activity;

  @Before
  public void open() throws Exception {
    controller = Robolectric.buildActivity(MainActivity.class).setup();
    activity = controller.get();
    activity.findViewById(R.id.tab_models).performClick();
    settle();
  }

  @After
  public void close() throws Exception {
    controller.close();
    settle();
  }

  /** As if the user had chosen a file; returns the line that the screen shows. */
  private String add(String name, InputStream content) throws Exception {
    Uri uri = Uri.parse("content://storage/" + name);
    shadowOf(app().getContentResolver()).registerInputStream(uri, content);
    activity.findViewById(R.id.add_model).performClick();
    var asked = shadowOf(activity).getNextStartedActivityForResult();
    assertEquals("*/*", asked.intent.getType());
    shadowOf(activity)
        .receiveResult(
            asked.intent, android.app.Activity.RESULT_OK, new android.content.Intent().setData(uri));
    settle();
    assertEquals(View.GONE, activity.findViewById(R.id.models_progress).getVisibility());
    TextView error = activity.findViewById(R.id.models_error);
    String line = error.getText().toString();
    assertEquals(line.isEmpty() ? View.GONE : View.VISIBLE, error.getVisibility());
    assertTrue(line, line.lines().count() <= 1);
    return line;
  }

  private String add(String name) throws Exception {
    return add(name, new FileInputStream(Fixture.path("models").resolve(name).toFile()));
  }

  private int count() {
    return ((ViewGroup) activity.findViewById(R.id.model_list)).getChildCount();
  }

  @Test
  public void aModelIsAddedAndRemoved() throws Exception {
    assertEquals("", add("other.tflite"));
    assertEquals("", add("other.tflite"));
    assertEquals(bundled + 2, count());
    assertEquals("other (2).tflite", app().models().all().get(bundled + 1).name());
    var again = new io.github.keras_sparsebnn.demo.models.ModelStore(app());
    assertEquals(bundled + 2, again.all().size());
    app().models().remove(app().models().find("other.tflite"));
    assertEquals(bundled + 1, new io.github.keras_sparsebnn.demo.models.ModelStore(app()).all().size());
  }

  @Test
  public void whatIsNoModelIsRefused() throws Exception {
    String line = add("letter.tflite");
    assertEquals(
        "Expected a .tflite model, got something else: letter.tflite (no TFL3 file).", line);
    assertEquals(
        "Expected a .tflite model, got something else: empty.tflite (an offset leaves the file).",
        add("empty.tflite"));
    assertEquals(bundled, count());
    assertEquals(0, new File(app().getFilesDir(), "models").list().length);
  }

  @Test
  public void aDamagedModelIsRefused() throws Exception {
    String line = add("cut.tflite");
    assertTrue(line, line.contains("cut.tflite"));
    assertEquals(bundled, count());
  }

  @Test
  public void anUnknownOperatorIsNamed() throws Exception {
    String line = add("unknown_op.tflite");
    assertTrue(line, line.startsWith("unknown_op.tflite does not load:"));
    assertTrue(line, line.contains("MyOwnOp"));
  }

  @Test
  public void aModelThatDoesNotFitIntoMemoryIsRefused() throws Exception {
    String line = add("huge.tflite");
    boolean said = line.contains("memory") || line.startsWith("huge.tflite does not load:");
    assertTrue(line, said);
    assertEquals(bundled, count());
  }

  @Test
  public void aFileThatCannotBeReadIsRefused() throws Exception {
    InputStream broken =
        new InputStream() {
          @Override
          public int read() throws java.io.IOException {
            throw new java.io.IOException("the card was removed");
          }
        };
    assertEquals(
        "gone.tflite could not be copied: the card was removed.", add("gone.tflite", broken));
  }
}
