package io.github.keras_sparsebnn.demo.ui;

import android.content.ClipData;
import android.content.Intent;
import android.net.Uri;
import android.os.Bundle;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowManager;
import android.widget.ArrayAdapter;
import android.widget.CheckBox;
import android.widget.EditText;
import android.widget.ProgressBar;
import android.widget.Spinner;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.benchmark.BenchmarkJob;
import io.github.keras_sparsebnn.demo.benchmark.DeviceState;
import io.github.keras_sparsebnn.demo.benchmark.History;
import io.github.keras_sparsebnn.demo.benchmark.Report;
import io.github.keras_sparsebnn.demo.benchmark.ReportJson;
import io.github.keras_sparsebnn.demo.benchmark.Settings;
import io.github.keras_sparsebnn.demo.models.Model;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Models measured against each other, and what was measured before. */
final class BenchmarkScreen extends Screen implements BenchmarkJob.Observer {
  private static final int REQUEST_SAVE = 20;

  private static final String UNCHECKED = "benchmark.unchecked";
  private static final String SHOWN = "benchmark.shown";

  private final ViewGroup choices = find(R.id.benchmark_models);
  private final Spinner threads = find(R.id.threads);
  private final Spinner kernel = find(R.id.kernel);
  private final EditText warmup = find(R.id.warmup);
  private final EditText runs = find(R.id.runs);
  private final View start = find(R.id.start);
  private final View cancel = find(R.id.cancel);
  private final View running = find(R.id.running);
  private final ProgressBar progress = find(R.id.progress);
  private final TextView status = find(R.id.status);
  private final TextView device = find(R.id.device_state);
  private final TextView error = find(R.id.benchmark_error);
  private final ReportView results = new ReportView(find(R.id.results));
  private final ViewGroup history = find(R.id.history);
  private final Set<String> unchecked = new HashSet<>();

  private Report shown;
  private boolean wasRunning;

  BenchmarkScreen(MainActivity activity, ViewGroup parent) {
    super(activity, parent, R.layout.benchmark);
    List<Integer> counts = new ArrayList<>();
    for (int i = 1; i <= cores(); ++i) counts.add(i);
    threads.setAdapter(adapter(counts));
    kernel.setAdapter(adapter(Settings.KERNELS));
    start.setOnClickListener(button -> start());
    cancel.setOnClickListener(button -> app.benchmark().cancel());
    find(R.id.share).setOnClickListener(button -> share());
    find(R.id.save).setOnClickListener(button -> save());
    show(null);
  }

  private static int cores() {
    return Math.min(Settings.MAX_THREADS, Runtime.getRuntime().availableProcessors());
  }

  private <T> ArrayAdapter<T> adapter(List<T> items) {
    ArrayAdapter<T> adapter =
        new ArrayAdapter<>(activity, android.R.layout.simple_spinner_item, items);
    adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
    return adapter;
  }

  @Override
  void shown() {
    fillChoices();
    device.setText(Texts.state(activity, DeviceState.read(activity)));
    wasRunning = app.benchmark().state().running();
    app.benchmark().observe(this);
    changed();
    fillHistory();
  }

  @Override
  void destroyed() {
    app.benchmark().forget(this);
  }

  /** Android gives apps in the background less of the processor: it would measure that. */
  @Override
  void left() {
    app.benchmark().cancel();
  }

  private void fillChoices() {
    choices.removeAllViews();
    for (Model model : app.models().all()) {
      View row = LayoutInflater.from(activity).inflate(R.layout.benchmark_choice, choices, false);
      CheckBox box = row.findViewById(R.id.choice_box);
      box.setText(Texts.kind(activity, model.facts().kind()));
      ((TextView) row.findViewById(R.id.choice_file))
          .setText(
              activity.getString(
                  R.string.name_and_size, model.name(), Texts.bytes(activity, model.bytes())));
      box.setChecked(!unchecked.contains(model.name()));
      box.setOnCheckedChangeListener(
          (button, checked) -> {
            if (checked) unchecked.remove(model.name());
            else unchecked.add(model.name());
          });
      row.setOnClickListener(clicked -> box.toggle());
      choices.addView(row);
    }
  }

  private void start() {
    show(error, "");
    List<Model> models = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (Model model : app.models().all()) {
      if (unchecked.contains(model.name())) continue;
      models.add(model);
      names.add(model.name());
    }
    try {
      Settings settings =
          Settings.of(
              names,
              (Integer) threads.getSelectedItem(),
              (String) kernel.getSelectedItem(),
              warmup.getText().toString(),
              runs.getText().toString());
      show(null);
      app.benchmark().start(settings, models);
    } catch (UserError wrong) {
      show(error, wrong.line(activity));
    }
  }

  @Override
  public void changed() {
    BenchmarkJob.State state = app.benchmark().state();
    running.setVisibility(state.running() ? View.VISIBLE : View.GONE);
    start.setVisibility(state.running() ? View.GONE : View.VISIBLE);
    int keepOn = WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON;
    if (state.running()) {
      activity.getWindow().addFlags(keepOn);
      progress.setProgress((int) (1000 * state.done() / Math.max(1, state.total())));
      status.setText(
          activity.getString(R.string.status, state.done(), state.total(), state.model()));
    } else {
      activity.getWindow().clearFlags(keepOn);
    }
    if (wasRunning && !state.running()) {
      show(error, app.benchmark().problem());
      if (app.benchmark().report() != null) show(app.benchmark().report());
      fillHistory();
    }
    wasRunning = state.running();
  }

  private void show(Report report) {
    shown = report;
    find(R.id.results_card).setVisibility(report == null ? View.GONE : View.VISIBLE);
    if (report != null) results.show(report);
  }

  private void fillHistory() {
    List<Report> reports = new ArrayList<>(app.history().all());
    Report now = app.benchmark().state().running() ? app.benchmark().report() : null;
    if (now != null) reports.removeIf(report -> report.started() == now.started());
    find(R.id.history_card).setVisibility(reports.isEmpty() ? View.GONE : View.VISIBLE);
    history.removeAllViews();
    for (Report report : reports) {
      View row = LayoutInflater.from(activity).inflate(R.layout.history_row, history, false);
      String date = ReportView.date(activity, report);
      ((TextView) row.findViewById(R.id.history_date)).setText(date);
      ((TextView) row.findViewById(R.id.history_facts))
          .setText(ReportView.summary(activity, report));
      row.setOnClickListener(clicked -> open(report));
      View remove = row.findViewById(R.id.history_remove);
      remove.setContentDescription(activity.getString(R.string.remove_report, date));
      remove.setOnClickListener(
          button -> {
            app.history().remove(report);
            if (shown != null && shown.started() == report.started()) show(null);
            fillHistory();
          });
      history.addView(row);
    }
  }

  private void open(Report report) {
    show(report);
    find(R.id.results_card).getParent().requestChildFocus(find(R.id.results_card), start);
  }

  private void share() {
    Intent send =
        new Intent(Intent.ACTION_SEND)
            .setType(ReportProvider.TYPE)
            .putExtra(Intent.EXTRA_STREAM, ReportProvider.uri(shown))
            .putExtra(Intent.EXTRA_SUBJECT, History.name(shown))
            .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION);
    send.setClipData(ClipData.newRawUri(History.name(shown), ReportProvider.uri(shown)));
    activity.startActivity(Intent.createChooser(send, null));
  }

  private void save() {
    Intent create =
        new Intent(Intent.ACTION_CREATE_DOCUMENT)
            .setType(ReportProvider.TYPE)
            .addCategory(Intent.CATEGORY_OPENABLE)
            .putExtra(Intent.EXTRA_TITLE, History.name(shown));
    activity.choose(create, REQUEST_SAVE);
  }

  @Override
  void chosen(int request, Uri uri) {
    if (request != REQUEST_SAVE || shown == null) return;
    byte[] json = ReportJson.write(shown).getBytes(StandardCharsets.UTF_8);
    try (OutputStream out = app.getContentResolver().openOutputStream(uri)) {
      if (out == null) throw new IOException(String.valueOf(uri));
      out.write(json);
      show(error, "");
    } catch (IOException | RuntimeException problem) { // the other app's, too
      show(error, activity.getString(R.string.error_save, UserError.reason(problem)));
    }
  }

  @Override
  void save(Bundle state) {
    state.putStringArrayList(UNCHECKED, new ArrayList<>(unchecked));
    if (shown != null) state.putLong(SHOWN, shown.started());
  }

  @Override
  void restore(Bundle state) {
    List<String> names = state.getStringArrayList(UNCHECKED);
    if (names != null) unchecked.addAll(names);
    long started = state.getLong(SHOWN);
    for (Report report : app.history().all()) if (report.started() == started) show(report);
  }
}
