"""Takes the documentation's images of the app's screens.

    python -m tests.android.screenshots     # into docs/images/android

The screens are drawn by Android's own code on the JVM, as in the tests. The figures on them are
those of this machine, of no phone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from android_demo.tools import ToolError, apk
from tests.android import app_tests

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images" / "android"
TEST = "io.github.keras_sparsebnn.demo.ui.ScreensTest"
WIDTH = 411  # of a phone, in density-independent pixels


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        work, tests = Path(folder, "app"), Path(folder, "tests")
        tests.mkdir()
        try:
            apk.compile_app(work)
            results = app_tests.prepare(tests, work).run([TEST], expected="", models="")
        except ToolError as error:
            print(f"screenshots: {error}", file=sys.stderr)
            return 1
        failed = [text for name, text in results.items() if name and text != "passed"]
        if failed or len(results) == 1:
            print("\n".join(failed) or results[""], file=sys.stderr)
            return 1
        IMAGES.mkdir(parents=True, exist_ok=True)
        for path in sorted(tests.glob("*.png")):
            image = Image.open(path).convert("RGB")
            scale = WIDTH / min(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            small = image.resize(size, Image.Resampling.LANCZOS)
            small.quantize(128).save(IMAGES / path.name, optimize=True)
            print(IMAGES / path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
