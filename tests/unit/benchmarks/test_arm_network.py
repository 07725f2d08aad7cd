"""What a record of an emulated network becomes: parts, bytes of maps, estimates, tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm.arm_network import jobs_of, known_runs, lce_cycles, lce_estimate
from benchmarks.arm.emulated_network import STREAMS, Run, cpu_info
from benchmarks.arm.executed import Maps, RecordError, parse
from benchmarks.arm.map_bytes import map_bytes
from benchmarks.arm.mca import CORES
from benchmarks.arm.network_parts import Parts, passes
from benchmarks.speed.network_files import NETWORKS
from keras_sparsebnn.tflite_file import ModelBuilder, read

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

# Blocks of 2, 3 and 4 instructions: the delegate's, LiteRT's and libc's.
RECORD = """\
segment
count 1 10
segment
count 0 5
count 2 1
segment
count 0 7
count 1 2
window 0:1 1:0 1:2
tb 0 1000 d503201f d503201f
tb 1 2000 d503201f d503201f d503201f
tb 2 3000 d503201f d503201f d503201f d503201f
"""
MAPS = Maps(
    [
        (0x1000, 0x2000, 0, "libsparsebnn_delegate.so"),
        (0x2000, 0x3000, 0, "_pywrap_tflite.so"),
        (0x3000, 0x4000, 0, "libc.so.6"),
    ]
)


def node(number: int, op: str, kernel: str) -> dict:
    return {"node": number, "op": op, "kernel": kernel, "output": [1, 8, 8, 64]}


PARTITION = {
    "nodes": [
        node(2, "LceQuantize", "float32 neon"),
        node(3, "LceBconv2d", "xnor 4x8 neon"),
        node(4, "ADD", "in node 3"),
        node(5, "LceQuantize", "in node 3"),
    ]
}


@pytest.fixture
def parts():
    return Parts(Run(parse(RECORD.splitlines()), MAPS, [PARTITION]))


def test_passes_are_nodes_with_a_kernel_and_what_runs_with_them():
    quantize, convolution = passes([PARTITION])
    assert (quantize.nodes, quantize.kind, quantize.last) == ((2,), "quantize", False)
    assert convolution.nodes == (3, 4, 5)
    assert (convolution.kind, convolution.last) == ("binary 8x8", True)


def test_a_shortcut_is_no_stem():
    pool = [node(0, "AVERAGE_POOL_2D", "2x2 neon"), node(1, "CONV_2D", "in node 0")]
    alone, stem = node(2, "CONV_2D", "1x1 neon"), node(3, "CONV_2D", "stem neon")
    depthwise = node(4, "DEPTHWISE_CONV_2D", "stem depthwise neon")
    found = passes([{"nodes": [*pool, alone, stem, depthwise]}])
    assert [each.kind for each in found] == ["shortcut", "shortcut", "stem", "stem"]


def test_every_instruction_has_one_library_and_one_kind(parts):
    assert parts.by_library() == {"delegate": 24, "litert": 36, "rest": 4}
    # libc within the partition is the group's; LiteRT after its last group is not.
    kinds = {"stock, before": 30, "binary 8x8": 14, "quantize": 14, "stock, after": 6}
    assert parts.by_kind() == kinds
    assert parts.record.executed() == sum(kinds.values())


def test_what_the_runtime_does_between_stem_and_first_binary_layer_is_before_it():
    stem = {"nodes": [node(0, "CONV_2D", "stem neon")]}
    lines = RECORD.replace("count 1 10\n", "count 1 10\nsegment\ncount 0 5\ncount 1 3\n")
    parts = Parts(Run(parse(lines.splitlines()), MAPS, [stem, PARTITION]))
    kinds = {"stock, before": 39, "binary 8x8": 14, "quantize": 14, "stem": 10}
    assert parts.by_kind() == {**kinds, "stock, after": 6}


def test_every_pass_has_its_instructions(parts):
    rows = [(row["nodes"], row["instructions"]) for row in parts.by_pass()]
    assert rows == [([2], 14), ([3, 4, 5], 14)]


def test_without_the_delegate_all_is_stock():
    lines = RECORD.replace("segment\ncount 0 5\ncount 2 1\nsegment\n", "")
    assert Parts(Run(parse(lines.splitlines()), MAPS, [])).by_kind() == {"stock": 50}


def test_a_record_of_other_groups_is_refused():
    with pytest.raises(RecordError, match=r"Expected 4 groups of nodes .*, got 2"):
        Parts(Run(parse(RECORD.splitlines()), MAPS, [PARTITION] * 2))


def test_a_program_without_marks_is_refused():
    with pytest.raises(RecordError, match="Expected marks"):
        parse([])


def test_an_unknown_line_is_refused():
    with pytest.raises(RecordError, match="got 'what 1'"):
        parse(["what 1"])


def test_every_core_is_modelled_once():
    assert sorted(core for stream in STREAMS for core in stream.models) == sorted(CORES)
    assert "CPU part\t: 0xd08" in cpu_info(STREAMS[0])


def residual() -> ModelBuilder:
    """x -> a = relu(x) -> b = a + c -> d = a + b -> reshape -> int8; 10 floats a map."""
    builder = ModelBuilder()
    x, a, b, d, e = (builder.activation([1, 10], "float32") for _ in range(5))
    q = builder.activation([10], "int8", 1.0)
    c = builder.constant(np.ones(10, np.float32))
    builder.operator("RELU", [x], [a])
    builder.operator("ADD", [a, c], [b])
    builder.operator("ADD", [a, b], [d])
    builder.operator("RESHAPE", [d], [e])
    builder.operator("QUANTIZE", [e], [q])
    return builder, x, q


@pytest.mark.parametrize(
    ("fused", "floats_read", "floats_written"),
    [
        ([], 5, 3),  # x, a, a + b, d; constants and RESHAPE are nothing
        ([[0, 1]], 4, 3),  # a is still read by the second ADD
        ([[1, 2]], 3, 2),  # b is never in memory
        ([[0, 1, 2, 4]], 1, 0),
    ],
)
def test_bytes_of_maps(fused, floats_read, floats_written):
    builder, x, q = residual()
    found = map_bytes(read(builder.to_bytes([x], [q])), fused)
    assert found["float"] == {"read": 40 * floats_read, "written": 40 * floats_written}
    assert found["other"] == {"read": 0, "written": 10}


def test_a_node_in_two_passes_is_refused():
    builder, x, q = residual()
    with pytest.raises(ValueError, match="each in one pass"):
        map_bytes(read(builder.to_bytes([x], [q])), [[0, 1], [1, 2]])


def test_lce_is_stock_ops_and_its_own_convolutions():
    kinds = {"binary 8x8": 500, "quantize": 20, "stock, between": 300}
    row = {"cores": {"cortex-a72": {"cycles": 820, "kinds": kinds}}}
    assert lce_estimate(row, {"cortex-a72": 900.0}) == {
        "cortex-a72": {"cycles": 1220, "of_which_binary": 900}
    }


def test_lce_convolutions_are_counted_by_their_blocks():
    """Cycles of one block, and of nothing around it: 8 channels x 4 pixels x 128 inputs."""
    costs = {"core": {"best_block": 48.0, "tap": 0.0, "float32": 0.0, "bitpacked": 0.0}}
    layers, cycles = lce_cycles(GOLDEN / "lce_selected.tflite", costs)
    macs_per_tap = 2 * (4 * 4) * (32 * 32)
    assert layers == 2
    assert cycles["core"] == pytest.approx(9 * 48 / (8 * 4 * 128) * macs_per_tap)


def test_all_files_run_on_the_cores_that_they_are_for():
    files = {n.file(form): (n, form) for n in NETWORKS for form in n.forms}
    jobs = jobs_of(files, list(STREAMS))
    ran = {(path.name, stream.name) for path, _, _, stream, _ in jobs}
    assert {name for name, core in ran if core == "cortex-a72"} == set(files)
    assert not any(name.endswith("stem.tflite") for name, core in ran if core == "cortex-a53")
    assert sum(not glue for *_, glue in jobs) == 4 * len(STREAMS)


@pytest.mark.parametrize(("commit", "windows", "kept"), [("a", 3, 1), ("b", 3, 0), ("a", 4, 0)])
def test_goes_on_from_a_run_of_the_same_commit_and_setting(tmp_path, commit, windows, kept):
    path = tmp_path / "left.json"
    header = {"environment": {"commit": "a"}, "setting": {"windows": 3}}
    path.write_text(json.dumps({**header, "runs": [{"network": "n"}]}))
    assert len(known_runs(path, commit, windows)) == kept
    assert known_runs(tmp_path / "none.json", commit, windows) == []


@pytest.fixture
def tables(monkeypatch):
    """The tables of a result of one network and one peer."""
    from docs.generate import arm_networks

    run = {
        **{"network": "ResNet-18, binary", "side": 224, "form": "lce", "stream": "cortex-a72"},
        **{"glue": True, "instructions": 3_000_000, "partitions": 4},
        "libraries": {"delegate": 2_000_000, "litert": 900_000, "rest": 100_000},
        "kinds": {"binary 8x8": 2_000_000, "stock, before": 1_000_000},
        "cores": {
            "cortex-a72": {
                **{"cycles": 2_000_000, "relative_error": 0.012},
                "kinds": {"binary 8x8": 500_000, "stock, before": 1_500_000},
            }
        },
    }
    apart = {**run, "glue": False, "lce": {"cortex-a72": {"cycles": 5_500_000}}}
    peer = {**run, "network": "a", "form": "int8"}
    floats = [
        {"float": {"read": n, "written": n}, "other": {"read": 0, "written": n}}
        for n in (4_000_000, 1_000_000)
    ]
    made = {
        "environment": {"date": "2026-01-01", "commit": "0" * 12, "versions": {}},
        "networks": [
            {"network": name, "side": 224, "top1": 61.26, "source": "b"}
            for name in ("ResNet-18, binary", "a")
        ],
        "runs": [run, apart, peer],
        "maps": [{**run, "apart": floats[0], "fused": floats[1]}],
    }
    made["environment"]["versions"]["ai-edge-litert"] = "2.1.2"
    monkeypatch.setattr(arm_networks, "newest", lambda name: made)
    return arm_networks


def test_the_table_has_every_runtime_and_the_estimate(tables):
    text = tables.arm_networks()
    assert "| ResNet-18, binary, 224x224 | LCE | delegate | 61.3 | 3.0 | 2.0 |" in text
    assert "| ResNet-18, binary, 224x224 | LCE | delegate, glue=0 | 61.3 | 3.0 | 2.0 |" in text
    assert "| ResNet-18, binary, 224x224 | LCE | LCE, estimated | 61.3 |  | 5.5 |" in text
    assert "| a, 224x224 | int8 | LiteRT | 61.3 | 3.0 | 2.0 |" in text
    assert "median 1.2 %, at most 1.2 %" in text


def test_the_table_of_parts_begins_with_the_largest(tables):
    first, second = tables.parts().splitlines()[2:4]
    assert first == "| ResNet-18, binary: stock, before | 1.0 | 1.5 | 75 % |"
    assert second == "| ResNet-18, binary: binary 8x8 | 2.0 | 0.5 | 25 % |"


def test_targets_say_what_is_not_reached(tables, monkeypatch):
    made = tables.newest("arm_network")
    runs = []
    for run in made["runs"]:
        n1 = {**run, "stream": "neoverse-n1"}
        for each in (run, n1):
            for name in ("ResNet-18, binary", "QuickNet, binary"):
                runs += [{**each, "network": name}, {**each, "network": name, "form": "layers"}]
    peers = [
        {**made["runs"][-1], "network": n} for n in ("MobileNet v1 0.5", "MobileNetV2 0.5")
    ]
    peers[0] = {**peers[0], "cores": {"cortex-a72": {"cycles": 1_000_000, "relative_error": 0}}}
    networks = [
        {**made["networks"][0], "network": name}
        for name in {run["network"] for run in [*runs, *peers]}
    ]
    other = {**made, "runs": [*runs, *peers], "networks": networks}
    monkeypatch.setattr(tables, "newest", lambda name: other)
    text = tables.targets()
    assert "| ResNet-18, binary, A72, instructions | at most 70 M | 3 M | yes |" in text
    assert (
        "| QuickNet, binary, int8 layers, N1, instructions | at most 40 M | 3 M | yes |" in text
    )
    assert "int8 MobileNet v1 0.5 | at most 1 | 2 | no |" in text
    assert "| QuickNet, binary, A72, cycles by those of LCE, estimated | at most 0.9 |" in text
    assert "int8 layers, likewise, LCE's in float | at most 0.9 |" in text
    assert (
        "bytes of float maps, by those of ops one by one | at most 0.333 | 0.25 | yes" in text
    )


def test_the_table_of_libraries(tables):
    assert "| ResNet-18, binary, 224x224, LCE | 2.0 | 0.9 | 0.1 | 4 |" in tables.libraries()
    assert "LCE, glue=0 | 2.0" in tables.libraries()


def test_runs_of_other_commits_are_said(tables):
    made = tables.newest("arm_network")
    assert tables.source(made).endswith("commit 000000000000")
    made["runs"][0]["commit"] = "1" * 12
    assert tables.source(made).endswith("commit 000000000000; some runs: commit 111111111111")


def test_the_table_of_maps(tables):
    assert "224x224, LCE | 8.00 | 2.00 | 0.25 | 1.00 |" in tables.moved()


def test_the_figure_of_arm_is_drawn(tables, tmp_path):
    tables.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
