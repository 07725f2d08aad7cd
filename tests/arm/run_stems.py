"""Runs on the emulated machine: each NAME.tflite of a folder on NAME.npy, with stem and glue
left to the runtime (0), and not (1). Prints what ran each stem.

run_stems.py LIBRARY FOLDER
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate

library, folder = sys.argv[1], Path(sys.argv[2])
profile = ctypes.CDLL(library).sparsebnn_delegate_profile_json
profile.argtypes, profile.restype = [ctypes.c_void_p], ctypes.c_char_p
for model in sorted(folder.glob("*.tflite")):
    for stem in (0, 1):
        delegate = load_delegate(library, {"stem": stem, "glue": stem})
        interpreter = Interpreter(str(model), num_threads=1, experimental_delegates=[delegate])
        interpreter.allocate_tensors()
        (entry,) = interpreter.get_input_details()
        interpreter.set_tensor(entry["index"], np.load(model.with_suffix(".npy")))
        interpreter.invoke()
        floats, _ = interpreter.get_output_details()
        np.save(f"{model}.{stem}", interpreter.get_tensor(floats["index"]))
    (partition,) = json.loads(profile(delegate._get_native_delegate_pointer()))["partitions"]
    print(*(node["kernel"] for node in partition["nodes"] if node["op"].endswith("CONV_2D")))
