"""The figures of docs/architecture.md: who imports whom, and from a .tflite file to kernels.

Drawing needs graphviz (Debian: apt-get install graphviz). The first figure is read from the
sources; an arrow that follows from others is not drawn.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

from docs.generate.pages import ROOT

PACKAGE = ROOT / "keras_sparsebnn"

# What a room holds, in a few words, and which libraries it loads.
ROOMS = {
    "cli": "the command\nsparsebnn",
    "search": "evolution in\na supernet",
    "experiments": "matrices of runs,\nstatistics",
    "training": "resumable runs,\ncallbacks, recipes",
    "pretrained": "trained models\nin .tflite files",
    "oblivious": "a network as a\nBoolean circuit",
    "devices": "benchmarks on phones\nand boards",
    "converters": "Keras to .tflite,\nverify, inspect",
    "runtime": "runs .tflite,\nloads the delegate",
    "tflite_file": "schema, reader,\nwriter",
    "data": "images in an order\nthat resumes",
    "models": "networks",
    "saved_models": "loads files that\nneed not be trusted",
    "transforms": "freeze, restrict,\nclone, batch norm",
    "analysis": "bits, usage,\nsummary, plots",
    "layers": "SparseBinaryConv2D",
    "quantizers": "one method a file",
    "activations": "RPReLU, ...",
    "estimators": "gradients, one\npaper a file",
    "selection": "which codewords:\nalgorithms",
    "codebook": "the 512 patterns",
}
LIGHT = {
    *("cli", "experiments", "devices", "oblivious", "pretrained", "runtime", "tflite_file"),
    "codebook",
}
BOTH = {"converters", "analysis", "training", "quantizers", "search"}
GREEN, BLUE = "#d5ecd4", "#e4ecf7"


def imports() -> dict[str, set[str]]:
    """Room -> the rooms that it imports from, type checkers' imports aside."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ROOMS:
            found[room] |= _used(path) & set(ROOMS) - {room}
    return found


def _used(path: Path) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    own = (name.split(".") for name in names if name.startswith("keras_sparsebnn."))
    return {parts[1] for parts in own}


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the edges that follow from others. Raises CycleError where there is a circle."""
    below: dict[str, set[str]] = {}
    for room in TopologicalSorter(graph).static_order():
        below[room] = graph[room].union(*(below[used] for used in graph[room]), set())
    return {
        room: {u for u in used if not any(u in below[v] for v in used)}
        for room, used in graph.items()
    }


HEAD = """digraph {
graph [rankdir=TB nodesep=0.3 ranksep=0.4 bgcolor="white" fontname="Helvetica" fontsize=11
       style=rounded color="#aaaaaa" labeljust=l]
node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11 color="#555555"
      fillcolor="#e4ecf7" margin="0.15,0.07"]
edge [color="#777777" arrowsize=0.6 fontname="Helvetica" fontsize=9]
"""


def node(name: str, text: str, fill: str | None = None) -> str:
    """A box: its name, and below it a few words."""
    words = text.replace("\n", "<br/>")
    color = f' fillcolor="{fill}"' if fill else ""
    return f'"{name}" [label=<<b>{name}</b><br/><font point-size="9">{words}</font>>{color}]'


def package() -> str:
    fills = dict.fromkeys(LIGHT, GREEN) | dict.fromkeys(BOTH, f"{GREEN}:{BLUE}")
    lines = [node(room, text, fills.get(room, BLUE)) for room, text in ROOMS.items()]
    for room, used in reduced(imports()).items():
        lines += [f"{room} -> {target}" for target in sorted(used)]
    return HEAD + "\n".join([*lines, "}"])


def delegate() -> str:
    return HEAD + "\n".join(
        [
            node("model.tflite", "LCE's ops or sub-bit ops,\nand stock ones", "#fff3d6"),
            node(
                "stock runtime",
                "LiteRT, tflite-runtime, tf.lite:\nreads the file, runs stock ops",
                "#fff3d6",
            ),
            "subgraph cluster_tflite {",
            'label="delegate/tflite: TFLite, no arithmetic"',
            node("delegate.cc", "entry points: claims the\nbinary nodes it can run"),
            node("partition.cc", "adjacent nodes as one kernel\nof the runtime; plans memory"),
            node("op_bconv2d.cc", "checks options, shapes,\nconstants; prepares a layer"),
            node("op_quantize.cc, op_max_pool.cc", "the other ops"),
            node("binary_filter.cc", "LCE's words, or codebook\nand indices, as bits"),
            node("flexbuffer.cc", "options, from\nuntrusted bytes"),
            "}",
            "subgraph cluster_kernels {",
            'label="delegate/kernels: arithmetic, no TFLite"',
            node(
                "bconv2d/",
                "the contract; list of all kernels;\ncost model that chooses; reference",
                GREEN,
            ),
            node("xnor/", "dense: XOR and count bits", GREEN),
            node("codebook/", "bit-sliced: tables of\nfew patterns", GREEN),
            node("quantize/, max_pool/", "bits from floats, and back", GREEN),
            node("cpu/", "instruction sets, cores,\nthread pool", GREEN),
            "}",
            '"model.tflite" -> "stock runtime" -> "delegate.cc" -> "partition.cc"',
            '"partition.cc" -> "op_bconv2d.cc" -> "bconv2d/"',
            '"partition.cc" -> "op_quantize.cc, op_max_pool.cc" -> "quantize/, max_pool/"',
            '"op_bconv2d.cc" -> "binary_filter.cc"',
            '"op_bconv2d.cc" -> "flexbuffer.cc"',
            # Not drawn: put the kernels below.
            '"binary_filter.cc" -> "bconv2d/" [style=invis]',
            '"flexbuffer.cc" -> "quantize/, max_pool/" [style=invis]',
            '"bconv2d/" -> "xnor/" -> "cpu/"',
            '"bconv2d/" -> "codebook/" -> "cpu/"',
            '"quantize/, max_pool/" -> "cpu/"',
            "}",
        ]
    )


def edges(svg: str) -> dict[str, set[str]]:
    """The arrows of a drawn figure."""
    found: dict[str, set[str]] = {}
    for start, end in re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", svg):
        found.setdefault(start, set()).add(end)
    return found


def drawn(dot: str) -> str:
    """The figure as SVG, its labels centred in whatever font the reader has."""
    svg = subprocess.run(
        ["dot", "-Tsvg"], input=dot, text=True, capture_output=True, check=True
    )
    text = re.sub(r"<!-- .*? -->\n", "", svg.stdout)
    return re.sub(r'<g id="node.*?</g>', _centred, text, flags=re.DOTALL)


def _centred(node: re.Match[str]) -> str:
    box = re.search(r'<path [^>]*d="([^"]+)"', node[0])
    assert box is not None
    x = [float(value) for value in re.findall(r"([-\d.]+),[-\d.]+", box[1])]
    middle = f'text-anchor="middle" x="{(min(x) + max(x)) / 2:.2f}"'
    return re.sub(r'text-anchor="start" x="[-\d.]+"', middle, node[0])


def draw(folder: Path) -> None:
    """Draws package.svg and delegate.svg."""
    if shutil.which("dot") is None:
        sys.exit("Expected graphviz's dot, found none. Run: apt-get install graphviz")
    for name, dot in (("package", package()), ("delegate", delegate())):
        (folder / f"{name}.svg").write_text(drawn(dot), "utf-8")


def stale(folder: Path) -> list[str]:
    """A line if package.svg shows other imports than the sources have."""
    graph = {room: used for room, used in reduced(imports()).items() if used}
    same = edges((folder / "package.svg").read_text("utf-8")) == graph
    return [] if same else ["docs/images/package.svg shows other imports (needs --figures)"]
