"""`sparsebnn benchmark`: latency and memory of .tflite files, here and on devices."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_sparsebnn._rules import RUNTIMES

if TYPE_CHECKING:
    from keras_sparsebnn.devices.device import Device

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument(
        "models", nargs="+", metavar="model.tflite", help="one or more files, interleaved"
    )
    parser.add_argument(
        "--runtime",
        choices=("compare", *RUNTIMES),
        default="compare",
        help="delegate: stock TFLite with the native library; lce: LCE's interpreter; litert: "
        "stock TFLite alone; auto: one of these; compare: auto, and beside it lce where that "
        "is installed and knows the file (default)",
    )
    parser.add_argument(
        "--threads", "--num-threads", type=int, default=1, metavar="N", help="default 1"
    )
    parser.add_argument(
        "--runs", type=int, default=50, metavar="N", help="timed inferences (default 50)"
    )
    parser.add_argument(
        "--warmup", type=int, default=10, metavar="N", help="inferences before (default 10)"
    )
    parser.add_argument(
        "--no-glue",
        action="store_true",
        help="the delegate leaves the float ops between binary ones to the runtime",
    )
    parser.add_argument(
        "--no-stem",
        action="store_true",
        help="the delegate leaves float convolutions to the runtime: the first, of shortcuts",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    devices = parser.add_argument_group(
        "on devices", "One model after another, on all devices at once, beside this machine."
    )
    devices.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="DEVICE",
        help="adb, adb:SERIAL, ssh:USER@HOST or local; may be given several times",
    )
    devices.add_argument(
        "-o",
        "--output",
        metavar="results.json",
        help="keep results here; the same command goes on where it was interrupted",
    )
    devices.add_argument(
        "--no-local", action="store_true", help="do not measure on this machine as well"
    )
    devices.add_argument(
        "--cooldown",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds that a device may take between two models to get as cool as it was "
        "(default 60)",
    )
    devices.add_argument(
        "--keep",
        action="store_true",
        help="leave on the device what was sent, for the next time",
    )
    devices.add_argument(
        "--apk", metavar="FILE", help="install this app on Android, if the device has another"
    )
    devices.add_argument(
        "--wheels", metavar="DIR", help="wheels for boards, as make board-aarch64 collects them"
    )
    devices.add_argument(
        "--python",
        default="python3",
        metavar="PATH",
        help="of boards: a name, or a path from the home folder (default python3)",
    )


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    return _on_devices(args) if args.device else _here(args)


def _here(args: argparse.Namespace) -> int:
    from keras_sparsebnn.cli.benchmark_tables import layer_table, timing_table
    from keras_sparsebnn.runtime.report import measure

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done}/{total} inferences", end=end, file=sys.stderr, flush=True)

    report = measure(args.models, progress=progress, **_settings(args))
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        tables = [timing_table([("", report)])]
        tables += [layer_table(*item) for item in report["layers"].items()]
        print("\n\n".join(tables))
    return 0


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "num_threads": args.threads,
        "runs": args.runs,
        "warmup": args.warmup,
        "runtime": args.runtime,
        "glue": not args.no_glue,
        "stem": not args.no_stem,
    }


def _on_devices(args: argparse.Namespace) -> int:
    from keras_sparsebnn._rules import check, number
    from keras_sparsebnn.cli.benchmark_tables import timing_table
    from keras_sparsebnn.cli.outputs import check_output
    from keras_sparsebnn.devices.campaign import measure_devices
    from keras_sparsebnn.devices.device import Settings
    from keras_sparsebnn.devices.results import Results
    from keras_sparsebnn.runtime import read_model

    check("cooldown", args.cooldown, number(0, 3600))
    for model in args.models:
        read_model(model)  # a file that is not valid is named before a device is asked
    path = None
    if args.output is not None:
        path = check_output(args.output, args.models)
    settings = Settings(**_settings(args))
    results = Results(settings.to_dict(), path)
    devices, failures = _open(args)
    tell, end = _teller([device.spec for device in devices])
    try:
        failures |= measure_devices(
            devices,
            [Path(model) for model in args.models],
            settings,
            results,
            cooldown=args.cooldown,
            tell=tell,
        )
    finally:
        end()
    if args.json:
        print(json.dumps({**results.to_dict(), "failures": failures}, indent=2))
    elif measured := results.measurements():
        print(timing_table([(one.device, one.report) for one in measured]))
    for message in failures.values():
        print(f"sparsebnn benchmark: error: {message}", file=sys.stderr)
    return 2 if failures else 0


def _open(args: argparse.Namespace) -> tuple[list[Device], dict[str, str]]:
    """Devices once each, this machine first; by name, why others cannot be used."""
    from keras_sparsebnn.devices.find import Options, open_device
    from keras_sparsebnn.errors import SparseBNNError

    options = Options(
        apk=_existing(args.apk),
        wheels=_existing(args.wheels),
        python=args.python,
        keep=args.keep,
    )
    names = args.device if args.no_local else ["local", *args.device]
    devices: dict[str, Device] = {}
    failures = {}
    for name in dict.fromkeys(names):
        try:
            device = open_device(name, options)
            devices.setdefault(device.spec, device)
        except SparseBNNError as error:
            failures[name] = str(error)
    return list(devices.values()), failures


def _existing(name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name)
    path.stat()  # the error names it
    return path


def _teller(
    devices: list[str],
) -> tuple[Callable[[str, str], None], Callable[[], None]]:
    """Shows on a terminal what every device does, in one line; and ends that line."""
    doing = dict.fromkeys(devices, "starts")
    shown = sys.stderr.isatty()

    def tell(device: str, what: str) -> None:
        doing[device] = what
        if shown:
            text = " | ".join(f"{name}: {now}" for name, now in doing.items())
            print(f"\r\x1b[K{text[:150]}", end="", file=sys.stderr, flush=True)

    def end() -> None:
        if shown:
            print(file=sys.stderr)

    return tell, end
