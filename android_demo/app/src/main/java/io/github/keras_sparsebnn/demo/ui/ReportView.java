package io.github.keras_sparsebnn.demo.ui;

import android.content.Context;
import android.text.format.DateUtils;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.benchmark.Failure;
import io.github.keras_sparsebnn.demo.benchmark.NodeTiming;
import io.github.keras_sparsebnn.demo.benchmark.Report;
import io.github.keras_sparsebnn.demo.benchmark.Settings;
import io.github.keras_sparsebnn.demo.benchmark.Timing;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** A report on the screen: a chart, and the figures of every model. */
final class ReportView {
  private final View view;
  private final Context context;
  private final ViewGroup rows;

  ReportView(View view) {
    this.view = view;
    context = view.getContext();
    rows = view.findViewById(R.id.result_rows);
  }

  /** When a benchmark began. */
  static String date(Context context, Report report) {
    int format =
        DateUtils.FORMAT_SHOW_DATE
            | DateUtils.FORMAT_SHOW_TIME
            | DateUtils.FORMAT_SHOW_YEAR
            | DateUtils.FORMAT_ABBREV_MONTH;
    return DateUtils.formatDateTime(context, report.started(), format);
  }

  /** "5 models, 1 thread, kernel auto, 50 runs", and whether it was cut short. */
  static String summary(Context context, Report report) {
    Settings settings = report.settings();
    var resources = context.getResources();
    String text =
        context.getString(
            R.string.report_summary,
            resources.getQuantityString(
                R.plurals.models, report.timings().size(), report.timings().size()),
            resources.getQuantityString(R.plurals.threads, settings.threads(), settings.threads()),
            settings.kernel(),
            resources.getQuantityString(R.plurals.runs, settings.runs(), settings.runs()));
    return report.complete() ? text : context.getString(R.string.incomplete, text);
  }

  void show(Report report) {
    TextView facts = view.findViewById(R.id.result_facts);
    facts.setText(
        context.getString(
            R.string.report_facts,
            date(context, report),
            summary(context, report),
            report.device().getOrDefault("platform", ""),
            Texts.state(context, report.before()),
            Texts.state(context, report.after())));
    List<BarChart.Bar> bars = new ArrayList<>();
    rows.removeAllViews();
    for (Timing timing : report.timings()) {
      String kind = Texts.kind(context, timing.kind());
      boolean ours = timing.runtime().startsWith("delegate");
      String ms = Texts.ms(context, timing.medianMs());
      bars.add(new BarChart.Bar(kind + "  " + timing.model(), timing.medianMs(), ms, ours));
      add(timing, kind, report.layers().get(timing.model()));
    }
    BarChart chart = view.findViewById(R.id.chart);
    chart.show(context.getString(R.string.chart_title), bars);
    TextView failures = view.findViewById(R.id.result_failures);
    Screen.show(
        failures,
        report.failures().stream()
            .map(Failure::reason)
            .collect(Collectors.joining("\n")));
  }

  private void add(Timing timing, String kind, List<NodeTiming> layers) {
    View row = LayoutInflater.from(context).inflate(R.layout.result_row, rows, false);
    text(row, R.id.result_title, kind);
    text(row, R.id.result_model, timing.model());
    text(row, R.id.result_runtime, timing.runtime());
    text(row, R.id.result_median, Texts.ms(context, timing.medianMs()));
    text(row, R.id.result_p90, Texts.ms(context, timing.p90Ms()));
    text(row, R.id.result_first, Texts.ms(context, timing.firstMs()));
    text(row, R.id.result_init, Texts.ms(context, timing.initMs()));
    text(row, R.id.result_memory, Texts.bytes(context, timing.memoryBytes()));
    text(row, R.id.result_file, Texts.bytes(context, timing.fileBytes()));
    TextView toggle = row.findViewById(R.id.result_toggle);
    ViewGroup table = row.findViewById(R.id.result_layers);
    View scroller = row.findViewById(R.id.result_layers_scroll);
    if (layers == null || layers.isEmpty()) {
      toggle.setVisibility(View.GONE);
    } else {
      fill(table, layers);
      toggle.setOnClickListener(
          clicked -> {
            boolean open = scroller.getVisibility() != View.VISIBLE;
            scroller.setVisibility(open ? View.VISIBLE : View.GONE);
            toggle.setText(open ? R.string.hide_layers : R.string.show_layers);
          });
    }
    rows.addView(row);
  }

  private void fill(ViewGroup table, List<NodeTiming> layers) {
    double total = 0;
    for (NodeTiming layer : layers) total += layer.meanMs();
    for (NodeTiming layer : layers) {
      View row = LayoutInflater.from(context).inflate(R.layout.layer_row, table, false);
      text(row, R.id.layer_op, context.getString(R.string.layer_op, layer.node(), layer.op()));
      text(row, R.id.layer_shape, shape(layer.input()) + " \u2192 " + shape(layer.output()));
      text(row, R.id.layer_kernel, layer.kernel());
      text(row, R.id.layer_ms, Texts.digits(layer.meanMs()));
      text(row, R.id.layer_share, Texts.percent(context, total > 0 ? layer.meanMs() / total : 0));
      table.addView(row);
    }
  }

  private static String shape(int[] sides) {
    return Arrays.stream(sides).mapToObj(String::valueOf).collect(Collectors.joining("\u00d7"));
  }

  private static void text(View row, int id, String text) {
    ((TextView) row.findViewById(id)).setText(text);
  }
}
