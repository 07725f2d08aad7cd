"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_sparsebnn.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]

# Lowest first. A module imports from its own row and from rows above it in this list.
LAYERS = (
    (
        "errors",
        "_files",
        "_lazy",
        "_rules",
        "_signals",
        "_text_table",
        "codebook",
        "_keras",
        "selection",
    ),
    ("activations", "estimators"),
    ("quantizers",),
    ("layers",),
    ("transforms", "analysis"),
    ("models", "saved_models"),
    ("data",),
    ("tflite_file",),
    ("oblivious",),
    ("devices",),
    ("converters",),
    ("pretrained",),
    ("training",),
    ("experiments",),
    ("search",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Beside the layers: the light half, for `cli`, and for `converters` to check their files.
RUNTIME_MAY_USE = {"runtime", "errors", "_rules", "codebook", "tflite_file"}
RUNTIME_USERS = {"runtime", "cli", "converters", "devices", "pretrained", "search"}

# What a user can import as well; converters get no private access.
CONVERTERS_MAY_USE = {
    *("converters", "_keras", "_rules", "errors", "codebook"),
    *("transforms", "layers", "quantizers", "models", "runtime", "tflite_file"),
}

KERAS = {"tensorflow", "tf_keras", "keras", "larq"}
LARQ_COMPUTE_ENGINE_USERS = {"converters"}

HEAVY = {
    *("tensorflow", "keras", "tf_keras", "larq", "larq_compute_engine", "tensorflow_datasets"),
    *("scipy", "sklearn", "matplotlib", "h5py", "tqdm", "ai_edge_litert", "flatbuffers"),
    *("ray", "jax", "spu"),
}


def sources() -> dict[str, Path]:
    """Dotted name below `keras_sparsebnn` -> file."""
    found = {}
    folder = ROOT / "keras_sparsebnn"
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__") or "__init__"] = path
    return found


class _Imports(ast.NodeVisitor):
    """Dotted names of everything imported, at the top or in a function."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_If(self, node: ast.If) -> None:
        # Only the type checker sees these.
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "relative imports are not used here"
        assert node.module is not None
        self.names += [f"{node.module}.{alias.name}" for alias in node.names]

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            self.names += [a.value for a in node.args if isinstance(a, ast.Constant)]
        self.generic_visit(node)


def imports(path: Path) -> list[str]:
    visitor = _Imports()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.names


def own_imports(path: Path) -> Iterator[str]:
    """Top-level parts of this package that a file imports: `layers`, `training`, ..."""
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "keras_sparsebnn" and not rest.startswith("__version__"):
            yield rest.partition(".")[0]


MODULES = sources()


def test_sees_the_sources():
    assert {"__init__", "cli", "runtime.interpreter", "converters.inspect"} <= set(MODULES)
    assert "larq" in {n.partition(".")[0] for n in imports(MODULES["_keras"])}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_only_from_below(module):
    part = module.partition(".")[0]
    used = set(own_imports(MODULES[module]))
    if part == "__init__":
        # The package itself loads its parts when they are first used.
        assert used <= {"_registration"}
    elif part == "_registration":
        assert used <= {"layers", "quantizers", "training"}  # once TensorFlow is there
    elif part == "runtime":
        assert used <= RUNTIME_MAY_USE
    else:
        assert part in RANK, f"say in LAYERS where {part} belongs"
        above = {name for name in used if name != "runtime" and RANK[name] > RANK[part]}
        assert not above, f"{module} imports {above} from layers above its own"
        assert "runtime" not in used or part in RUNTIME_USERS
    if part == "converters":
        assert used <= CONVERTERS_MAY_USE


def import_graph() -> dict[str, set[str]]:
    """Module -> the modules of this package that it imports, at the top or in a function.

    A name imported from a package is the submodule of that name, or else its `__init__`.
    """
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        graph[module] = set()
        for name in imports(path):
            package, _, rest = name.partition(".")
            if package != "keras_sparsebnn":
                continue
            while rest and rest not in MODULES:
                rest = rest.rpartition(".")[0]
            graph[module].add(rest or "__init__")
        graph[module].discard(module)
    return graph


def test_no_module_imports_itself_in_a_circle():
    graphlib.TopologicalSorter(import_graph()).prepare()  # CycleError names the circle


def test_the_import_graph_sees_lazy_imports():
    graph = import_graph()
    assert "converters.verification.lockstep" in graph["converters.verification.verify"]
    assert "saved_models" in graph["cli.plot"]
    assert "runtime.interpreter" in graph["runtime"]


def test_few_modules_lie_loose_at_the_top():
    loose = {
        path.stem
        for path in (ROOT / "keras_sparsebnn").glob("*.py")
        if path.stem not in ("__init__", "__main__")
    }
    assert len(loose) <= 10, loose


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_one_place_decides_about_keras(module):
    packages = {name.partition(".")[0] for name in imports(MODULES[module])}
    if module != "_keras":
        assert not packages & KERAS
    if module.partition(".")[0] not in LARQ_COMPUTE_ENGINE_USERS:
        assert "larq_compute_engine" not in packages


def loaded_after(code: str) -> set[str]:
    """Top-level packages in `sys.modules` after running `code` in a fresh process."""
    report = "import json, sys; print(json.dumps(list(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


@pytest.mark.parametrize("command", ["", *COMMANDS, "oblivious circuit"])
def test_help_imports_nothing_heavy(command):
    arguments = [*command.split(), "--help"]
    loaded = loaded_after(
        f"from keras_sparsebnn.cli import main\nassert main({arguments}) == 0"
    )
    assert "keras_sparsebnn" in loaded
    assert not loaded & (HEAVY | {"numpy"})


@pytest.mark.parametrize(
    "module",
    [
        *("keras_sparsebnn", "keras_sparsebnn.runtime", "keras_sparsebnn.runtime.worker"),
        *("keras_sparsebnn.devices.campaign", "keras_sparsebnn.pretrained.evaluation"),
        "keras_sparsebnn.oblivious",
    ],
)
def test_the_light_half_imports_nothing_heavy(module):
    assert not loaded_after(f"import {module}") & HEAVY


def test_the_keras_half_would_be_noticed():
    assert "tensorflow" in loaded_after("import keras_sparsebnn.layers")
