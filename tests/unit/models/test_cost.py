"""Parameter counts and operations of the networks as they are built: the published tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import networks
from docs.generate.pages import names
from docs.generate.tables import stale
from keras_sparsebnn.analysis.accounting import totals
from keras_sparsebnn.analysis.summaries import summary
from keras_sparsebnn.quantizers import FixedSubset

DOCS = Path(__file__).resolve().parents[3] / "docs"

BITS = (None, 7, 6, 5, 4)
TABLE = {
    ("resnet18", 224, "mbit"): (10.985, 8.544, 7.324, 6.103, 4.882),
    ("resnet18", 224, "gbops"): (1.6763, 1.2155, 0.8839, 0.5014, 0.2972),
    ("resnet34", 224, "mbit"): (21.086, 16.400, 14.057, 11.715, 9.372),
    ("resnet34", 224, "gbops"): (3.5260, 2.4935, 1.6964, 0.9654, 0.5806),
    ("resnet18", 32, "mbit"): (10.985, 8.544, 7.324, 6.103, 4.882),
    ("resnet18", 32, "gbops"): (0.5474, 0.3969, 0.2886, 0.1637, 0.0971),
    ("vgg_small", 32, "mbit"): (4.571, 3.555, 3.047, 2.540, 2.032),
    ("vgg_small", 32, "gbops"): (0.6040, 0.3460, 0.1940, 0.1138, 0.0737),
    ("resnet20", 32, "mbit"): (0.267, 0.208, 0.178, 0.148, 0.119),
    ("resnet20", 32, "gbops"): (0.0401, 0.0401, 0.0401, 0.0343, 0.0253),
}


@pytest.fixture(scope="module")
def built():
    """Every network of docs/networks.md at its full size, built once; and the table."""
    made = {}

    def build(name, shape, classes, options):
        made[name, shape[0]] = model = networks.build(name, shape, classes, options)
        return model

    return made, networks.table(build)


@pytest.mark.parametrize(
    ("network", "side", "quantity", "bits", "expected"),
    [
        (*key, bits, value)
        for key, values in TABLE.items()
        for bits, value in zip(BITS, values, strict=True)
    ],
)
def test_reference_table(built, network, side, quantity, bits, expected):
    layers = networks.geometry(built[0][network, side])
    if bits is not None:
        layers = networks.with_codewords(layers, 2**bits)
    digits = 3 if quantity == "mbit" else 4
    # The table's own rounding: half a unit of its last digit.
    assert getattr(totals(layers), quantity) == pytest.approx(expected, abs=0.501 * 10**-digits)


def test_operations_of_bcdnet(built):
    """Published: 4.82e9, of A and B."""
    a, b, resnet, base = (
        totals(networks.geometry(built[0][name, 224]))
        for name in ("bcdnet_a", "bcdnet_b", "bcd_resnet18", "resnet18")
    )
    assert a.gbops == b.gbops == pytest.approx(4.82, abs=0.00501)
    # Three groups of ten 1x1 layers in the place of three 3x3 ones.
    assert resnet.weights - base.weights == 3 * (10 - 9) * 512**2


def test_the_page_has_the_table(built):
    tables = names((DOCS / "networks.md").read_text("utf-8"))
    assert tables == ["networks", "multi_bit", "systems"]
    assert stale({"networks": lambda: built[1]}) == []


def test_the_summary_says_the_same():
    from keras_sparsebnn import models

    model = models.resnet20((32, 32, 3), 10, codewords=16, kernel_quantizer=FixedSubset)
    ours = totals(networks.with_codewords(networks.geometry(model), 16))
    assert summary(model).totals == ours
    assert round(ours.gbops, 4) == 0.0253


def test_the_summary_counts_groups():
    from keras_sparsebnn import models

    model = models.ftbnn18_grouped(
        (8, 8, 3),
        2,
        groups=2,
        width=64,
        depths=(1, 1),
        codewords=16,
        kernel_quantizer=FixedSubset,
    )
    costs = {layer.name: layer.bops for layer in summary(model).layers}
    # Two groups of 32 channels in, 32 out: 16 kernels of 9 taps, and 32 / 2 lookups, a channel.
    assert costs["stage0_0"] == 8 * 8 * 64 * (9 * 16 + 32 / 2)


def test_the_examples_on_the_page():
    page = (DOCS / "networks.md").read_text("utf-8")
    examples = page.split("```python\n")[1:]
    assert examples
    scope = {}
    for example in examples:
        exec(compile(example.partition("```")[0], "networks.md", "exec"), scope)
    codewords = {
        layer.name: layer.kernel_quantizer.codewords
        for layer in scope["model"].layers
        if layer.name.startswith("stage") and hasattr(layer, "kernel_quantizer")
    }
    assert codewords["stage0_0"] == 128
    assert codewords["stage2_5"] == 16
    assert "relu" in str([type(x).__name__ for x in scope["teacher"].layers]).lower()
