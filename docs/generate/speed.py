"""The tables of speed, memory and size, from the newest files in benchmarks/results/."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.result_files import newest
from docs.generate.pages import Tables, commit, markdown


def source(result: dict[str, Any], script: str) -> str:
    """Where the numbers come from, below each table."""
    environment = result["environment"]
    machine = environment["machine"]
    tensorflow = environment["versions"]["tensorflow"]
    return (
        f"`python -m benchmarks.speed.{script}`, {environment['date']}, {machine['cpu']}, "
        f"{machine['cores']} cores, TensorFlow {tensorflow}, {commit(environment['commit'])}"
    )


def training_step() -> str:
    result = newest("training_step")
    columns = [*result["cases"], *result["memory"]]
    rows = []
    labels = {
        "ste_sign": "plain `ste_sign`",
        "structured": "selection, structured logits",
        "partial": "selection, free logits, partial",
        "full": "selection, free logits, full",
    }
    measured = next(iter(result["cases"].values()))["median_ms"]
    for kind, label in labels.items():
        if kind not in measured:
            continue
        times = (
            f"{case['median_ms'][kind]:.0f} ms, {case['time_ratio'][kind]:.2f}x"
            for case in result["cases"].values()
        )
        peaks = (
            f"{memory['peak_mib'][kind]:.0f} MiB, {memory['ratio'][kind]:.2f}x"
            for memory in result["memory"].values()
        )
        rows.append([label, *times, *peaks])
    table = markdown(["kernels", *columns], rows)
    setting = result["setting"]
    return (
        f"{table}\n\nMedian step and peak memory of the process. "
        f"{setting['interleaved_steps']} interleaved steps, batch "
        f"{setting['batch']}, binary layers of 64 to 128 channels, n = {setting['codewords']}, "
        f"matched anew in every step. {source(result, 'training_step')}."
    )


def worker_scaling() -> str:
    result = newest("worker_scaling")
    setting = result["setting"]
    steps = {int(n): statistics.median(s) for n, s in result["seconds_per_step"].items()}
    rows = [
        [
            str(n),
            f"{s:.2f} s",
            f"{n * setting['batch_per_worker'] / s:.1f}",
            f"{n * steps[1] / s:.2f}x",
        ]
        for n, s in steps.items()
    ]
    table = markdown(["workers", "step", "images/s", "throughput"], rows)
    return (
        f"{table}\n\n`{setting['model']}`, {setting['image_size']}x{setting['image_size']}, "
        f"{setting['batch_per_worker']} images a worker and step, one core a worker, one "
        f"machine; median of {setting['repeats']} x {setting['steps']} steps. "
        f"{source(result, 'worker_scaling')}."
    )


def conversion() -> str:
    result = newest("conversion")
    run = result["runs"][0]
    table = markdown(
        ["ResNet-18, 224x224, 1000 classes", "measured"],
        [
            ["conversion, median", f"{result['median_seconds']:.1f} s"],
            ["peak memory", f"{result['largest_peak_bytes'] / 1e9:.2f} GB"],
            ["LCE file", f"{run['file_bytes']:,} bytes"],
            ["of which binary filters", f"{run['bytes_by_kind']['binary filters']:,} bytes"],
            ["sub-bit storage would save", f"{run['sub_bit_savings']:,} bytes"],
        ],
    )
    return f"{table}\n\n{source(result, 'conversion')}."


def file_size() -> str:
    result = newest("file_size")
    files = result["files"]
    columns = {
        "lce_float": "LCE",
        "subbit_float": "sub-bit",
        "lce_int8": "LCE, int8 weights",
        "subbit_int8": "sub-bit, int8 weights",
    }
    kinds = sorted(
        {kind for name in columns for kind in files[name]["bytes_by_kind"]},
        key=lambda kind: -max(files[name]["bytes_by_kind"].get(kind, 0) for name in columns),
    )
    rows = [["whole file", *(f"{files[name]['bytes']:,}" for name in columns)]]
    for kind in kinds:
        sizes = (files[name]["bytes_by_kind"].get(kind, 0) for name in columns)
        rows.append([kind, *(f"{size:,}" if size else "-" for size in sizes)])
    model = result["model"]
    height, width, _ = model["input_shape"]
    table = markdown(["bytes", *columns.values()], rows)
    return (
        f"{table}\n\nResNet-18, {height}x{width}, {model['classes']} classes, "
        f"n = {model['codewords']}. {source(result, 'file_size')}."
    )


def size() -> str:
    """`file_size`, in three rows."""
    result = newest("file_size")
    files = result["files"]
    stored = ("binary filters", "codebook indices", "codebooks")
    filters = [
        sum(files[name]["bytes_by_kind"].get(kind, 0) for kind in stored)
        for name in ("lce_float", "subbit_float")
    ]
    rows = [
        [label, *(f"{files[f'{form}_{weights}']['bytes']:,}" for form in ("lce", "subbit"))]
        for label, weights in (
            ("whole file, other layers float32", "float"),
            ("whole file, other layers int8", "int8"),
        )
    ]
    rows.append(["of which binary filters", *(f"{size:,}" for size in filters)])
    model = result["model"]
    height, width, _ = model["input_shape"]
    table = markdown(["bytes", "LCE", "sub-bit"], rows)
    return (
        f"{table}\n\nResNet-18, {height}x{width}, {model['classes']} classes, "
        f"n = {model['codewords']}. {source(result, 'file_size')}."
    )


def startup() -> str:
    result = newest("startup")
    limits = result["limits_seconds"]
    rows = [
        [f"`{name}`", f"{seconds:.2f}", f"{limits[name]:.1f}" if name in limits else "-"]
        for name, seconds in result["median_seconds"].items()
    ]
    table = markdown(["process, start to end", "median [s]", "limit [s]"], rows)
    return f"{table}\n\n{source(result, 'startup')}."


def arm_cost() -> str:
    result = newest("arm_cost")
    cores = list(result["lce"])
    kinds = {"codebook": "codebook", "xnor": "dense"}
    rows = [
        ["LCE's 8x4x4 block", "", "", "", ""]
        + [f"{result['lce'][core]['per_triple']:.4f}" for core in cores]
    ]
    for case in result["cases"]:
        kernel, dense = case["kernel"].split()[0], case["codewords"] == 512
        cells = []
        for core in cores:
            own, lce = case["cores"][core]["per_triple"], result["lce"][core]["per_triple"]
            cells.append(f"{own:.4f} ({lce / own:.2f}x)")
        chosen = "" if dense else kinds.get(case["chosen"], case["chosen"])
        output = {"float32": "float", "bitpacked": "bits"}[case["output"]]
        words = "any" if dense else str(case["codewords"])
        rows.append([layer_name(case), words, output, kinds[kernel], chosen, *cells])
    table = markdown(["3x3 layer", "n", "output", "kernel", "chosen", *cores], rows)
    environment = result["environment"]
    error = max(c["relative_error"] for r in result["cases"] for c in r["cores"].values())
    return (
        f"{table}\n\n`python -m benchmarks.arm.arm_cost run`, {environment['date']}, llvm-mca "
        f"{environment['versions']['llvm-mca']}, {commit(environment['commit'])}; standard "
        f"error of the sampling at most {100 * error:.1f} %."
    )


def layer_name(case: dict[str, Any]) -> str:
    stride = f", stride {case['stride']}" if case["stride"] > 1 else ""
    size = f"{case['height']}x{case['width']}"
    return f"{case['channels_in']} to {case['channels_out']} ch, {size}{stride}"


def codewords_of(case: dict[str, Any]) -> str:
    return str(case["codewords"] or "any")


def op_speed() -> str:
    result = newest("delegate_speed")
    isas = list(result["ops"][0]["chosen"])
    rows = []
    for case in result["ops"]:
        us, faster = case["median_us"], case["times_lce"]
        cells = [f"{us['lce']:,.0f}"]
        for isa in isas:
            auto = f"{us[f'{isa} auto']:,.0f} ({faster[f'{isa} auto']:.0f}x)"
            pinned = (f"{us[f'{isa} {kernel}']:,.0f}" for kernel in ("codebook", "xnor"))
            cells += [auto, *pinned]
        rows.append([layer_name(case), codewords_of(case), case["output"], *cells])
    header = ["3x3 layer", "n", "output", "LCE"]
    for isa in isas:
        header += [isa, "codebook", "dense"]
    return (
        f"{markdown(header, rows)}\n\nMicroseconds, median; in brackets how many times as fast "
        "as LCE's interpreter on the same file. The column of an instruction set is what "
        "`kernel=auto` runs; beside it both kernels. "
        f"{source(result, 'delegate_speed')}, one thread."
    )


def _network(result: dict[str, Any], isa: str, threads: int) -> dict[str, dict[str, Any]]:
    """By "lce", "delegate" and "subbit"."""
    (run,) = (
        r for r in result["networks"]["runs"] if (r["isa"], r["threads"]) == (isa, threads)
    )
    timings = {}
    for timing in run["timings"]:
        own = timing["runtime"] == "lce"
        name = "lce" if own else "delegate" if timing["model"] == "lce" else "subbit"
        timings[name] = timing
    return timings


def network_speed() -> str:
    result = newest("delegate_speed")
    runs = result["networks"]["runs"]
    isas = {"avx512": "AVX-512", "avx2": "AVX2", "neon": "NEON"}
    rows, peaks = [], {"lce": 0, "delegate": 0, "subbit": 0}
    for threads in sorted({run["threads"] for run in runs}):
        for isa in dict.fromkeys(run["isa"] for run in runs):
            timings = _network(result, isa, threads)
            cells = [f"{timings['lce']['median_ms']:.0f} ms"]
            for name in ("delegate", "subbit"):
                timing = timings[name]
                cells.append(f"{timing['median_ms']:.1f} ms ({timing['times_lce']:.0f}x)")
            label = f"{threads} thread" + ("s" if threads > 1 else "")
            rows.append([f"{label}, {isas[isa]}", *cells])
            for name, timing in timings.items():
                peaks[name] = max(peaks[name], timing["peak_memory_bytes"])
    rows.append(["peak memory", *(f"{peak / 2**20:.1f} MiB" for peak in peaks.values())])
    header = ["", "LCE's interpreter", "delegate", "delegate, sub-bit file"]
    model = result["networks"]["model"]
    return (
        f"{markdown(header, rows)}\n\nResNet-18, {model['size']}x{model['size']}, "
        f"{model['classes']} classes, n = {model['codewords']}, batch 1, float layers in stock "
        "LiteRT. LCE has no optimised kernels for x86, so the ratio says nothing about ARM. "
        f"{source(result, 'delegate_speed')}."
    )


def kernel_work() -> str:
    result = newest("kernel_cost")
    rows = []
    for case in result["sweeps"]["codewords"]:
        if (case["kernel"], case["tile"], case["isa"]) != ("codebook", "x256", "avx2"):
            continue
        if case["codewords"] not in (8, 32, 128, 0):
            continue
        # For each block, output channel and input channel. A chunk adds 16 two-bit numbers.
        triples = case["outputs"] * case["channels_in"]
        rows.append(
            [
                layer_name(case),
                codewords_of(case),
                f"{case['patterns']:.0f}",
                f"{32 * case['sums'] / triples:.2f}",
                f"{case['entries'] / triples:.2f}",
            ]
        )
    header = ["3x3 layer", "n", "patterns of 7 taps", "planes added", "table entries"]
    return (
        f"{markdown(header, rows)}\n\nThe last two: for each 3x3 kernel of an output and an "
        f"input channel. {source(result, 'kernel_cost')}."
    )


TABLES: Tables = {
    "training_step": training_step,
    "conversion": conversion,
    "worker_scaling": worker_scaling,
    "file_size": file_size,
    "size": size,
    "startup": startup,
    "arm_cost": arm_cost,
    "op_speed": op_speed,
    "network_speed": network_speed,
    "kernel_work": kernel_work,
}
