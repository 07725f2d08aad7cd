"""The wheel: what is in it, and that it works away from the checkout."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import __version__
from keras_sparsebnn.runtime import Interpreter

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"

# What `ai_edge_litert.interpreter` imports beside NumPy.
LITERT_NEEDS = ("flatbuffers", "typing_extensions.py", "ml_dtypes", "backports")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout stays clean and stale builds do not leak in."""
    source = tmp_path_factory.mktemp("source") / "checkout"
    source.mkdir()
    for name in (
        *("pyproject.toml", "setup.py", "setup.cfg"),
        *("MANIFEST.in", "README.md", "LICENSE"),
    ):
        shutil.copy(ROOT / name, source)
    for name in ("keras_sparsebnn", "delegate", "tests"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    output = tmp_path_factory.mktemp("wheel")
    command = f"{sys.executable} -m pip wheel --quiet --no-index --no-deps --no-build-isolation"
    subprocess.run(
        [*command.split(), "--disable-pip-version-check", "-w", str(output), str(source)],
        check=True,
    )
    (path,) = output.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


class Bare:
    """A fresh virtual environment: the wheel, NumPy, and nothing that is not named."""

    def __init__(self, folder: Path, unpacked: Path, *packages: str) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        (site,) = folder.glob("lib/python*/site-packages")
        shutil.copytree(unpacked, site, dirs_exist_ok=True)
        here = Path(sysconfig.get_path("purelib"))
        for pattern in ("numpy", "numpy.libs", *packages):
            for found in here.glob(pattern):
                (site / found.name).symlink_to(found)
        self.python = folder / "bin" / "python"
        self.folder = folder

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *arguments],
            env={"PATH": os.environ.get("PATH", "")},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=check,
        )


@pytest.fixture(scope="module")
def bare(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    return Bare(tmp_path_factory.mktemp("bare") / "venv", unpacked)


def test_contains_every_source_file_and_nothing_else(wheel):
    expected = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "keras_sparsebnn").rglob("*.py")
    }
    expected.add("keras_sparsebnn/py.typed")
    expected.add("keras_sparsebnn/converters/FORMAT.md")
    expected.add("keras_sparsebnn/runtime/libsparsebnn_delegate.so")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected


@pytest.mark.skipif(sys.platform != "linux", reason="the tag of other systems is their own")
def test_installs_on_every_python_and_linux_since_2014(wheel):
    assert wheel.name == (
        f"keras_sparsebnn-{__version__}-py3-none-manylinux2014_{platform.machine()}.whl"
    )
    with zipfile.ZipFile(wheel) as archive:
        folder = f"keras_sparsebnn-{__version__}.dist-info"
        fields = Parser().parsestr(archive.read(f"{folder}/WHEEL").decode())
    assert fields["Root-Is-Purelib"] == "false"


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        folder = f"keras_sparsebnn-{__version__}.dist-info"
        text = archive.read(f"{folder}/METADATA").decode()
        entry_points = archive.read(f"{folder}/entry_points.txt").decode()
        assert any(name.endswith("LICENSE") for name in archive.namelist())
    fields = Parser().parsestr(text)
    assert fields["Name"] == "keras-sparsebnn"
    assert fields["Version"] == __version__
    assert set(fields.get_all("Provides-Extra")) == {"train", "convert", "device", "dev"}
    required = [line for line in fields.get_all("Requires-Dist") if "extra ==" not in line]
    assert [line.partition(">")[0].partition("<")[0].strip() for line in required] == ["numpy"]
    assert "sparsebnn = keras_sparsebnn.cli:main" in entry_points


class TestWithoutTensorFlow:
    def test_light_half_imports(self, bare):
        code = (
            "import importlib.util, sys\n"
            "assert importlib.util.find_spec('tensorflow') is None\n"
            "import keras_sparsebnn.runtime, keras_sparsebnn.codebook\n"
            "import keras_sparsebnn.analysis.accounting\n"
            "print(keras_sparsebnn.__file__)\n"
        )
        assert str(bare.folder) in bare.run("-c", code).stdout

    def test_keras_half_says_what_to_install(self, bare):
        code = "try: import keras_sparsebnn.layers\nexcept ImportError as error: print(error)"
        (line,) = bare.run("-c", code).stdout.splitlines()
        assert line == (
            "Expected TensorFlow to be installed, found none. "
            "Run: pip install 'keras-sparsebnn[train]'"
        )

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("train --out run", "Expected TensorFlow to be installed"),
            ("benchmark {golden}/float_only.tflite", "keras-sparsebnn[device]"),
            ("benchmark {golden}/lce_selected.tflite", "keras-sparsebnn[device]"),
            ("benchmark {golden}/subbit_v1.tflite", "keras-sparsebnn[device]"),
            ("inspect {golden}/lce_selected.tflite", "pip install 'keras-sparsebnn["),
        ],
    )
    def test_commands_say_what_to_install(self, bare, arguments, expected):
        command = arguments.format(golden=GOLDEN).split()
        result = bare.run("-m", "keras_sparsebnn", *command, check=False)
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"sparsebnn {command[0]}: error: ")
        assert expected in line
        assert (result.returncode, result.stdout) == (2, "")

    def test_help_and_version(self, bare):
        assert "benchmark" in bare.run("-m", "keras_sparsebnn", "--help").stdout
        version = bare.run("-m", "keras_sparsebnn", "--version").stdout
        assert version == f"sparsebnn {__version__}\n"

    def test_lce_files_run_without_tensorflow(self, unpacked, tmp_path):
        # LCE's package imports TensorFlow; its interpreter library does not need it.
        pytest.importorskip("larq_compute_engine")
        with_lce = Bare(tmp_path / "venv", unpacked, "larq_compute_engine")
        model = str(GOLDEN / "lce_selected.tflite")
        result = with_lce.run("-m", "keras_sparsebnn", "benchmark", model, "--runs", "2")
        assert f"{model}  lce " in result.stdout

    def test_binary_files_run_on_litert(self, unpacked, tmp_path):
        device = Bare(tmp_path / "venv", unpacked, "ai_edge_litert", *LITERT_NEEDS)
        code = (
            "import sys\n"
            "import numpy as np\n"
            "from keras_sparsebnn.runtime import Interpreter\n"
            "x = np.random.default_rng(0).standard_normal((2, 4, 4, 32)).astype('float32')\n"
            "for path in sys.argv[1:]:\n"
            "    interpreter = Interpreter(path)\n"
            "    assert interpreter.runtime == 'delegate on litert'\n"
            "    print(interpreter.predict(x).tobytes().hex())\n"
            "assert 'tensorflow' not in sys.modules\n"
        )
        files = [str(GOLDEN / name) for name in ("lce_selected.tflite", "subbit_v1.tflite")]
        lce, subbit = device.run("-c", code, *files).stdout.split()
        assert lce == subbit
        x = np.random.default_rng(0).standard_normal((2, 4, 4, 32)).astype("float32")
        expected = Interpreter(files[0], runtime="lce").predict(x)
        got = np.frombuffer(bytes.fromhex(lce), np.float32).reshape(expected.shape)
        np.testing.assert_array_max_ulp(got, expected, maxulp=1)


def test_wheel_with_tensorflow_away_from_the_checkout(unpacked, tmp_path):
    code = (
        "import sys\n"
        "import keras_sparsebnn, keras_sparsebnn.converters as converters\n"
        "import keras_sparsebnn.layers as layers\n"
        "print(keras_sparsebnn.__file__, converters.__file__)\n"
        "converters.convert_keras_model, converters.verify\n"
        "print(layers.SparseBinaryConv2D(8, 3).kernel_quantizer.codewords)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    places, codewords = result.stdout.splitlines()
    assert all(place.startswith(str(unpacked)) for place in places.split())
    assert codewords == "32"
