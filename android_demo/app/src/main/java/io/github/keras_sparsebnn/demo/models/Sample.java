package io.github.keras_sparsebnn.demo.models;

/**
 * A test image that came with the app.
 *
 * @param set the data set that it is of; a model names the one that it is for
 * @param asset where it lies in the app
 * @param label its class
 */
public record Sample(String set, String asset, String label) {}
