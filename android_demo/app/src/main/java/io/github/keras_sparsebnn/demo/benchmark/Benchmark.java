package io.github.keras_sparsebnn.demo.benchmark;

import android.content.Context;
import android.os.Build;
import io.github.keras_sparsebnn.SparsebnnDelegate;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.models.Model;
import io.github.keras_sparsebnn.demo.run.Network;
import io.github.keras_sparsebnn.demo.run.NodeProfile;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.TensorFlowLite;

/**
 * Times models against each other, as {@code keras_sparsebnn.runtime.benchmark} does: they take
 * turns in blocks of {@link #BLOCK} inferences, so that a device that gets warm or busy slows all
 * of them alike; only the inference itself is timed. The nodes are timed in runs of their own,
 * since reading the clock around each takes time.
 */
final class Benchmark {
  /** Inferences of a model in a row: they refill the caches, and are too few for any drift. */
  static final int BLOCK = 10;

  /** Hears how far a benchmark is. Called on the thread that measures. */
  interface Listener {
    /** After some inferences. Returns whether to go on. */
    boolean progress(long done, long total, String model);

    /** Between blocks, with what is known so far: called rarely enough to write it down. */
    void soFar(Report report);
  }

  private static final long REPORT_NANOS = 1_000_000_000L;
  private static final int SEED = 20260101;

  private final Context context;
  private final Settings settings;
  private final Listener listener;
  private final long started = System.currentTimeMillis();
  private final DeviceState before;
  private final List<Case> cases = new ArrayList<>();
  private final Map<String, List<NodeTiming>> layers = new LinkedHashMap<>();
  private final List<Failure> failures = new ArrayList<>();
  private long done;
  private long total;
  private long reported = System.nanoTime();
  private boolean stopped;

  /** A model and what was measured of it. */
  private static final class Case {
    final Model model;
    final Network network;
    final long[] nanos;
    final long memory;
    long first;
    int runs;

    Case(Model model, Network network, int runs, long memory) {
      this.model = model;
      this.network = network;
      this.memory = memory;
      nanos = new long[runs];
    }
  }

  Benchmark(Context context, Settings settings, Listener listener) {
    this.context = context;
    this.settings = settings;
    this.listener = listener;
    before = DeviceState.read(context);
  }

  /** Measures until all is done or the listener says stop; what was measured is in the report. */
  Report run(List<Model> models) {
    for (Model model : models) total += cost(model);
    try {
      for (Model model : models) load(model);
      for (int start = 0; start < settings.runs() && !stopped; start += BLOCK) {
        for (Case one : new ArrayList<>(cases)) {
          block(one, Math.min(BLOCK, settings.runs() - start));
        }
        if (System.nanoTime() - reported >= REPORT_NANOS) report();
      }
    } finally {
      for (Case one : cases) one.network.close();
    }
    for (Case one : cases) if (!stopped) profile(one.model);
    return report(!stopped);
  }

  private long cost(Model model) {
    long once = settings.warmup() + (long) settings.runs();
    return model.facts().kind().binary() ? 2 * once : once;
  }

  private Network.Options options(boolean profile) {
    return new Network.Options(settings.threads(), settings.kernel(), profile);
  }

  private void load(Model model) {
    if (stopped) return;
    long resident = Memory.resident();
    Network network = null;
    try {
      network = new Network(model, options(false));
      randomise(network);
      long first = 0;
      for (int i = 0; i < settings.warmup() && !stopped; ++i) {
        network.run();
        if (i == 0) first = network.nanos();
        progress(model);
      }
      long now = Memory.resident();
      long grown = resident < 0 || now < 0 ? -1 : Math.max(0, now - resident);
      Case loaded = new Case(model, network, settings.runs(), grown);
      loaded.first = first;
      cases.add(loaded);
    } catch (UserError | OutOfMemoryError error) {
      if (network != null) network.close();
      fail(model, error);
    }
  }

  private void block(Case one, int runs) {
    try {
      for (int i = 0; i < runs && !stopped; ++i) {
        one.network.run();
        one.nanos[one.runs++] = one.network.nanos();
        progress(one.model);
      }
    } catch (UserError error) {
      cases.remove(one);
      one.network.close();
      fail(one.model, error);
    }
  }

  private void profile(Model model) {
    if (!model.facts().kind().binary()) return;
    try (Network network = new Network(model, options(true))) {
      randomise(network);
      for (int i = 0; i < settings.warmup() && !stopped; ++i) {
        network.run();
        progress(model);
      }
      List<NodeProfile> from = network.nodes();
      int runs = 0;
      while (runs < settings.runs() && !stopped) {
        network.run();
        ++runs;
        progress(model);
      }
      if (runs > 0) layers.put(model.name(), timings(from, network.nodes(), runs));
    } catch (UserError error) {
      fail(model, error);
    }
  }

  private static List<NodeTiming> timings(
      List<NodeProfile> from, List<NodeProfile> to, int runs) {
    List<NodeTiming> timings = new ArrayList<>();
    for (int i = 0; i < to.size(); ++i) {
      NodeProfile node = to.get(i);
      double mean = (node.nanos() - from.get(i).nanos()) * 1e-6 / runs;
      timings.add(
          new NodeTiming(
              node.node(), node.op(), node.input(), node.output(), node.kernel(), mean));
    }
    return timings;
  }

  private void fail(Model model, Throwable error) {
    failures.add(new Failure(model.name(), UserError.line(context, error)));
    total -= cost(model);
  }

  private void progress(Model model) {
    done = Math.min(done + 1, total);
    stopped |= !listener.progress(done, total, model.name());
  }

  /** Normally distributed floats, any 8-bit numbers, and zeros for all other types. */
  private static void randomise(Network network) {
    Random random = new Random(SEED);
    for (int i = 0; i < network.inputCount(); ++i) {
      ByteBuffer input = network.input(i);
      input.rewind();
      DataType type = network.inputTensor(i).dataType();
      while (input.hasRemaining()) {
        if (type == DataType.FLOAT32) {
          input.putFloat((float) random.nextGaussian());
        } else if (type == DataType.INT8 || type == DataType.UINT8) {
          input.put((byte) random.nextInt());
        } else {
          input.put((byte) 0); // an index, perhaps: 0 is always valid
        }
      }
    }
  }

  private void report() {
    listener.soFar(report(false));
    reported = System.nanoTime();
  }

  private Report report(boolean complete) {
    List<Timing> timings = new ArrayList<>();
    for (Case one : cases) if (one.runs > 0) timings.add(timing(one));
    return new Report(
        started,
        complete,
        settings,
        facts(),
        before,
        DeviceState.read(context),
        timings,
        new LinkedHashMap<>(layers),
        new ArrayList<>(failures));
  }

  private Timing timing(Case one) {
    double[] sorted = Timing.sortedMs(one.nanos, one.runs);
    double median = Timing.quantile(sorted, 0.5);
    double middle = Timing.quantile(sorted, 0.75) - Timing.quantile(sorted, 0.25);
    return new Timing(
        one.model.name(),
        one.model.facts().kind().name().toLowerCase(Locale.ROOT),
        one.network.runtime(),
        settings.threads(),
        one.network.initNanos() * 1e-6,
        one.first * 1e-6,
        settings.warmup(),
        one.runs,
        median,
        Timing.quantile(sorted, 0.9),
        sorted[0],
        median > 0 ? middle / median : 0,
        one.memory,
        one.model.bytes());
  }

  private static Map<String, String> facts() {
    Map<String, String> facts = new LinkedHashMap<>();
    String name = Build.MANUFACTURER + " " + Build.MODEL;
    facts.put("machine", String.valueOf(System.getProperty("os.arch")));
    facts.put("platform", "Android " + Build.VERSION.RELEASE + " (API " + Build.VERSION.SDK_INT
        + "), " + name);
    facts.put("device", name);
    if (Build.VERSION.SDK_INT >= 31) facts.put("chip", Api31.chip());
    facts.put("abi", Build.SUPPORTED_ABIS.length > 0 ? Build.SUPPORTED_ABIS[0] : "");
    facts.put("cores", String.valueOf(Runtime.getRuntime().availableProcessors()));
    facts.put("delegate", SparsebnnDelegate.version());
    facts.put(Network.RUNTIME, TensorFlowLite.runtimeVersion());
    return facts;
  }
}
