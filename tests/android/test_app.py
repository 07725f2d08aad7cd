"""The app: every test of tests/android/app, in TFLite's and our libraries for Android."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from android_demo.tools import apk, artifacts, assets
from keras_sparsebnn.converters.int8_weights import has_int8_weights
from keras_sparsebnn.devices import reports
from keras_sparsebnn.tflite_file import ModelBuilder, Subgraph, Table, read
from tests.android import app_tests
from tests.android.conftest import need

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux",
    reason="the Android libraries under test are those for x86-64",
)

PACKAGE = "io.github.keras_sparsebnn.demo"
ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
IMAGES = ROOT / "docs" / "images" / "android"


@pytest.fixture(scope="session")
def java_tests(
    java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> app_tests.JavaTests:
    """App and tests, compiled."""
    for group in ("tflite", "aapt2", "android", "android-test", "junit", "robolectric"):
        need(artifacts.fetch, group)
    work = tmp_path_factory.mktemp("app")
    need(apk.compile_app, work)
    return app_tests.prepare(tmp_path_factory.mktemp("tests"), work)


@pytest.fixture(scope="session")
def results(java_tests: app_tests.JavaTests, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By test, "passed" or what it printed."""
    folder = tmp_path_factory.mktemp("inputs")
    models = bad_models(folder / "models")
    expected = folder / "expected.json"
    expected.write_text(json.dumps(expectations()), "utf-8")
    return java_tests.run(app_tests.classes(), expected=expected, models=models)


def expectations() -> dict[str, Any]:
    """What Python says of the same models, pictures and numbers."""
    models = sorted((apk.ASSETS / "models").glob("*.tflite"))
    pixels = np.stack([grey(apk.ASSETS / "samples" / f"{digit}.png") for digit in range(10)])
    # As the app computes it, in float32.
    step = (np.float32(1) - np.float32(-1)) / np.float32(255)
    images = (np.float32(-1) + step * pixels.astype(np.float32))[..., None]
    rng = np.random.default_rng(0)
    quantiles = []
    for count in (1, 2, 5, 50):
        values = np.sort(rng.exponential(size=count))
        for q in (0, 0.25, 0.5, 0.9, 1):
            result = float(np.quantile(values, q))
            quantiles.append({"values": values.tolist(), "q": q, "result": result})
    return {
        "probabilities": {
            path.name: softmax(assets.predict(path.read_bytes(), images)).tolist()
            for path in models
        },
        "facts": [facts(path) for path in (*models, *sorted(GOLDEN.glob("*.tflite")))],
        "quantiles": quantiles,
    }


def grey(path: Path) -> np.ndarray:
    """The pixels of a PNG, whatever wrote it."""
    from PIL import Image

    return np.asarray(Image.open(path))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def facts(path: Path) -> dict[str, Any]:
    """What `ModelFacts` should find, from Python's reader."""
    file = read(path.read_bytes())
    graph = file.subgraphs[0]
    names = [operator.name for operator in graph.operators]
    binary = [name for name in names if name.startswith(("Lce", "Sparsebnn"))]
    kind = ["SUBBIT" if "SparsebnnBconv2d" in names else "ONE_BIT"] if binary else []
    if has_int8_weights(file) or path.stem == "digits_int8":
        kind.append("INT8")
    labels = ",".join(assets.LABELS) if path.parent.name == "models" else ""
    return {
        "path": str(path),
        "kind": "_".join(kind) or "FLOAT",
        "operators": len(names),
        "binary": len(binary),
        "inputs": described(graph, graph.inputs),
        "outputs": described(graph, graph.outputs),
        "labels": labels,
    }


def described(graph: Subgraph, tensors: tuple[int, ...]) -> str:
    """Types and shapes as Java prints a list of them."""
    texts = []
    for tensor in (graph.tensors[index] for index in tensors):
        sides = tensor.table.integers("shape_signature") or tensor.shape
        texts.append(f"{tensor.dtype.lower()} {'x'.join(map(str, sides))}")
    return f"[{', '.join(texts)}]"


def bad_models(folder: Path) -> Path:
    """Files that are no models, or none that can be classified with."""
    folder.mkdir()
    good = (apk.ASSETS / "models" / "digits_subbit.tflite").read_bytes()
    files = {
        "other": good,
        "letter": b"Dear Sir or Madam,\n" * 100,
        "empty": b"",
        "cut": good[: len(good) // 2],
        "unknown_op": graph("MyOwnOp", ([1, 4, 4, 1], "float32")),
        "two_inputs": graph("ADD", ([1, 4, 4, 1], "float32"), ([1, 4, 4, 1], "float32")),
        "no_image": graph("RELU", ([1, 40], "float32")),
        "huge": graph("RELU", ([60_000, 60_000, 64], "float32")),
    }
    for name, data in files.items():
        (folder / f"{name}.tflite").write_bytes(data)
    return folder


def graph(operator: str, *inputs: tuple[list[int], str]) -> bytes:
    """A model of one operator, whose output is like its first input."""
    builder = ModelBuilder()
    tensors = [builder.activation(*one) for one in (*inputs, inputs[0])]
    options = Table("AddOptions") if operator == "ADD" else None
    builder.operator(operator, tensors[:-1], tensors[-1:], options)
    return builder.to_bytes(tensors[:-1], tensors[-1:])


@pytest.mark.parametrize("test", app_tests.methods())
def test_java(test: str, results: dict[str, str]):
    assert results.get(test, results[""]) == "passed"


def test_the_report_has_the_format_of_the_command_line(
    results: dict[str, str], java_tests: app_tests.JavaTests
):
    assert results["BenchmarkTest.measuresEveryModel"] == "passed"
    report = json.loads((java_tests.folder / "report.json").read_text("utf-8"))
    model = apk.ASSETS / "models" / "digits_subbit.tflite"
    command = [sys.executable, "-m", "keras_sparsebnn", "benchmark", model, "--json"]
    command += ["--runs", "3", "--warmup", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    python = json.loads(done.stdout)
    assert python.keys() <= report.keys()
    assert report["machine"] == python["machine"].replace("x86_64", "amd64")
    (timing,) = (one for one in report["timings"] if one["model"] == model.name)
    assert_same_types(python["timings"][0], timing)
    python_nodes = next(iter(python["layers"].values()))
    nodes = report["layers"][model.name]
    for python_node, node in zip(python_nodes, nodes, strict=True):
        assert_same_types(python_node, node)
        for field in ("node", "op", "input_shape", "output_shape", "kernel"):
            assert node[field] == python_node[field]


def test_the_command_line_reads_what_the_instrumentation_prints(
    results: dict[str, str], java_tests: app_tests.JavaTests
):
    assert results["InstrumentedRunTest.reportsInOneLine"] == "passed"
    printed = json.loads((java_tests.folder / "instrumented.json").read_text("utf-8"))
    report = reports.checked(printed, "small.tflite", "adb:phone")
    (timing,) = report["timings"]
    assert (timing["model"], timing["runs"]) == ("small.tflite", 7)
    assert "SparsebnnBconv2d" in {node["op"] for node in report["layers"]["small.tflite"]}


def assert_same_types(python: dict[str, Any], java: dict[str, Any]) -> None:
    """Every field of the one is in the other; an integral float may be an integer there."""
    assert python.keys() <= java.keys()
    for name, value in python.items():
        kind = (int, float) if isinstance(value, float) else type(value)
        assert value is None or java[name] is None or isinstance(java[name], kind), name


def test_a_killed_benchmark_keeps_its_results(
    java_tests: app_tests.JavaTests, results: dict[str, str], tmp_path: Path
):
    assert results["BenchmarkTest.measuresEveryModel"] == "passed"
    name = f"{PACKAGE}.benchmark.BenchmarkTest"
    command = java_tests.command("RunTests", f"{name}#measuresUntilKilled", kept=tmp_path)
    running = subprocess.Popen(
        command,
        env=java_tests.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("benchmarks/*.json")):
            assert running.poll() is None, "it ended before it had written anything"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # while it is perhaps writing again
    finally:
        running.kill()
        running.wait()
    after = java_tests.run([f"{name}#keptWhatItHad"], kept=tmp_path)
    assert after["BenchmarkTest.keptWhatItHad"] == "passed", after


@pytest.mark.parametrize("name", ["classify", "benchmark", "results", "models"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_documentation_has_every_screen(name: str, theme: str):
    picture = IMAGES / f"{name}-{theme}.png"
    assert picture.is_file(), "run: python -m tests.android.screenshots"
