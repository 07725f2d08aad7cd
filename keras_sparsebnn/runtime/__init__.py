"""The light half: runs and times .tflite files without TensorFlow."""
