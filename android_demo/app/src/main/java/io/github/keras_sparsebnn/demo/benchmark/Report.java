package io.github.keras_sparsebnn.demo.benchmark;

import java.util.List;
import java.util.Map;

/**
 * What a benchmark has found, so far or in the end.
 *
 * @param started milliseconds since 1970
 * @param complete whether all that was asked for is there
 * @param settings what was asked for
 * @param device facts about device and app, in the order to show them
 * @param before state of the device at the start
 * @param after state of the device at the end, or when this was written
 * @param timings a line a model
 * @param layers by model, the nodes that the delegate runs
 * @param failures models that could not be measured
 */
public record Report(
    long started,
    boolean complete,
    Settings settings,
    Map<String, String> device,
    DeviceState before,
    DeviceState after,
    List<Timing> timings,
    Map<String, List<NodeTiming>> layers,
    List<Failure> failures) {}
