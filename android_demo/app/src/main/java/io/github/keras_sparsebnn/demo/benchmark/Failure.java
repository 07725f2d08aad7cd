package io.github.keras_sparsebnn.demo.benchmark;

/**
 * A model that could not be measured.
 *
 * @param model its file's name
 * @param reason one line
 */
public record Failure(String model, String reason) {}
