package io.github.keras_sparsebnn.demo.ui;

import android.content.Context;
import android.text.format.Formatter;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.benchmark.DeviceState;
import io.github.keras_sparsebnn.demo.file.ModelFacts;
import io.github.keras_sparsebnn.demo.file.TensorInfo;
import io.github.keras_sparsebnn.demo.run.NodeProfile;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Figures and facts in words. */
final class Texts {
  private Texts() {}

  /** How a model stores its weights. */
  static String kind(Context context, ModelFacts.Kind kind) {
    return context.getString(
        switch (kind) {
          case FLOAT -> R.string.kind_float;
          case INT8 -> R.string.kind_int8;
          case ONE_BIT -> R.string.kind_one_bit;
          case ONE_BIT_INT8 -> R.string.kind_one_bit_int8;
          case SUBBIT -> R.string.kind_subbit;
          case SUBBIT_INT8 -> R.string.kind_subbit_int8;
        });
  }

  /** The same, from the name in a report; the name itself if it is of a newer version. */
  static String kind(Context context, String name) {
    for (ModelFacts.Kind kind : ModelFacts.Kind.values()) {
      if (kind.name().equalsIgnoreCase(name)) return kind(context, kind);
    }
    return name;
  }

  /** Three digits of milliseconds: "0.0421", "1.23", "150". */
  static String ms(Context context, double ms) {
    return context.getString(R.string.milliseconds, digits(ms));
  }

  static String digits(double value) {
    if (value <= 0) return "0";
    int decimals = 2 - (int) Math.floor(Math.log10(value));
    return String.format(Locale.getDefault(), "%." + Math.max(0, Math.min(4, decimals)) + "f",
        value);
  }

  /** "71 kB", in one piece. */
  static String bytes(Context context, long bytes) {
    return bytes < 0
        ? context.getString(R.string.unknown)
        : Formatter.formatShortFileSize(context, bytes).replace(' ', '\u00a0');
  }

  /** "99.2 %", and "100 %" without a decimal. */
  static String percent(Context context, double share) {
    String format = share >= 0.9995 ? "%.0f" : "%.1f";
    return context.getString(
        R.string.percent, String.format(Locale.getDefault(), format, 100 * share));
  }

  /** "codebook neon, xnor neon": the kernels of these nodes' convolutions. */
  static String kernels(List<NodeProfile> nodes) {
    LinkedHashSet<String> names = new LinkedHashSet<>();
    for (NodeProfile node : nodes) {
      if (node.op().contains("conv") && !node.kernel().isEmpty()) names.add(node.kernel());
    }
    return String.join(", ", names);
  }

  /** "float32 1x8x8x1, int32 1" */
  static String list(List<TensorInfo> tensors) {
    return tensors.stream().map(TensorInfo::toString).collect(Collectors.joining(", "));
  }

  /** Battery, temperature and what else slows a device. */
  static String state(Context context, DeviceState state) {
    StringBuilder text = new StringBuilder();
    text.append(
        state.batteryPercent() < 0
            ? context.getString(R.string.battery_unknown)
            : context.getString(
                state.charging() ? R.string.battery_charging : R.string.battery,
                state.batteryPercent()));
    if (!Double.isNaN(state.batteryCelsius())) {
      text.append(context.getString(R.string.battery_celsius, state.batteryCelsius()));
    }
    if (state.powerSave()) text.append(context.getString(R.string.power_save));
    String[] names = context.getResources().getStringArray(R.array.thermal);
    if (state.thermal() >= 0 && state.thermal() < names.length) {
      text.append(context.getString(R.string.thermal, names[state.thermal()]));
    }
    return text.toString();
  }
}
