"""Runs models with the delegate in one TFLite package, and compares with expected outputs.

    python check_runtime.py MODULE FOLDER

Started by `runtimes.py` with the Python of an environment that has the wheel and the package:
MODULE is e.g. `ai_edge_litert.interpreter`; FOLDER holds `name.tflite` and `name.npz` with the
arrays `input` and `output`. Prints a line per model; the last line tells the outcome.
"""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from keras_sparsebnn.runtime import Interpreter, delegate_library

THREADS = (1, 2)


def invoke(library: Any, model: Path, x: np.ndarray, threads: int) -> np.ndarray:
    """As a user writes it who knows nothing of keras_sparsebnn."""
    delegate = library.load_delegate(str(delegate_library()), {"num_threads": threads})
    interpreter = library.Interpreter(str(model), experimental_delegates=[delegate])
    (input_detail,) = interpreter.get_input_details()
    (output_detail,) = interpreter.get_output_details()
    interpreter.resize_tensor_input(input_detail["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(input_detail["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(output_detail["index"])


def check(library: Any, model: Path) -> None:
    """Raises AssertionError where an output differs."""
    arrays = np.load(model.with_suffix(".npz"))
    x, expected = arrays["input"], arrays["output"]
    # The delegate runs all of it, so that the runtime's own float kernels do not matter.
    for threads in THREADS:
        np.testing.assert_array_max_ulp(invoke(library, model, x, threads), expected, maxulp=1)
    interpreter = Interpreter(model)
    assert interpreter.runtime.startswith("delegate on "), interpreter.runtime
    np.testing.assert_array_max_ulp(interpreter.predict(x), expected, maxulp=1)

    # Several interpreters at once, each in a thread of its own.
    results: list[np.ndarray] = []
    threads_running = [
        threading.Thread(target=lambda: results.append(invoke(library, model, x, 2)))
        for _ in range(4)
    ]
    for thread in threads_running:
        thread.start()
    for thread in threads_running:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_max_ulp(result, expected, maxulp=1)


def main() -> int:
    module, folder = sys.argv[1], Path(sys.argv[2])
    library = importlib.import_module(module)
    if not module.startswith("tensorflow"):
        assert "tensorflow" not in sys.modules
    models = sorted(folder.glob("*.tflite"))
    assert models, f"no models in {folder}"
    for model in models:
        check(library, model)
        print(f"{module}: {model.name} agrees")
    print("OK")
    return 0


if __name__ == "__main__":
    sys.exit(main())
