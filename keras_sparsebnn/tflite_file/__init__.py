"""The bytes of a .tflite: schema, reader, writer."""
