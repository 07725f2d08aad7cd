"""Runs on the emulated machine: every model of a folder in stock LiteRT with the delegate.

    run_in_stock_litert.py LIBRARY FOLDER

NAME.tflite is fed with FOLDER/NAME.inputs.npy; for every kernel and number of threads the
output goes to NAME.KERNEL.THREADS.npy. LiteRT's own interface only: what any program can do.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate

library, folder = sys.argv[1], Path(sys.argv[2])
for model in sorted(folder.glob("*.tflite")):
    inputs = np.load(model.with_suffix(".inputs.npy"))
    for kernel in ("auto", "xnor", "codebook", "reference"):
        for threads in (1, 3):
            options = {"kernel": kernel, "num_threads": threads}
            interpreter = Interpreter(
                model_path=str(model),
                num_threads=threads,
                experimental_delegates=[load_delegate(library, options)],
            )
            (entry,) = interpreter.get_input_details()
            interpreter.resize_tensor_input(entry["index"], inputs.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(entry["index"], inputs)
            interpreter.invoke()
            (exit_,) = interpreter.get_output_details()
            output = interpreter.get_tensor(exit_["index"])
            np.save(folder / f"{model.stem}.{kernel}.{threads}.npy", output)
