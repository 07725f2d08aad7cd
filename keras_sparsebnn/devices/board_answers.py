"""What a `board_process` answers, on a board or here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from keras_sparsebnn._rules import is_int
from keras_sparsebnn.devices.device import Progress
from keras_sparsebnn.devices.shell import Shell
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["message_of", "nonsense", "reported"]


def nonsense(spec: str) -> SparseBNNError:
    """The error of an answer that is no JSON object."""
    return SparseBNNError(
        f"Expected JSON from the board's Python, got something else ({spec})."
    )


def message_of(line: str, spec: str) -> Mapping[str, Any]:
    """A line as a JSON object.

    Raises:
        SparseBNNError: it is none.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise nonsense(spec) from error
    if not isinstance(message, dict):
        raise nonsense(spec)
    return message


def reported(
    shell: Shell, command: Sequence[str], order: Mapping[str, Any], progress: Progress
) -> object:
    """The report of a `board_process` that `command` starts, not checked.

    Raises:
        SparseBNNError: it failed, or said something else.
    """
    report: object = None
    for line in shell.stream(command, json.dumps(order) + "\n"):
        message = message_of(line, shell.spec)
        if "error" in message:
            raise SparseBNNError(f"{str(message['error'])[:300]} ({shell.spec})")
        if is_int(done := message.get("done")) and is_int(total := message.get("total")):
            progress(done, total)
        report = message.get("report", report)
    return report
