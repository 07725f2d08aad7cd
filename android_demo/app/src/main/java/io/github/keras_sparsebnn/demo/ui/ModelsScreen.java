package io.github.keras_sparsebnn.demo.ui;

import android.app.AlertDialog;
import android.content.ContentResolver;
import android.content.Intent;
import android.database.Cursor;
import android.net.Uri;
import android.provider.OpenableColumns;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.file.ModelFacts;
import io.github.keras_sparsebnn.demo.models.Model;
import java.io.IOException;
import java.io.InputStream;

/** All models, and a way to add one from the device's storage. */
final class ModelsScreen extends Screen {
  private static final int REQUEST_MODEL = 30;

  private final ViewGroup list = find(R.id.model_list);
  private final TextView error = find(R.id.models_error);
  private final View progress = find(R.id.models_progress);
  private boolean destroyed;

  ModelsScreen(MainActivity activity, ViewGroup parent) {
    super(activity, parent, R.layout.models);
    find(R.id.add_model).setOnClickListener(button -> choose());
    fill();
  }

  @Override
  void shown() {
    fill();
  }

  @Override
  void destroyed() {
    destroyed = true;
  }

  private void choose() {
    // Android has no media type for such files.
    Intent intent = new Intent(Intent.ACTION_OPEN_DOCUMENT).setType("*/*");
    activity.choose(intent.addCategory(Intent.CATEGORY_OPENABLE), REQUEST_MODEL);
  }

  @Override
  void chosen(int request, Uri uri) {
    if (request == REQUEST_MODEL) add(uri);
  }

  /** Copies a model into the app, off the main thread. */
  void add(Uri uri) {
    show(error, "");
    progress.setVisibility(View.VISIBLE);
    ContentResolver resolver = app.getContentResolver();
    app.worker()
        .execute(
            () -> {
              String line = "";
              try (InputStream in = resolver.openInputStream(uri)) {
                if (in == null) throw new IOException(String.valueOf(uri));
                app.models().add(name(resolver, uri), in);
              } catch (UserError | IOException | RuntimeException | OutOfMemoryError problem) {
                line = UserError.line(app, problem);
              }
              String shown = line;
              app.onMain(() -> added(shown));
            });
  }

  private void added(String line) {
    if (destroyed) return;
    progress.setVisibility(View.GONE);
    show(error, line);
    fill();
  }

  private static String name(ContentResolver resolver, Uri uri) {
    String[] columns = {OpenableColumns.DISPLAY_NAME};
    try (Cursor row = resolver.query(uri, columns, null, null, null)) {
      if (row != null && row.moveToFirst() && row.getString(0) != null) return row.getString(0);
    }
    String last = uri.getLastPathSegment();
    return last == null ? "model" : last;
  }

  private void fill() {
    list.removeAllViews();
    for (Model model : app.models().all()) {
      View row = LayoutInflater.from(activity).inflate(R.layout.model_row, list, false);
      ModelFacts facts = model.facts();
      ((TextView) row.findViewById(R.id.row_title)).setText(model.name());
      ((TextView) row.findViewById(R.id.row_kind)).setText(Texts.kind(activity, facts.kind()));
      ((TextView) row.findViewById(R.id.row_facts)).setText(describe(model));
      View remove = row.findViewById(R.id.row_remove);
      remove.setVisibility(model.bundled() ? View.GONE : View.VISIBLE);
      remove.setContentDescription(activity.getString(R.string.remove_model, model.name()));
      remove.setOnClickListener(button -> confirm(model));
      list.addView(row);
    }
  }

  private String describe(Model model) {
    ModelFacts facts = model.facts();
    StringBuilder text = new StringBuilder();
    text.append(
        activity.getString(
            R.string.model_facts,
            Texts.bytes(activity, model.bytes()),
            Texts.list(facts.inputs()),
            Texts.list(facts.outputs()),
            facts.operators(),
            facts.binaryOperators()));
    if (!facts.labels().isEmpty()) {
      int count = facts.labels().size();
      text.append(activity.getResources().getQuantityString(R.plurals.model_labels, count, count));
    }
    if (!Double.isNaN(model.accuracy())) {
      String percent = Texts.percent(activity, model.accuracy());
      text.append(activity.getString(R.string.model_accuracy, percent, model.images()));
    }
    return text.toString();
  }

  private void confirm(Model model) {
    new AlertDialog.Builder(activity)
        .setMessage(activity.getString(R.string.remove_question, model.name()))
        .setPositiveButton(
            R.string.remove,
            (dialog, which) -> {
              app.models().remove(model);
              fill();
            })
        .setNegativeButton(android.R.string.cancel, null)
        .show();
  }
}
