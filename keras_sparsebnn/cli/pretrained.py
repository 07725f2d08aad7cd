"""`sparsebnn pretrained`: the models that come with the package."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from keras_sparsebnn._rules import RUNTIMES
from keras_sparsebnn._text_table import aligned

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `sparsebnn pretrained`."""
    actions = parser.add_subparsers(
        title="actions", dest="action", metavar="<action>", required=True
    )
    listing = actions.add_parser("list", help="the models, their files and accuracies")
    getting = actions.add_parser("get", help="copy a model's files and its card to a folder")
    measuring = actions.add_parser(
        "evaluate", help="measure the accuracy of its files on the whole test set"
    )
    for action in (getting, measuring):
        action.add_argument("name", metavar="NAME", help="see list")
    getting.add_argument("-o", "--output", metavar="DIR", help="default: NAME")
    measuring.add_argument("--data-dir", metavar="DIR", help="where the data set lies")
    measuring.add_argument("--runtime", choices=RUNTIMES, default="auto")
    for action in (listing, measuring):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Lists, copies or measures.

    Raises:
        SparseBNNError: anything that the user can act on.
    """
    return {"list": _list, "get": _get, "evaluate": _evaluate}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from keras_sparsebnn.pretrained import load, names

    cards = [load(name).card for name in names()]
    if args.json:
        print(json.dumps({"models": cards}))
        return 0
    rows = [("model", "file", "n", "bytes", "test accuracy")]
    for card in cards:
        for file, facts in card["files"].items():
            accuracy = f"{facts['accuracy']:.2%}"
            size = f"{facts['bytes']:,}"
            rows.append((card["name"], file, str(card["codewords"]), size, accuracy))
    print("\n".join(aligned(rows)))
    return 0


def _get(args: argparse.Namespace) -> int:
    from keras_sparsebnn._files import replaced
    from keras_sparsebnn.cli.outputs import check_output
    from keras_sparsebnn.pretrained import load
    from keras_sparsebnn.pretrained.card import as_markdown

    model = load(args.name)
    folder = check_output(args.output or args.name, [str(model.folder)], "folder")
    folder.mkdir(exist_ok=True)
    contents = {path.name: path.read_bytes() for path in sorted(model.folder.iterdir())}
    contents["labels.txt"] = "".join(f"{label}\n" for label in model.labels).encode()
    contents["README.md"] = as_markdown(model.card).encode()
    for name, data in contents.items():
        with replaced(folder / name) as temporary:
            temporary.write_bytes(data)
        print(Path(folder / name))
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from keras_sparsebnn.pretrained import KINDS, load
    from keras_sparsebnn.pretrained.evaluation import evaluate

    model = load(args.name)
    measured = {}
    for kind in KINDS:
        accuracy = evaluate(model, kind, data_dir=args.data_dir, runtime=args.runtime)
        measured[f"{kind}.tflite"] = accuracy
        if not args.json:
            print(f"{kind}.tflite  {accuracy:.2%}  (card: {model.accuracy(kind):.2%})")
    if args.json:
        print(json.dumps({"model": model.name, "accuracy": measured}))
    return 0
