"""The wheel beside every TFLite package that it claims to work with.

    python tests/packaging/runtimes.py WHEEL [--tensorflow PYTHON ...]

Each package gets a fresh environment with the wheel and without TensorFlow; `check_runtime.py`
runs the golden models there. `--tensorflow` names Pythons that have TensorFlow, whose tf.lite
is checked as well. Needs larq-compute-engine here, for the expected outputs, and the package
index.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_sparsebnn.runtime import Interpreter, custom_ops

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
SAMPLES = 3

# LCE does not know sub-bit files: the outputs are those of the file they were made from.
SOURCES = {"subbit_v1.tflite": "lce_selected.tflite"}

# The oldest and the newest that install, and the last tflite-runtime: for Python up to 3.11.
PACKAGES = (
    ("ai_edge_litert.interpreter", ("ai-edge-litert==1.0.1", "numpy<2"), (3, 11)),
    ("ai_edge_litert.interpreter", ("ai-edge-litert<3",), (3, 12)),
    ("tflite_runtime.interpreter", ("tflite-runtime==2.14.0", "numpy<2"), (3, 11)),
)


def expected_outputs(folder: Path) -> None:
    """Copies the golden models with binary layers, and writes what LCE makes of an input."""
    for model in sorted(GOLDEN.glob("*.tflite")):
        ops = custom_ops(model.read_bytes())
        if not ops:
            continue
        shutil.copy(model, folder)
        source = GOLDEN / SOURCES.get(model.name, model.name)
        interpreter = Interpreter(source, runtime="lce")
        (tensor,) = interpreter.inputs
        shape = (SAMPLES, *tensor.shape[1:])
        x = np.random.default_rng(0).standard_normal(shape).astype(tensor.dtype)
        np.savez(folder / f"{model.stem}.npz", input=x, output=interpreter.predict(x))


def check(python: str, module: str, folder: Path, environment: dict[str, str]) -> bool:
    result = subprocess.run(
        [python, str(HERE / "check_runtime.py"), module, str(folder)],
        env={"PATH": os.environ.get("PATH", ""), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    agrees = result.returncode == 0 and result.stdout.splitlines()[-1:] == ["OK"]
    if not agrees:
        print(result.stdout, result.stderr, sep="\n", file=sys.stderr)
    return agrees


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--tensorflow", nargs="*", default=[], metavar="PYTHON")
    args = parser.parse_args()
    failed = 0

    def report(what: str, agrees: bool) -> None:
        nonlocal failed
        failed += not agrees
        print(f"{what}: {'as LCE' if agrees else 'FAILED'}", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "models")
        folder.mkdir()
        expected_outputs(folder)
        for number, (module, requirements, newest_python) in enumerate(PACKAGES):
            what = " ".join(requirements)
            if sys.version_info[:2] > newest_python:
                print(f"{what}: skipped, has no wheels for Python {sys.version.split()[0]}")
                continue
            environment = Path(temporary, f"venv{number}")
            # With this environment's pip: one more, and bytecode, take longer than the check.
            venv = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
            subprocess.run(venv, check=True)
            python = str(environment / "bin" / "python")
            pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-compile"]
            pip += ["--quiet", "--disable-pip-version-check", str(args.wheel.resolve())]
            subprocess.run([*pip, *requirements], check=True)
            report(what, check(python, module, folder, {}))
        for interpreter in args.tensorflow:
            # A virtual environment is known by the path of its link, which is not resolved.
            python = str(Path(interpreter).absolute())
            version = subprocess.run(
                [
                    python,
                    "-c",
                    "from importlib.metadata import version; print(version('tensorflow'))",
                ],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.strip()
            agrees = check(
                python,
                "tensorflow.lite.python.interpreter",
                folder,
                {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            report(f"tf.lite {version}", agrees)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
