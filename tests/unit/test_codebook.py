"""The codebook: numbering, encode and decode, nearest codeword, complement."""

import itertools

import numpy as np
import pytest

from keras_sparsebnn import codebook


@pytest.mark.parametrize("kernel_size", codebook.KERNEL_SIZES)
def test_all_sign_patterns_once(kernel_size):
    table = codebook.codewords(kernel_size)
    taps = kernel_size**2
    patterns = {tuple(row) for row in table}
    assert patterns == set(itertools.product((-1.0, 1.0), repeat=taps))
    assert len(table) == codebook.codebook_size(kernel_size) == 2**taps


def test_bit_t_is_tap_t_negative():
    kernel = np.ones((3, 3))
    kernel[1, 2] = -1
    assert codebook.encode(kernel.reshape(9)) == 1 << (1 * 3 + 2)


@pytest.mark.parametrize("kernel_size", codebook.KERNEL_SIZES)
def test_decode_inverts_encode(kernel_size):
    ids = np.arange(codebook.codebook_size(kernel_size))
    assert np.array_equal(codebook.encode(codebook.decode(ids, kernel_size), kernel_size), ids)


@pytest.mark.parametrize("kernel_size", codebook.KERNEL_SIZES)
def test_complement_negates(kernel_size):
    ids = np.arange(codebook.codebook_size(kernel_size))
    negated = codebook.decode(codebook.complement(ids, kernel_size), kernel_size)
    assert np.array_equal(negated, -codebook.decode(ids, kernel_size))


def test_zero_encodes_as_plus_one():
    assert codebook.encode(np.zeros(9)) == 0


def test_nearest_minimises_the_distance(rng):
    kernels = rng.normal(size=(200, 9))
    ids = rng.choice(512, 32, replace=False)
    distance = ((codebook.decode(ids)[None] - kernels[:, None]) ** 2).sum(-1)
    assert np.array_equal(codebook.nearest(kernels, ids), ids[distance.argmin(1)])


def test_nearest_in_the_whole_codebook_is_sign(rng):
    kernels = rng.normal(size=(200, 9))
    assert np.array_equal(codebook.nearest(kernels), codebook.encode(kernels))


def test_ties_go_to_the_lowest_id():
    assert codebook.nearest(np.zeros((1, 9)), [400, 3, 17]) == [3]


def test_covering_lies_closer_to_fresh_kernels_than_random_subsets(rng):
    kernels = rng.normal(size=(5000, 9)).astype(np.float32)

    def kept(ids):
        return (kernels @ codebook.codewords()[ids].T).max(axis=1).mean()

    for n in (16, 64):
        ids = codebook.covering(n, seed=5)
        assert len(set(ids.tolist())) == n
        subsets = [kept(rng.choice(512, n, replace=False)) for _ in range(10)]
        assert kept(ids) > max(subsets)


def test_covering_is_a_function_of_its_seed():
    assert np.array_equal(codebook.covering(16, seed=1), codebook.covering(16, seed=1))
    assert not np.array_equal(codebook.covering(16, seed=1), codebook.covering(16, seed=2))


def test_the_table_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        codebook.codewords(3)[0, 0] = 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: codebook.codebook_size(5), "Expected a kernel size of 1, 2 or 3, got 5"),
        (lambda: codebook.decode([0, 512]), r"Expected codeword ids in \[0, 511\], got 512"),
        (lambda: codebook.decode([-1]), r"got -1"),
        (lambda: codebook.decode([0.5]), "Expected integer codeword ids"),
        (lambda: codebook.covering(513), r"Expected n in \[1, 512\], got 513"),
        (lambda: codebook.encode(np.ones((2, 4))), r"Expected patterns of shape \[..., 9\]"),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
