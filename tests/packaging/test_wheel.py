"""Source distribution, wheel, editable install: what is in them; they work elsewhere."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_sparsebnn import __version__
from keras_sparsebnn.runtime import Interpreter

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"

# What `ai_edge_litert.interpreter` imports beside NumPy.
LITERT_NEEDS = ("flatbuffers", "typing_extensions.py", "ml_dtypes", "backports")


# Of delegate/, what the library is built from.
ROOMS = {"android", "cmake", "include", "kernels", "standalone", "tflite"}
# Of a checkout, what is made by using it.
MADE = shutil.ignore_patterns(
    ".*", "__pycache__", "*.so", "*.egg-info", "build", "dist", "demo", "site"
)
PIP = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")


def python(*arguments: object, **options: Any) -> None:
    """Runs this Python; what went wrong is the assertion's text."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy, so that the checkout stays clean and stale lists do not leak in."""
    source = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(ROOT, source, symlinks=True, ignore=MADE)
    output = tmp_path_factory.mktemp("sdist")
    python("-m", "build", "--sdist", "--no-isolation", "--outdir", output, source)
    (path,) = output.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library is compiled in the checkout's build/, where it mostly is already."""
    folder = tmp_path_factory.mktemp("wheel")
    setup = ["setup.py", "--quiet", "egg_info", "--egg-base", folder]
    setup += ["build", "--build-base", folder / "build", "bdist_wheel"]
    setup += ["--dist-dir", folder / "dist", "--bdist-dir", folder / "bdist"]
    python(*setup, cwd=ROOT)
    (path,) = (folder / "dist").glob("*.whl")
    return path


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


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


class TestSourceDistribution:
    def names(self, sdist):
        with tarfile.open(sdist) as archive:
            files = [member for member in archive.getmembers() if not member.isdir()]
        assert all(member.isreg() for member in files)
        return {member.name.partition("/")[2] for member in files}

    def test_has_the_package_and_what_builds_the_delegate(self, sdist):
        names = self.names(sdist)
        assert {name for name in names if "/" not in name} == {
            *("LICENSE", "MANIFEST.in", "PKG-INFO", "README.md"),
            *("pyproject.toml", "setup.cfg", "setup.py"),
        }
        assert {name.partition("/")[0] for name in names if "/" in name} == {
            *("delegate", "keras_sparsebnn", "keras_sparsebnn.egg-info"),
        }
        rooms = {name.split("/")[1] for name in names if re.match("delegate/[^/]+/", name)}
        assert rooms == ROOMS
        kinds = {".cc", ".h", ".inc", ".cmake", ".map", ".txt"}
        sources = {name for name in names if name.startswith("delegate/")}
        assert {Path(name).suffix for name in sources} - kinds <= {""}
        package = {name for name in names if name.startswith("keras_sparsebnn/")}
        assert package == package_files()

    def test_is_small(self, sdist):
        models = (ROOT / "keras_sparsebnn" / "pretrained" / "models").rglob("*.*")
        shipped = sum(path.stat().st_size for path in models)
        assert shipped < 2_000_000
        assert sdist.stat().st_size < 600_000 + shipped

    @pytest.mark.skipif(sys.platform != "linux", reason="builds in another folder elsewhere")
    def test_has_all_that_the_library_is_compiled_from(self, sdist, wheel):
        # Compiling it once more would take minutes. The build that was says what it read.
        names = self.names(sdist)
        files = [path for room in ROOMS for path in (ROOT / "delegate" / room).rglob("*.*")]
        files += [path for path in (ROOT / "delegate").glob("*.*") if path.is_file()]
        files = [path for path in files if "__pycache__" not in path.parts]
        assert {name for name in names if name.startswith("delegate/")} == {
            path.relative_to(ROOT).as_posix() for path in files
        }
        ninja = pytest.importorskip("ninja")
        build = ROOT / "build" / f"delegate-{platform.machine()}-linux"
        command = [Path(ninja.BIN_DIR) / "ninja", "-C", build, "-t", "deps"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        read = {
            path.relative_to(ROOT).as_posix()
            for lines in said.split("\n\n")
            if not re.match(r"CMakeFiles/\w+_(test|bench)\.dir", lines)
            for path in map(Path, re.findall(r"^    (/.*)", lines, re.MULTILINE))
            if path.is_relative_to(ROOT / "delegate")
        }
        assert len(read) > 60
        assert read - names == set()

    def test_pip_installs_its_python_half(self, sdist, wheel, tmp_path):
        without = {**os.environ, "SPARSEBNN_TARGET": "none"}
        command = ["-m", "pip", "wheel", *PIP, "--wheel-dir", tmp_path, sdist]
        python(*command, cwd=tmp_path, env=without)
        (theirs,) = map(contents, tmp_path.glob("*.whl"))
        ours = contents(wheel)
        library = "keras_sparsebnn/runtime/libsparsebnn_delegate.so"
        modules = [name for name in ours if ".dist-info/" not in name and name != library]
        assert modules == [name for name in theirs if ".dist-info/" not in name]
        assert [name for name in modules if ours[name] != theirs[name]] == []


def package_files() -> set[str]:
    """What of the checkout belongs to the package, but for the library."""
    package = ROOT / "keras_sparsebnn"
    names = {path.relative_to(ROOT).as_posix() for path in package.rglob("*.py")}
    models = {
        path.relative_to(ROOT).as_posix() for path in package.glob("pretrained/models/*/*")
    }
    return names | models | {"keras_sparsebnn/py.typed", "keras_sparsebnn/converters/FORMAT.md"}


def test_contains_every_source_file_and_nothing_else(wheel):
    names = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert names == package_files() | {"keras_sparsebnn/runtime/libsparsebnn_delegate.so"}


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
    users, ours = (
        {"train", "convert", "cluster", "oblivious", "device"},
        {"docs", "test", "dev"},
    )
    assert set(fields.get_all("Provides-Extra")) == users | ours
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
        ],
    )
    def test_commands_say_what_to_install(self, bare, arguments, expected):
        command = arguments.format(golden=GOLDEN).split()
        result = bare.run("-m", "keras_sparsebnn", *command, check=False)
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"sparsebnn {command[0]}: error: ")
        assert expected in line
        assert (result.returncode, result.stdout) == (2, "")

    def test_inspect_needs_numpy_only(self, bare):
        operators = {"lce_selected": "LceBconv2d", "subbit_v1": "SparsebnnBconv2d"}
        for name, operator in operators.items():
            model = str(GOLDEN / f"{name}.tflite")
            shown = bare.run("-m", "keras_sparsebnn", "inspect", model).stdout
            assert re.search(rf"^{operator} +2$", shown, re.MULTILINE)

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


def test_editable_install_away_from_the_checkout(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    # Everything else that is installed here; a folder named by a .pth file runs no others, so
    # this environment's own editable install is not among it.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # What `pip install --editable` does, but with this environment's tools, which compiled the
    # library of the checkout already.
    build = "import sys; from setuptools.build_meta import *; build_editable(sys.argv[1])"
    python("-c", build, tmp_path, env=without_path(), cwd=ROOT)
    (editable,) = tmp_path.glob("*.whl")
    install = ["-m", "pip", "--python", venv / "bin" / "python", "install", *PIP]
    python(*install, editable, env=without_path(), cwd=tmp_path)
    code = (
        "import importlib.util, sys\n"
        "import keras_sparsebnn, keras_sparsebnn.runtime as runtime\n"
        "print(keras_sparsebnn.__file__)\n"
        "print(importlib.util.find_spec('keras_sparsebnn.converters').origin)\n"
        "print(runtime.delegate_library())\n"
        "assert importlib.util.find_spec('benchmarks') is None\n"
    )
    commands = (
        [venv / "bin" / "python", "-c", code],
        [venv / "bin" / "sparsebnn", "--version"],
    )
    places, version = (
        subprocess.run(
            list(map(str, command)),
            env=without_path(),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for command in commands
    )
    package = ROOT / "keras_sparsebnn"
    assert places.split() == [
        str(package / "__init__.py"),
        str(package / "converters" / "__init__.py"),
        str(package / "runtime" / "libsparsebnn_delegate.so"),
    ]
    assert version == f"sparsebnn {__version__}\n"


def without_path() -> dict[str, str]:
    """The environment, but what it says about where Python finds modules."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
