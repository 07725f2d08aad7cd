"""Every value of the published reference table, and the formulas' corners."""

import pytest

from keras_sparsebnn.analysis.accounting import BinaryConv, totals


def stages(first_width, blocks, size):
    """(Cin, Cout, H) of a residual network's 3x3 layers, two a block."""
    layers, channels = [], first_width
    for stage, count in enumerate(blocks):
        width = first_width * 2**stage
        for _ in range(2 * count):
            layers.append((channels, width, size // 2**stage))
            channels = width
    return layers


NETWORKS = {
    "resnet18-224": stages(64, (2, 2, 2, 2), 56),
    "resnet34-224": stages(64, (3, 4, 6, 3), 56),
    "resnet18-32": stages(64, (2, 2, 2, 2), 32),
    "vgg-small": [
        (128, 128, 32),
        (128, 256, 16),
        (256, 256, 16),
        (256, 512, 8),
        (512, 512, 8),
    ],
    "resnet20-32": stages(16, (3, 3, 3), 32),
}
BITS = (None, 7, 6, 5, 4)
TABLE = {
    ("resnet18-224", "mbit"): (10.985, 8.544, 7.324, 6.103, 4.882),
    ("resnet18-224", "gbops"): (1.6763, 1.2155, 0.8839, 0.5014, 0.2972),
    ("resnet34-224", "mbit"): (21.086, 16.400, 14.057, 11.715, 9.372),
    ("resnet34-224", "gbops"): (3.5260, 2.4935, 1.6964, 0.9654, 0.5806),
    ("resnet18-32", "mbit"): (10.985, 8.544, 7.324, 6.103, 4.882),
    ("resnet18-32", "gbops"): (0.5474, 0.3969, 0.2886, 0.1637, 0.0971),
    ("vgg-small", "mbit"): (4.571, 3.555, 3.047, 2.540, 2.032),
    ("vgg-small", "gbops"): (0.6040, 0.3460, 0.1940, 0.1138, 0.0737),
    ("resnet20-32", "mbit"): (0.267, 0.208, 0.178, 0.148, 0.119),
    ("resnet20-32", "gbops"): (0.0401, 0.0401, 0.0401, 0.0343, 0.0253),
}


@pytest.mark.parametrize(
    ("network", "quantity", "bits", "expected"),
    [
        (network, quantity, bits, value)
        for (network, quantity), values in TABLE.items()
        for bits, value in zip(BITS, values, strict=True)
    ],
)
def test_reference_table(network, quantity, bits, expected):
    layers = [
        BinaryConv(3, cin, cout, size, size, codewords=None if bits is None else 2**bits)
        for cin, cout, size in NETWORKS[network]
    ]
    digits = 3 if quantity == "mbit" else 4
    # The table's own rounding: half a unit of its last digit.
    assert getattr(totals(layers), quantity) == pytest.approx(expected, abs=0.501 * 10**-digits)


def test_codebook_is_counted_apart():
    layer = BinaryConv(3, 64, 64, 8, 8, codewords=32)
    assert layer.codebook_bits == 32 * 9
    assert layer.weight_bits == 64 * 64 * 5
    assert BinaryConv(3, 64, 64, 8, 8).codebook_bits == 0
    assert BinaryConv(3, 64, 64, 8, 8, codewords=512).codebook_bits == 0


def test_all_codewords_cost_one_bit():
    assert BinaryConv(3, 8, 8, 4, 4, codewords=512).bits_per_weight == 1
    assert BinaryConv(2, 8, 8, 4, 4, codewords=16).bits_per_weight == 1


def test_nothing_sums_to_nothing():
    assert totals([]).bits_per_weight == 0


def test_the_whole_codebook_is_plain_kernels():
    plain = BinaryConv(3, 64, 1024, 4, 4)
    assert BinaryConv(3, 64, 1024, 4, 4, codewords=512).bops == plain.bops
    assert BinaryConv(1, 64, 64, 4, 4, codewords=2).bops == 64 * 64 * 16


@pytest.mark.parametrize("codewords", [None, 16, 64])
def test_a_grouped_layer_is_that_many_layers(codewords):
    one = BinaryConv(3, 32, 48, 4, 4, codewords)
    grouped = BinaryConv(3, 32, 3 * 48, 4, 4, codewords, groups=3)
    assert grouped.weights == 3 * one.weights
    assert grouped.bops == 3 * one.bops
