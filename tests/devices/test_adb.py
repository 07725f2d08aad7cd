"""`sparsebnn benchmark --device adb`: the real adb, and a device's side on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from keras_sparsebnn.cli import main
from keras_sparsebnn.devices.adb import AdbShell
from keras_sparsebnn.errors import SparseBNNError
from tests.devices.conftest import FAST, MODEL, own_adb_server


def test_measures_pulls_and_cleans(phone, capsys):
    device = phone()
    command = ["benchmark", str(MODEL), "--device", f"adb:{device.serial}", *FAST, "--json"]
    assert main(command) == 0
    results = json.loads(capsys.readouterr().out)
    (measured,) = results["devices"].values()
    assert measured["facts"]["name"] == "Maker Phone 1"
    assert measured["facts"]["soc"] == "Chips C100"
    assert measured["facts"]["system"] == "Android 14"
    (entry,) = measured["models"].values()
    (timing,) = entry["timings"]
    assert (timing["model"], timing["runs"]) == (str(MODEL), 2)
    assert timing["runtime"].startswith("delegate on ")
    assert entry["file_bytes"] == MODEL.stat().st_size
    # The phone's battery says 28.5; a thermometer of the machine that it runs on comes first.
    if list(Path("/sys/class/thermal").glob("thermal_zone*/temp")):
        assert min(entry["temperature_c"]) > 0
    else:
        assert entry["temperature_c"] == [28.5, 28.5]
    assert not device.folder.exists()


def test_pushes_only_what_is_missing(phone, monkeypatch):
    device = phone()
    command = ["benchmark", str(MODEL), "--device", f"adb:{device.serial}", *FAST, "--keep"]
    pushed = []
    push = AdbShell.push
    monkeypatch.setattr(
        AdbShell, "push", lambda self, *paths: (pushed.append(paths), push(self, *paths))
    )
    assert main(command) == 0
    assert main(command) == 0
    assert len(pushed) == 1
    (kept,) = device.folder.iterdir()
    assert kept.read_bytes() == MODEL.read_bytes()


def test_the_shell_gets_arguments_as_they_are(phone):
    shell = AdbShell(phone().serial)
    odd = ["a b", "$(id)", "'", '"', "", "*", "ä", "x;y", "--"]
    output = shell.run(["printf", "%s\n", *odd])
    assert output.out.split("\n")[: len(odd)] == odd
    assert shell.run(["sh", "-c", "echo no >&2; exit 3"]) == type(output)(3, "", "no\n")


def test_installs_the_app_if_it_is_another(phone, tmp_path):
    device = phone()
    apk = tmp_path / "app.apk"
    apk.write_bytes(b"a newer app")
    command = ["benchmark", str(MODEL), "--device", f"adb:{device.serial}", *FAST]
    assert main([*command, "--apk", str(apk)]) == 0
    assert device.app.read_bytes() == b"a newer app"
    (device.root / "install_refused").write_text("INSTALL_FAILED_NO_MATCHING_ABIS")
    assert main([*command, "--apk", str(apk)]) == 0  # it is there


class TestFailures:
    def test_no_device(self, adb_server, fails):
        subprocess.run(["adb", "disconnect"], check=False, capture_output=True)
        assert "a device that adb sees, found none" in fails("adb")
        assert "adb to see the device XYZ, but it sees none" in fails("adb:XYZ")
        assert "Expected adb or adb:SERIAL" in fails("adb:-s")

    def test_several_devices(self, phone, fails):
        for _ in range(2):
            subprocess.run(["adb", "connect", phone().serial], check=True, capture_output=True)
        assert "Expected one device, adb sees 127.0.0.1:" in fails("adb")

    def test_unauthorised(self, phone, fails):
        serial = phone(mode="unauthorized").serial
        assert f"but adb:{serial} is unauthorised: unlock it" in fails(f"adb:{serial}")

    def test_offline(self, phone, fails, tmp_path):
        device = phone()
        # Trying to reconnect keeps a server busy for long.
        with own_adb_server(tmp_path):
            shell = AdbShell(device.serial)
            device.close()
            with pytest.raises(SparseBNNError, match="is offline: plug it in again"):
                shell.run(["true"])

    def test_wrong_abi_and_old_android(self, phone, fails):
        device = phone()
        text = device.properties.read_text()
        device.properties.write_text(text.replace("arm64-v8a", "armeabi-v7a"))
        line = fails(f"adb:{device.serial}")
        assert "of arm64-v8a or x86_64, found the wrong ABI: armeabi-v7a" in line
        device.properties.write_text(text.replace("sdk=34", "sdk=23"))
        assert "Expected Android 8 (API 26) or newer" in fails(f"adb:{device.serial}")

    def test_no_app(self, phone, fails, tmp_path):
        device = phone()
        device.app.unlink()
        line = fails(f"adb:{device.serial}")
        assert "Expected the app io.github.keras_sparsebnn.demo, found none" in line
        (tmp_path / "app.apk").write_bytes(b"app")
        for reason, expected in (
            ("INSTALL_FAILED_NO_MATCHING_ABIS", "app.apk has no library for it"),
            ("INSTALL_FAILED_INSUFFICIENT_STORAGE", "found the disk full"),
            ("INSTALL_FAILED_UPDATE_INCOMPATIBLE", "got: INSTALL_FAILED_UPDATE_INCOMPATIBLE"),
        ):
            (device.root / "install_refused").write_text(reason)
            line = fails(f"adb:{device.serial}", "--apk", tmp_path / "app.apk")
            assert expected in line

    def test_disk_full(self, phone, fails, monkeypatch):
        from keras_sparsebnn._files import sha256

        device = phone()
        device.folder.mkdir()
        part = device.folder / f"{sha256(MODEL)[:16]}.tflite.part"
        part.symlink_to("/dev/full")
        assert "found the disk full" in fails(f"adb:{device.serial}")

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("INSTRUMENTATION_FAILED: x/y", "instrumentation to run, got: x/y"),
            ("INSTRUMENTATION_ABORTED: System has crashed.", "got: System has crashed."),
            ("INSTRUMENTATION_RESULT: shortMsg=Process crashed.", "says: Process crashed."),
            ("INSTRUMENTATION_RESULT: error=No memory", "error: No memory (adb:"),
            ("INSTRUMENTATION_RESULT: report={", "a report from the app, got none"),
            ("INSTRUMENTATION_RESULT: report=" + "[" * 9999, "a report from the app, got none"),
            ("INSTRUMENTATION_RESULT: report={}", "one with a wrong `timings`"),
            ("", "a report from the app, got none"),
        ],
    )
    def test_what_the_app_may_say(self, phone, fails, said, expected):
        device = phone()
        device.says(said)
        assert expected in fails(f"adb:{device.serial}")

    def test_no_adb(self, fails, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert "Expected Android's program adb, found none" in fails("adb")

    def test_options_that_the_app_has_not(self, phone, fails):
        for pinned in ("--no-glue", "--no-stem"):
            assert "for Android" in fails(f"adb:{phone().serial}", pinned)


def test_device_list_and_info(phone, capsys):
    device, stranger = phone(), phone(mode="unauthorized")
    for each in (device, stranger):
        subprocess.run(["adb", "connect", each.serial], check=False, capture_output=True)
    assert main(["device", "list"]) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[:-2])
    assert listed["local"] == "this machine"
    assert listed[f"adb:{device.serial}"] == "device"
    assert listed[f"adb:{stranger.serial}"] == "unauthorized"
    assert main(["device", "info", f"adb:{device.serial}", f"adb:{stranger.serial}"]) == 2
    captured = capsys.readouterr()
    assert "ABI          arm64-v8a" in captured.out
    assert "battery      80 %" in captured.out
    assert "is unauthorised" in captured.err
