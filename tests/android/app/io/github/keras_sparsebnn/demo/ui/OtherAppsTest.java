package io.github.keras_sparsebnn.demo.ui;

import static io.github.keras_sparsebnn.demo.Fixture.app;
import static io.github.keras_sparsebnn.demo.Fixture.settle;
import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.Manifest;
import android.app.Activity;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import android.view.View;
import android.view.ViewGroup;
import android.widget.CompoundButton;
import android.widget.EditText;
import android.widget.Spinner;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.benchmark.ReportJson;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileNotFoundException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.function.Supplier;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.android.controller.ActivityController;

/** Images from other apps, the camera, and reports for other apps. */
@RunWith(RobolectricTestRunner.class)
public class OtherAppsTest {
  private ActivityController<MainActivity> controller;
  private MainActivity activity;

  @Before
  public void open() throws Exception {
    shadowOf(app().getPackageManager()).setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, true);
    controller = Robolectric.buildActivity(MainActivity.class).setup();
    activity = controller.get();
    settle();
  }

  @After
  public void close() throws Exception {
    controller.close();
    settle();
  }

  private String text(int id) {
    return ((TextView) activity.findViewById(id)).getText().toString();
  }

  private void choose(int button, String action, byte[] content) throws Exception {
    choose(button, action, () -> new ByteArrayInputStream(content));
  }

  private void choose(int button, String action, Supplier<InputStream> content) throws Exception {
    Uri uri = Uri.parse("content://gallery/1");
    shadowOf(app().getContentResolver()).registerInputStreamSupplier(uri, content);
    activity.findViewById(button).performClick();
    Intent asked = shadowOf(activity).getNextStartedActivityForResult().intent;
    assertEquals(action, asked.getAction());
    assertEquals("image/*", asked.getType());
    shadowOf(activity).receiveResult(asked, Activity.RESULT_OK, new Intent().setData(uri));
    settle();
  }

  private static byte[] sample(int digit) throws Exception {
    try (InputStream in = app().getAssets().open("samples/digits/" + digit + ".png")) {
      return in.readAllBytes();
    }
  }

  @Test
  public void anImageIsClassified() throws Exception {
    int digits = app().models().all().indexOf(app().models().find("digits_lce.tflite"));
    ((Spinner) activity.findViewById(R.id.classify_model)).setSelection(digits);
    settle();
    choose(R.id.photo, Intent.ACTION_GET_CONTENT, sample(7));
    ViewGroup scores = activity.findViewById(R.id.scores);
    assertEquals("7", ((TextView) scores.findViewById(R.id.score_label)).getText().toString());
    choose(R.id.file, Intent.ACTION_OPEN_DOCUMENT, sample(2));
    assertEquals("2", ((TextView) scores.findViewById(R.id.score_label)).getText().toString());
  }

  @Test
  public void whatIsNoImageIsRefused() throws Exception {
    choose(R.id.file, Intent.ACTION_OPEN_DOCUMENT, "no image".getBytes(StandardCharsets.UTF_8));
    assertEquals("The image could not be read: no image.", text(R.id.classify_error));
    assertEquals(0, ((ViewGroup) activity.findViewById(R.id.scores)).getChildCount());
  }

  @Test
  public void whatAnotherAppThrowsIsSaid() throws Exception {
    Supplier<InputStream> gone =
        () -> {
          throw new IllegalArgumentException("Unknown image");
        };
    choose(R.id.photo, Intent.ACTION_GET_CONTENT, gone);
    assertEquals("The image could not be read: Unknown image.", text(R.id.classify_error));
  }

  @Test
  public void theCameraNeedsPermission() throws Exception {
    CompoundButton camera = activity.findViewById(R.id.camera);
    assertEquals(View.VISIBLE, camera.getVisibility());
    camera.performClick();
    var asked = shadowOf(activity).getLastRequestedPermission();
    assertArrayEquals(new String[] {Manifest.permission.CAMERA}, asked.requestedPermissions);
    activity.onRequestPermissionsResult(
        asked.requestCode, asked.requestedPermissions, new int[] {PackageManager.PERMISSION_DENIED});
    settle();
    assertFalse(camera.isChecked());
    assertTrue(text(R.id.classify_error).startsWith("The camera needs your permission"));
  }

  @Test
  public void aMissingCameraIsSaid() throws Exception {
    shadowOf(app()).grantPermissions(Manifest.permission.CAMERA);
    CompoundButton camera = activity.findViewById(R.id.camera);
    camera.performClick();
    settle();
    assertFalse(camera.isChecked());
    assertEquals("This device has no camera.", text(R.id.classify_error));
  }

  private void measure() throws Exception {
    activity.findViewById(R.id.tab_benchmark).performClick();
    ((EditText) activity.findViewById(R.id.runs)).setText("3");
    activity.findViewById(R.id.start).performClick();
    app().benchmark().join();
    settle();
  }

  @Test
  public void aReportIsShared() throws Exception {
    measure();
    activity.findViewById(R.id.share).performClick();
    Intent chooser = shadowOf(activity).getNextStartedActivity();
    Intent send = chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent.class);
    Uri uri = send.getParcelableExtra(Intent.EXTRA_STREAM, Uri.class);
    assertEquals("application/json", send.getType());
    assertTrue((send.getFlags() & Intent.FLAG_GRANT_READ_URI_PERMISSION) != 0);
    ReportProvider provider = Robolectric.buildContentProvider(ReportProvider.class).create().get();
    try (InputStream in =
        new ParcelFileDescriptor.AutoCloseInputStream(provider.openFile(uri, "r"))) {
      String shared = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(ReportJson.write(app().benchmark().report()), shared);
    }
    var row = provider.query(uri, null, null, null, null);
    assertTrue(row.moveToFirst());
    assertEquals(uri.getLastPathSegment(), row.getString(0));
    assertThrows(FileNotFoundException.class, () -> provider.openFile(uri, "rw"));
    Uri outside = uri.buildUpon().path("/..%2Fmodels%2Fother.tflite").build();
    assertThrows(FileNotFoundException.class, () -> provider.openFile(outside, "r"));
  }

  @Test
  public void aReportIsSaved() throws Exception {
    measure();
    Uri uri = Uri.parse("content://documents/report");
    ByteArrayOutputStream written = new ByteArrayOutputStream();
    shadowOf(app().getContentResolver()).registerOutputStream(uri, written);
    activity.findViewById(R.id.save).performClick();
    Intent asked = shadowOf(activity).getNextStartedActivityForResult().intent;
    assertEquals(Intent.ACTION_CREATE_DOCUMENT, asked.getAction());
    assertTrue(asked.getStringExtra(Intent.EXTRA_TITLE).matches("benchmark-[0-9-]+\\.json"));
    shadowOf(activity).receiveResult(asked, Activity.RESULT_OK, new Intent().setData(uri));
    settle();
    assertEquals(
        ReportJson.write(app().benchmark().report()), written.toString(StandardCharsets.UTF_8));
    assertEquals("", text(R.id.benchmark_error));
  }
}
