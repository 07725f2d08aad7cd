"""`sparsebnn benchmark --device ssh`: the real ssh and sshd, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from keras_sparsebnn._files import sha256
from keras_sparsebnn.cli import main
from keras_sparsebnn.devices.ssh import SshShell
from keras_sparsebnn.errors import SparseBNNError
from tests.devices.conftest import FAST, MODEL

OTHER = MODEL.with_name("lce_selected.tflite")


def test_two_models_in_one_table_with_this_machine(board, capsys):
    command = ["benchmark", str(MODEL), str(OTHER), "--device", "ssh:board", "--cooldown", "0"]
    assert main([*command, "--runs", "2", "--warmup", "1", "--runtime", "delegate"]) == 0
    head, *rows, _, note = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["device", "model", "runtime"]
    cells = sorted(row.split()[:3] for row in rows)
    assert cells == sorted(
        [device, str(model), "delegate"]
        for device in ("local", "ssh:board")
        for model in (MODEL, OTHER)
    )
    assert note.startswith("2 runs after 1 warm-up runs, 1 thread(s), ")
    assert not board.folder.exists()


def test_the_shell_gets_arguments_as_they_are(board):
    shell = SshShell("board")
    odd = ["a b", "$(id)", "'", '"', "", "*", "ä", "x;y", "--"]
    output = shell.run(["sh", "-c", 'for each; do echo "$each"; done', "sh", *odd])
    assert output.out.split("\n") == odd
    assert shell.run(["sh", "-c", "echo no >&2; exit 3"]) == type(output)(3, "", "no\n")


def test_a_flood_and_silence_end(board, monkeypatch):
    from keras_sparsebnn.devices import shell as module

    monkeypatch.setattr(module, "MAX_OUTPUT", 10_000)
    shell = SshShell("board")
    with pytest.raises(SparseBNNError, match="at most 10000 bytes, got more"):
        shell.run(["sh", "-c", "while :; do echo all work and no play; done"])
    with pytest.raises(SparseBNNError, match="answer within 0 s, got none"):
        shell.run(["sh", "-c", "printf unfinished; sleep 60"], timeout=0.3)


class TestFailures:
    @pytest.mark.parametrize(
        ("device", "expected"),
        [
            ("ssh:unauthorised", "unauthorised is unauthorised (ssh:unauthorised). Run: ssh-c"),
            ("ssh:unknown", "unknown has an unknown key (ssh:unknown). Run once: ssh unknown"),
            ("ssh:offline", "offline is offline: it has no ssh server"),
            ("ssh:pi@no-such-board.invalid", "is unknown by that name"),
            ("ssh:-oProxyCommand=x", "Expected ssh:USER@HOST"),
            ("ssh:a b", "Expected ssh:USER@HOST"),
            ("ssh:", "Expected a device: local, adb, adb:SERIAL or ssh:USER@HOST"),
            ("usb", "Expected a device: local, adb, adb:SERIAL or ssh:USER@HOST"),
        ],
    )
    def test_cannot_be_reached(self, board, fails, device, expected):
        assert expected in fails(device)

    def test_no_python(self, board, fails):
        (board.programs / "python3").unlink()
        assert "Expected Python on the board, found no python3 (ssh:board)" in fails(
            "ssh:board"
        )
        assert "found no venv/bin/python" in fails("ssh:board", "--python", "venv/bin/python")

    def test_wrong_abi(self, board, fails):
        if shutil.which("setarch") is None:
            pytest.skip("needs setarch, of util-linux")
        board.python(shutil.which("setarch"), "i686", sys.executable)
        assert "found the wrong ABI: i686" in fails("ssh:board")

    def test_no_wheels(self, board, fails, tmp_path):
        board.python(sys.executable, "-I", "-S")  # with no packages at all
        line = fails("ssh:board")
        assert "Expected wheels of this 0.1.0 and numpy and ai-edge-litert" in line
        assert "found none without --wheels (ssh:board). Run: make board-" in line
        assert f"found none in {tmp_path}" in fails("ssh:board", "--wheels", tmp_path)
        assert not board.folder.exists()

    def test_disk_full(self, board, fails):
        board.folder.mkdir()
        part = board.folder / f"{sha256(MODEL)[:16]}.tflite.part"
        part.symlink_to("/dev/full")
        assert "found the disk full (ssh:board). Free some of it." in fails("ssh:board")
        assert not board.folder.exists()

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("hello", "JSON from the board's Python, got something else"),
            ("[1]", "JSON from the board's Python, got something else"),
            ("[" * 9999, "JSON from the board's Python, got something else"),
            ('{"version": 3}', "JSON from the board's Python, got something else"),
            ("", "JSON from the board's Python, got something else"),
        ],
    )
    def test_what_python_may_say(self, board, fails, said, expected):
        (board.programs / "said").write_text(said)
        (board.programs / "python3").write_text(f"#!/bin/sh\ncat {board.programs}/said\n")
        assert expected in fails("ssh:board")

    def test_one_of_several_fails(self, board, capsys):
        command = ["benchmark", str(MODEL), *FAST, "--json", "--runtime", "delegate"]
        for device in ("ssh:offline", "ssh:board", "adb:no/serial"):
            command += ["--device", device]
        assert main(command) == 2
        captured = capsys.readouterr()
        results = json.loads(captured.out)
        assert list(results["devices"]) == ["ssh:board"]
        assert set(results["failures"]) == {"ssh:offline", "adb:no/serial"}
        assert len(captured.err.splitlines()) == 2


def test_interrupted_and_resumed(board, tmp_path):
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "keras_sparsebnn", "benchmark", str(MODEL), str(OTHER)]
    command += ["--device", "ssh:board", *FAST, "-o", str(output)]
    board.python()
    python = (board.programs / "python3").read_text().partition("\n")[2]
    endless = f"""#!/bin/sh
case "$*" in
*board_process)
  read -r order
  case $order in # the second model never ends
  *{sha256(OTHER)[:16]}*) while :; do echo '{{"done": 1, "total": 9}}'; sleep 0.1; done ;;
  esac
  exec <<END
$order
END
esac
"""
    (board.programs / "python3").write_text(endless + python)
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Background jobs of a shell ignore Ctrl-C, and so do their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + 200
        while not output.exists():
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)  # into the second model
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=200)
    finally:
        running.kill()
    assert (running.returncode, out, err) == (130, b"", b"sparsebnn: interrupted\n")
    assert not board.folder.exists()
    (first,) = json.loads(output.read_text())["devices"]["ssh:board"]["models"].values()
    board.python()
    assert main(command[3:]) == 0
    models = json.loads(output.read_text())["devices"]["ssh:board"]["models"]
    assert list(models) == [sha256(MODEL), sha256(OTHER)]
    assert models[sha256(MODEL)] == first
    assert os.listdir(board.home) == []  # noqa: PTH208
