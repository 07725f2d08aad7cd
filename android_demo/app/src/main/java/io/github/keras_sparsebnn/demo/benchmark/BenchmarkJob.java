package io.github.keras_sparsebnn.demo.benchmark;

import android.content.Context;
import android.os.Handler;
import android.os.Looper;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.models.Model;
import java.io.IOException;
import java.util.List;

/**
 * The benchmark that runs, if one does. It belongs to the process, so that it goes on when the
 * screen turns. What it has found is written down while it runs: a process may end at any time.
 */
public final class BenchmarkJob {
  /** Is told on the main thread that {@link #state} or {@link #report} has changed. */
  public interface Observer {
    void changed();
  }

  /**
   * How far it is.
   *
   * @param running whether it measures
   * @param done inferences
   * @param total inferences in all
   * @param model that was measured last
   */
  public record State(boolean running, long done, long total, String model) {}

  private static final State IDLE = new State(false, 0, 0, "");
  private static final long UPDATE_NANOS = 50_000_000L;

  private final Context context;
  private final History history;
  private final Handler main = new Handler(Looper.getMainLooper());
  private Observer observer;
  private volatile boolean cancelled;
  private volatile State state = IDLE;
  private volatile Report report;
  private volatile String problem = "";
  private Thread thread;

  public BenchmarkJob(Context context, History history) {
    this.context = context;
    this.history = history;
  }

  /** Who is told of changes until another one is, or until it is forgotten. On the main thread. */
  public void observe(Observer newObserver) {
    observer = newObserver;
  }

  /** The end of an observer; Android may destroy a screen after it has shown the next one. */
  public void forget(Observer old) {
    if (observer == old) observer = null;
  }

  public State state() {
    return state;
  }

  /** What the last benchmark found, or this one so far; null if there was none. */
  public Report report() {
    return report;
  }

  /** Why a report could not be written down, in one line; "" if it could. */
  public String problem() {
    return problem;
  }

  /** Begins to measure; nothing happens while another benchmark runs. On the main thread. */
  public void start(Settings settings, List<Model> models) {
    if (state.running()) return;
    cancelled = false;
    problem = "";
    report = null;
    state = new State(true, 0, 1, "");
    thread = new Thread(() -> measure(settings, models), "benchmark");
    thread.start();
    changed();
  }

  /** Ends the benchmark soon; what it has found is kept. */
  public void cancel() {
    cancelled = true;
  }

  /** Waits for the end; for tests and instrumentation. */
  public void join() throws InterruptedException {
    if (thread != null) thread.join();
  }

  private void measure(Settings settings, List<Model> models) {
    try {
      keep(new Benchmark(context, settings, new Progress()).run(models));
    } catch (OutOfMemoryError error) {
      problem = context.getString(R.string.error_memory);
    } finally {
      state = IDLE;
      main.post(this::changed);
    }
  }

  private final class Progress implements Benchmark.Listener {
    private long updated;

    @Override
    public boolean progress(long done, long total, String model) {
      long now = System.nanoTime();
      if (now - updated >= UPDATE_NANOS) {
        updated = now;
        state = new State(true, done, total, model);
        main.post(BenchmarkJob.this::changed);
      }
      return !cancelled;
    }

    @Override
    public void soFar(Report soFar) {
      keep(soFar);
    }
  }

  private void keep(Report found) {
    report = found;
    if (found.timings().isEmpty() && found.failures().isEmpty()) return;
    try {
      history.write(found);
    } catch (IOException error) {
      problem = context.getString(R.string.error_history, UserError.reason(error));
    }
  }

  private void changed() {
    if (observer != null) observer.changed();
  }
}
