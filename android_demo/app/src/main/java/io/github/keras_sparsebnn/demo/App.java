package io.github.keras_sparsebnn.demo;

import android.app.Application;
import android.content.Context;
import android.os.Handler;
import android.os.Looper;
import io.github.keras_sparsebnn.demo.benchmark.BenchmarkJob;
import io.github.keras_sparsebnn.demo.benchmark.History;
import io.github.keras_sparsebnn.demo.models.ModelStore;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** What outlives a screen: models, the benchmark that runs, and a thread for short work. */
public final class App extends Application {
  private final ExecutorService worker = Executors.newSingleThreadExecutor();
  private final Handler main = new Handler(Looper.getMainLooper());
  private ModelStore models;
  private History history;
  private BenchmarkJob benchmark;

  @Override
  public void onCreate() {
    super.onCreate();
    models = new ModelStore(this);
    history = new History(this);
    benchmark = new BenchmarkJob(this, history);
  }

  public static App of(Context context) {
    return (App) context.getApplicationContext();
  }

  public ModelStore models() {
    return models;
  }

  public History history() {
    return history;
  }

  public BenchmarkJob benchmark() {
    return benchmark;
  }

  /** Runs tasks one after another, off the main thread. */
  public ExecutorService worker() {
    return worker;
  }

  /** Runs a task on the main thread, later. */
  public void onMain(Runnable task) {
    main.post(task);
  }
}
