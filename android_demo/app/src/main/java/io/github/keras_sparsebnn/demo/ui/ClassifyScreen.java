package io.github.keras_sparsebnn.demo.ui;

import android.Manifest;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.drawable.BitmapDrawable;
import android.net.Uri;
import android.os.Bundle;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.AdapterView;
import android.widget.CompoundButton;
import android.widget.ImageView;
import android.widget.ProgressBar;
import android.widget.Spinner;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.camera.CameraFeed;
import io.github.keras_sparsebnn.demo.models.Model;
import io.github.keras_sparsebnn.demo.models.Sample;
import io.github.keras_sparsebnn.demo.run.ImageClassifier;
import io.github.keras_sparsebnn.demo.run.Network;
import io.github.keras_sparsebnn.demo.run.Images;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/** An image, a model, and what the model sees in the image. */
final class ClassifyScreen extends Screen implements CameraFeed.Listener {
  private static final int REQUEST_IMAGE = 10;
  private static final int REQUEST_CAMERA = 11;
  private static final int CLASSES = 5;
  /** Smaller images are drawn with visible pixels. */
  private static final int SMALL = 64;

  private static final String ASSET = "asset";
  private static final String MODEL = "classify.model";
  private static final String IMAGE = "classify.image";
  private static final String INVERT = "classify.invert";
  private static final String CAMERA = "classify.camera";

  private final ImageView image = find(R.id.image);
  private final Spinner models = find(R.id.classify_model);
  private final CompoundButton invert = find(R.id.invert);
  private final CompoundButton camera = find(R.id.camera);
  private final ViewGroup scores = find(R.id.scores);
  private final TextView milliseconds = find(R.id.classify_ms);
  private final TextView runtime = find(R.id.classify_runtime);
  private final TextView error = find(R.id.classify_error);
  private final ModelAdapter adapter;
  private final AtomicBoolean busy = new AtomicBoolean();

  private List<Sample> samples = List.of();
  private Uri source;
  private Bitmap bitmap;
  private CameraFeed feed;
  private boolean visible;
  private boolean destroyed;

  // Of the worker thread.
  private ImageClassifier classifier;
  private Model loaded;

  ClassifyScreen(MainActivity activity, ViewGroup parent) {
    super(activity, parent, R.layout.classify);
    adapter = new ModelAdapter(activity, app.models().all());
    models.setAdapter(adapter);
    models.setOnItemSelectedListener(
        new AdapterView.OnItemSelectedListener() {
          @Override
          public void onItemSelected(AdapterView<?> list, View row, int position, long id) {
            fillSamples();
            classify();
          }

          @Override
          public void onNothingSelected(AdapterView<?> list) {}
        });
    invert.setOnCheckedChangeListener((button, checked) -> classify());
    find(R.id.photo).setOnClickListener(button -> activity.choose(photo(), REQUEST_IMAGE));
    find(R.id.file).setOnClickListener(button -> activity.choose(document(), REQUEST_IMAGE));
    camera.setVisibility(CameraFeed.exists(activity) ? View.VISIBLE : View.GONE);
    camera.setOnCheckedChangeListener((button, on) -> camera(on));
    fillSamples();
  }

  private static Intent photo() {
    return new Intent(Intent.ACTION_GET_CONTENT)
        .setType("image/*")
        .addCategory(Intent.CATEGORY_OPENABLE);
  }

  private static Intent document() {
    return new Intent(Intent.ACTION_OPEN_DOCUMENT)
        .setType("image/*")
        .addCategory(Intent.CATEGORY_OPENABLE);
  }

  /** Offers the samples for the chosen model, and shows one in place of another model's. */
  private void fillSamples() {
    Model model = (Model) models.getSelectedItem();
    List<Sample> wanted = model == null ? samples : app.models().samples(model);
    if (wanted.equals(samples)) return;
    samples = wanted;
    ViewGroup strip = find(R.id.samples);
    strip.removeAllViews();
    boolean another = source == null || ASSET.equals(source.getScheme());
    try {
      for (Sample sample : samples) {
        View view = LayoutInflater.from(activity).inflate(R.layout.sample, strip, false);
        ImageView small = view.findViewById(R.id.sample_image);
        Uri uri = uri(sample);
        draw(small, decode(uri));
        small.setContentDescription(activity.getString(R.string.sample, sample.label()));
        small.setOnClickListener(clicked -> open(uri));
        strip.addView(view);
        another &= !uri.equals(source);
      }
    } catch (IOException damaged) {
      throw new IllegalStateException("the app's own assets are damaged", damaged);
    }
    if (!another) return;
    // The camera goes on; this is what is shown after it.
    if (camera.isChecked()) source = uri(samples.get(0));
    else open(uri(samples.get(0)));
  }

  private static Uri uri(Sample sample) {
    return Uri.fromParts(ASSET, sample.asset(), null);
  }

  /** Shows and classifies an image: of the app's own samples, or of another app's. */
  void open(Uri uri) {
    camera.setChecked(false);
    try {
      show(uri, decode(uri));
    } catch (IOException problem) {
      fail(new UserError(problem, R.string.error_image, UserError.reason(problem)));
    } catch (OutOfMemoryError problem) {
      fail(new UserError(problem, R.string.error_memory));
    }
  }

  private Bitmap decode(Uri uri) throws IOException {
    if (!ASSET.equals(uri.getScheme())) return Images.decode(app.getContentResolver(), uri);
    try (InputStream in = app.getAssets().open(uri.getSchemeSpecificPart())) {
      return BitmapFactory.decodeStream(in);
    }
  }

  private void show(Uri uri, Bitmap shown) {
    source = uri;
    bitmap = shown;
    draw(image, shown);
    classify();
  }

  private static void draw(ImageView view, Bitmap shown) {
    BitmapDrawable drawable = new BitmapDrawable(view.getResources(), shown);
    drawable.setFilterBitmap(shown.getWidth() > SMALL);
    view.setImageDrawable(drawable);
  }

  /** Gives the image on the screen to the chosen model, off the main thread. */
  private void classify() {
    Model model = (Model) models.getSelectedItem();
    if (model == null || bitmap == null || !busy.compareAndSet(false, true)) return;
    Bitmap shown = bitmap;
    boolean inverted = invert.isChecked();
    app.worker().execute(() -> run(model, shown, inverted));
  }

  private void run(Model model, Bitmap shown, boolean inverted) {
    ImageClassifier.Result result = null;
    UserError problem = null;
    try {
      if (loaded != model) {
        closeClassifier();
        classifier = new ImageClassifier(model, Network.Options.DEFAULT);
        loaded = model;
      }
      result = classifier.classify(shown, inverted, CLASSES);
    } catch (UserError refused) {
      problem = refused;
    } catch (OutOfMemoryError none) {
      problem = new UserError(none, R.string.error_memory);
    }
    ImageClassifier.Result found = result;
    UserError failure = problem;
    app.onMain(() -> ran(model, shown, inverted, found, failure));
  }

  private void ran(
      Model model,
      Bitmap shown,
      boolean inverted,
      ImageClassifier.Result result,
      UserError problem) {
    busy.set(false);
    if (destroyed) return;
    if (problem != null) {
      fail(problem);
    } else {
      show(model, result);
    }
    boolean changed =
        model != models.getSelectedItem() || shown != bitmap || inverted != invert.isChecked();
    if (changed) classify();
  }

  private void show(Model model, ImageClassifier.Result result) {
    show(error, "");
    int count = result.scores().size();
    while (scores.getChildCount() > count) scores.removeViewAt(count);
    for (int i = 0; i < count; ++i) {
      if (i == scores.getChildCount()) {
        LayoutInflater.from(activity).inflate(R.layout.score_row, scores);
      }
      ImageClassifier.Score score = result.scores().get(i);
      View row = scores.getChildAt(i);
      String percent = Texts.percent(activity, score.score());
      ((TextView) row.findViewById(R.id.score_label)).setText(score.label());
      ((TextView) row.findViewById(R.id.score_value)).setText(percent);
      ProgressBar bar = row.findViewById(R.id.score_bar);
      bar.setProgress(Math.round(1000 * score.score()));
      row.setContentDescription(activity.getString(R.string.score, score.label(), percent));
    }
    milliseconds.setText(Texts.ms(activity, result.milliseconds()));
    int operators = model.facts().operators();
    int delegated = result.nodes().size();
    show(
        runtime,
        delegated == 0
            ? activity.getString(R.string.ran_tflite, operators)
            : activity.getString(
                R.string.ran_delegate, delegated, operators, Texts.kernels(result.nodes())));
  }

  private void fail(UserError problem) {
    scores.removeAllViews();
    milliseconds.setText("");
    show(runtime, "");
    show(error, problem.line(activity));
  }

  private void camera(boolean on) {
    if (!on) {
      stopCamera();
    } else if (activity.checkSelfPermission(Manifest.permission.CAMERA)
        == PackageManager.PERMISSION_GRANTED) {
      startCamera();
    } else {
      activity.requestPermissions(new String[] {Manifest.permission.CAMERA}, REQUEST_CAMERA);
    }
  }

  @Override
  void permitted(boolean granted) {
    if (granted && camera.isChecked()) {
      startCamera();
    } else if (!granted) {
      camera.setChecked(false);
      fail(new UserError(R.string.error_camera_permission));
    }
  }

  private void startCamera() {
    if (!visible || feed != null) return;
    feed = new CameraFeed(90 * displayRotation(), this);
    feed.open(activity);
  }

  // Android 11 has another way, and still this one.
  @SuppressWarnings("deprecation")
  private int displayRotation() {
    return activity.getWindowManager().getDefaultDisplay().getRotation();
  }

  private void stopCamera() {
    if (feed != null) feed.close();
    feed = null;
  }

  @Override
  public void image(CameraFeed from, Bitmap frame) {
    if (busy.get()) return;
    app.onMain(
        () -> {
          if (feed == from) show(source, frame);
        });
  }

  @Override
  public void failed(CameraFeed from, UserError problem) {
    app.onMain(
        () -> {
          if (feed != from) return;
          camera.setChecked(false);
          fail(problem);
        });
  }

  @Override
  void shown() {
    visible = true;
    adapter.update(app.models().all());
    if (camera.isChecked()) camera(true);
    fillSamples();
    classify();
  }

  @Override
  void hidden() {
    visible = false;
    stopCamera();
  }

  @Override
  void destroyed() {
    destroyed = true;
    app.worker().execute(this::closeClassifier);
  }

  private void closeClassifier() {
    if (classifier != null) classifier.close();
    classifier = null;
    loaded = null;
  }

  @Override
  void chosen(int request, Uri uri) {
    if (request == REQUEST_IMAGE) open(uri);
  }

  @Override
  void save(Bundle state) {
    Model model = (Model) models.getSelectedItem();
    if (model != null) state.putString(MODEL, model.name());
    if (source != null) state.putString(IMAGE, source.toString());
    state.putBoolean(INVERT, invert.isChecked());
    state.putBoolean(CAMERA, camera.isChecked());
  }

  @Override
  void restore(Bundle state) {
    Model model = app.models().find(state.getString(MODEL, ""));
    if (model != null) models.setSelection(app.models().all().indexOf(model));
    String uri = state.getString(IMAGE);
    if (uri != null) open(Uri.parse(uri));
    invert.setChecked(state.getBoolean(INVERT));
    camera.setChecked(state.getBoolean(CAMERA));
  }
}
