package io.github.keras_sparsebnn.demo.benchmark;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * Reports as JSON, in the format of {@code sparsebnn benchmark --json}: `machine`, `platform`,
 * `timings` and `layers` have all of its fields. Beside them are those that only a device has.
 */
public final class ReportJson {
  private ReportJson() {}

  /** Indented by two, as Python's. */
  public static String write(Report report) {
    try {
      return json(report).toString(2);
    } catch (JSONException error) {
      throw new IllegalStateException(error);
    }
  }

  /** In one line, for programs. */
  public static String writeLine(Report report) {
    try {
      return json(report).toString();
    } catch (JSONException error) {
      throw new IllegalStateException(error);
    }
  }

  private static JSONObject json(Report report) throws JSONException {
    JSONArray timings = new JSONArray();
    for (Timing timing : report.timings()) timings.put(json(timing));
    JSONObject layers = new JSONObject();
    for (var entry : report.layers().entrySet()) {
      JSONArray nodes = new JSONArray();
      for (NodeTiming node : entry.getValue()) nodes.put(json(node));
      layers.put(entry.getKey(), nodes);
    }
    JSONArray failures = new JSONArray();
    for (Failure failure : report.failures()) {
      failures.put(new JSONObject().put("model", failure.model()).put("error", failure.reason()));
    }
    Settings settings = report.settings();
    return new JSONObject()
        .put("machine", report.device().getOrDefault("machine", ""))
        .put("platform", report.device().getOrDefault("platform", ""))
        .put("timings", timings)
        .put("layers", layers)
        .put("failures", failures)
        .put("started_ms", report.started())
        .put("complete", report.complete())
        .put(
            "settings",
            new JSONObject()
                .put("models", new JSONArray(settings.models()))
                .put("num_threads", settings.threads())
                .put("kernel", settings.kernel())
                .put("warmup", settings.warmup())
                .put("runs", settings.runs()))
        .put("device", new JSONObject(report.device()))
        .put("state_before", json(report.before()))
        .put("state_after", json(report.after()));
  }

  private static JSONObject json(Timing timing) throws JSONException {
    return new JSONObject()
        .put("model", timing.model())
        .put("runtime", timing.runtime())
        .put("num_threads", timing.threads())
        .put("first_ms", timing.firstMs())
        .put("warmup", timing.warmup())
        .put("runs", timing.runs())
        .put("median_ms", timing.medianMs())
        .put("p90_ms", timing.p90Ms())
        .put("min_ms", timing.minMs())
        .put("spread", timing.spread())
        .put("peak_memory_bytes", orNull(timing.memoryBytes()))
        .put("speedup_over_lce", JSONObject.NULL)
        .put("kind", timing.kind())
        .put("init_ms", timing.initMs())
        .put("file_bytes", timing.fileBytes());
  }

  private static JSONObject json(NodeTiming node) throws JSONException {
    return new JSONObject()
        .put("node", node.node())
        .put("op", node.op())
        .put("input_shape", json(node.input()))
        .put("output_shape", json(node.output()))
        .put("kernel", node.kernel())
        .put("mean_ms", node.meanMs());
  }

  private static JSONArray json(int[] shape) {
    JSONArray sides = new JSONArray();
    for (int side : shape) sides.put(side);
    return sides;
  }

  private static JSONObject json(DeviceState state) throws JSONException {
    return new JSONObject()
        .put("battery_percent", orNull(state.batteryPercent()))
        .put("charging", state.charging())
        .put(
            "battery_celsius",
            Double.isNaN(state.batteryCelsius()) ? JSONObject.NULL : state.batteryCelsius())
        .put("power_save", state.powerSave())
        .put("thermal_status", orNull(state.thermal()));
  }

  private static Object orNull(long value) {
    return value < 0 ? JSONObject.NULL : (Object) value;
  }

  /**
   * A report that {@link #write} wrote.
   *
   * @throws JSONException it is damaged
   */
  public static Report read(String text) throws JSONException {
    JSONObject json = new JSONObject(text);
    List<Timing> timings = new ArrayList<>();
    for (JSONObject item : objects(json.getJSONArray("timings"))) timings.add(timing(item));
    Map<String, List<NodeTiming>> layers = new LinkedHashMap<>();
    JSONObject byModel = json.getJSONObject("layers");
    for (var names = byModel.keys(); names.hasNext(); ) {
      String name = names.next();
      List<NodeTiming> nodes = new ArrayList<>();
      for (JSONObject item : objects(byModel.getJSONArray(name))) nodes.add(node(item));
      layers.put(name, nodes);
    }
    List<Failure> failures = new ArrayList<>();
    for (JSONObject item : objects(json.getJSONArray("failures"))) {
      failures.add(new Failure(item.getString("model"), item.getString("error")));
    }
    Map<String, String> device = new LinkedHashMap<>();
    JSONObject facts = json.getJSONObject("device");
    for (var names = facts.keys(); names.hasNext(); ) {
      String name = names.next();
      device.put(name, facts.getString(name));
    }
    return new Report(
        json.getLong("started_ms"),
        json.getBoolean("complete"),
        settings(json.getJSONObject("settings")),
        device,
        state(json.getJSONObject("state_before")),
        state(json.getJSONObject("state_after")),
        timings,
        layers,
        failures);
  }

  private static Settings settings(JSONObject json) throws JSONException {
    List<String> models = new ArrayList<>();
    JSONArray names = json.getJSONArray("models");
    for (int i = 0; i < names.length(); ++i) models.add(names.getString(i));
    return new Settings(
        models,
        json.getInt("num_threads"),
        json.getString("kernel"),
        json.getInt("warmup"),
        json.getInt("runs"));
  }

  private static Timing timing(JSONObject json) throws JSONException {
    return new Timing(
        json.getString("model"),
        json.getString("kind"),
        json.getString("runtime"),
        json.getInt("num_threads"),
        json.getDouble("init_ms"),
        json.getDouble("first_ms"),
        json.getInt("warmup"),
        json.getInt("runs"),
        json.getDouble("median_ms"),
        json.getDouble("p90_ms"),
        json.getDouble("min_ms"),
        json.getDouble("spread"),
        json.optLong("peak_memory_bytes", -1),
        json.getLong("file_bytes"));
  }

  private static NodeTiming node(JSONObject json) throws JSONException {
    return new NodeTiming(
        json.getInt("node"),
        json.getString("op"),
        shape(json.getJSONArray("input_shape")),
        shape(json.getJSONArray("output_shape")),
        json.getString("kernel"),
        json.getDouble("mean_ms"));
  }

  private static DeviceState state(JSONObject json) throws JSONException {
    return new DeviceState(
        json.optInt("battery_percent", -1),
        json.getBoolean("charging"),
        json.optDouble("battery_celsius"),
        json.getBoolean("power_save"),
        json.optInt("thermal_status", -1));
  }

  private static int[] shape(JSONArray sides) throws JSONException {
    int[] shape = new int[sides.length()];
    for (int i = 0; i < shape.length; ++i) shape[i] = sides.getInt(i);
    return shape;
  }

  private static List<JSONObject> objects(JSONArray array) throws JSONException {
    List<JSONObject> objects = new ArrayList<>();
    for (int i = 0; i < array.length(); ++i) objects.add(array.getJSONObject(i));
    return objects;
  }
}
