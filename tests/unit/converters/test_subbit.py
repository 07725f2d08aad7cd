"""The sub-bit format: lossless both ways, small, and strict about what it reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.converters import ModelFileError, compress, expand, inspect
from keras_sparsebnn.converters.filters.sub_bit import (
    filter_words,
    index_bits,
    pack_indices,
    sub_bit_filters,
    unpack_indices,
)
from keras_sparsebnn.tflite_file import Table, operator_code, read, write_tables
from tests.official_reader import official

GOLDEN = Path(__file__).parents[2] / "golden"
SELECTED = (GOLDEN / "lce_selected.tflite").read_bytes()
SPECIFICATION = (GOLDEN.parents[1] / "converters" / "FORMAT.md").read_text(encoding="utf-8")
SUB_BIT = (GOLDEN / "subbit_v1.tflite").read_bytes()


def random_filter(rng, outputs, channels, codewords):
    """Words of a filter that uses exactly `codewords` codewords."""
    book = rng.choice(512, codewords, replace=False).astype(np.uint16)
    ids = rng.choice(book, (outputs, channels))
    ids.reshape(-1)[: len(book)] = book
    return filter_words(ids)


def operator_names(model):
    return [operator.name for operator in read(model).subgraphs[0].operators]


def layer(tree, number=0):
    """The operator, the indices tensor and the codebook tensor of a sub-bit tree."""
    graph = tree.tables("subgraphs")[0]
    operators = [o for o in graph.tables("operators") if len(o.integers("inputs")) == 6]
    operator = operators[number]
    _, indices, codebook, *_ = operator.integers("inputs")
    return operator, graph.tables("tensors")[indices], graph.tables("tensors")[codebook]


def data_of(tree, tensor):
    return tree.tables("buffers")[tensor.integer("buffer")]


class TestStream:
    def test_bits_are_where_the_format_says(self, rng):
        bits = 5
        indices = rng.integers(0, 2**bits, 77)
        stream = pack_indices(indices, bits)
        assert len(stream) == -(-77 * bits // 8)
        for i, index in enumerate(indices):
            for j in range(bits):
                t = i * bits + j
                assert stream[t // 8] >> (t % 8) & 1 == int(index) >> j & 1
        assert stream[-1] >> (77 * bits - 8 * (len(stream) - 1)) == 0

    @pytest.mark.parametrize("bits", range(1, 10))
    def test_unpack_inverts_pack(self, rng, bits):
        indices = rng.integers(0, 2**bits, 1001).astype(np.uint16)
        unpacked = unpack_indices(pack_indices(indices, bits), 1001, bits)
        np.testing.assert_array_equal(unpacked, indices)


class TestGolden:
    def test_bytes_are_stable(self):
        assert compress(SELECTED) == SUB_BIT

    def test_decodes_by_hand(self):
        # FORMAT.md in plain Python, sharing no code with the reader.
        plain = read(SELECTED)
        tree = read(SUB_BIT).root
        filters = [
            plain.constant(plain.subgraphs[0].tensors[operator.inputs[1]], "INT32")
            for operator in plain.subgraphs[0].operators
            if operator.name == "LceBconv2d"
        ]
        for number, words in enumerate(filters):
            _, indices, codebook = layer(tree, number)
            assert (indices.integer("type"), codebook.integer("type")) == (3, 16)
            stream = int.from_bytes(data_of(tree, indices).vector("data").tobytes(), "little")
            book = data_of(tree, codebook).vector("data").view("<u2").tolist()
            assert len(book) == 8
            for o in range(32):
                for c in range(32):
                    codeword = book[stream >> (3 * (32 * o + c)) & 7]
                    for tap in range(9):
                        bit = int(words[o, tap // 3, tap % 3, 0]) >> c & 1
                        assert codeword >> tap & 1 == bit

    def test_the_specifications_own_code(self):
        (code,) = re.findall(r"```python\n(.*?)```", SPECIFICATION, re.DOTALL)
        names: dict = {}
        exec(code, names)
        tree = read(SUB_BIT).root
        for number, stored in enumerate(sub_bit_filters(read(SUB_BIT))):
            _, indices, codebook = layer(tree, number)
            book = data_of(tree, codebook).vector("data").view("<u2").tolist()
            stream = data_of(tree, indices).vector("data").tolist()
            words = np.array(names["filter_words"](stream, book, 3, 32, 32), np.uint32)
            np.testing.assert_array_equal(words.view(np.int32), filter_words(stored.ids))

    def test_the_specifications_example(self):
        assert "in the two bytes `a4 04`" in SPECIFICATION
        assert pack_indices(np.array([0, 1, 2, 2, 0, 1]), 2).hex(" ") == "a4 04"

    def test_options(self):
        (first, _) = sub_bit_filters(read(SUB_BIT))
        assert first.operator.options == {
            **{"channels_in": 32, "channels_out": 32, "groups": 1},
            **{"format_version": 1, "index_bits": 3, "padding": 0, "pad_values": 1},
            **{"dilation_height_factor": 1, "dilation_width_factor": 1},
            **{"stride_height": 1, "stride_width": 1, "fused_activation_function": 0},
        }

    def test_inspect(self):
        report = inspect(SUB_BIT)
        assert [layer.storage for layer in report.binary_layers] == ["codebook"] * 2
        assert [layer.filter_bytes for layer in report.binary_layers] == [384 + 16] * 2
        assert report.binary_layers[0].output_type == "bits"
        assert report.bytes_by_kind["codebook indices"] == 2 * 384
        assert report.bytes_by_kind["codebooks"] == 2 * 16
        assert report.bytes_by_kind["binary thresholds"] == 128
        assert report.sub_bit_savings == 0
        assert "2 of 2 filters are stored as codebook indices." in str(report)


class TestLossless:
    def test_everything_of_lces_own_file(self):
        # With TensorFlow's generated classes, which share no code with ours.
        restored = expand(SUB_BIT)
        assert official(restored) == official(SELECTED)
        assert official(SUB_BIT) != official(SELECTED)

    def test_runs_as_before(self, rng):
        pytest.importorskip("larq_compute_engine")
        from keras_sparsebnn.runtime import Interpreter

        x = rng.normal(size=(3, 4, 4, 32)).astype(np.float32)
        before, after = (Interpreter(m).predict(x) for m in (SELECTED, expand(SUB_BIT)))
        np.testing.assert_array_equal(before, after)

    def test_constants_stay_aligned(self):
        for model in (SUB_BIT, expand(SUB_BIT)):
            file = read(model)
            buffers = (file.place(i) for i in range(len(file.root.tables("buffers"))))
            places = [place for place, size in buffers if size]
            assert places
            assert not any(place % 16 for place in places)

    @pytest.mark.parametrize(
        ("codewords", "bits"),
        [(1, 1), (2, 1), (3, 2), (8, 3), (16, 4), (17, 5), (33, 6), (100, 7), (200, 8)],
    )
    def test_bits(self, lce_model, rng, codewords, bits):
        model = lce_model((random_filter(rng, 128, 128, codewords), 128))
        packed = compress(model)
        (stored,) = sub_bit_filters(read(packed))
        assert (stored.bits, index_bits(codewords)) == (bits, bits)
        assert stored.indices.shape == (128 * 128 * bits // 8,)
        assert stored.codebook.shape == (codewords,)
        # 9 bits a kernel before, `bits` after, and at most 240 bytes around them.
        saved = 128 * 128 * (9 - bits) // 8 - 2 * codewords
        assert saved - 240 <= len(model) - len(packed) <= saved
        assert expand(packed) == model

    def test_nine_bits_where_channels_do_not_fill_words(self, lce_model, rng):
        model = lce_model((random_filter(rng, 512, 33, 512), 33))
        (stored,) = sub_bit_filters(read(compress(model)))
        assert stored.bits == 9
        assert expand(compress(model)) == model

    def test_groups(self, lce_model, rng):
        model = lce_model((random_filter(rng, 64, 32, 8), 128))
        (stored,) = sub_bit_filters(read(compress(model)))
        assert (stored.groups, stored.channels) == (4, 32)
        assert expand(compress(model)) == model

    def test_a_shared_filter_is_stored_once(self, lce_model, rng):
        words = random_filter(rng, 64, 64, 8)
        model = lce_model((words, 64), (words, 64))
        packed = compress(model)
        first, second = sub_bit_filters(read(packed))
        assert first.operator.inputs[1:3] == second.operator.inputs[1:3]
        assert expand(packed) == model

    def test_shared_buffers_and_codebooks(self, lce_model, rng):
        words = random_filter(rng, 64, 64, 8)
        model = lce_model((words, 64), (words.copy(), 64), share_buffers=True)
        packed = compress(model)
        first, second = sub_bit_filters(read(packed))
        assert first.operator.inputs[1] != second.operator.inputs[1]
        assert first.operator.inputs[2] == second.operator.inputs[2]
        assert first.indices.buffer == second.indices.buffer
        assert expand(packed) == model

    def test_needs_no_tensorflow(self):
        code = (
            "import sys, pathlib; from keras_sparsebnn.converters import compress, expand; "
            f"expand(compress(pathlib.Path({str(GOLDEN / 'lce_selected.tflite')!r})"
            ".read_bytes())); "
            "sys.exit(any(m in sys.modules for m in ('tensorflow', 'larq', 'tf_keras')))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestLeavesAlone:
    def check(self, model):
        assert compress(model) is model
        assert expand(model) is model

    def test_float_files(self):
        self.check((GOLDEN / "float_only.tflite").read_bytes())

    def test_filters_that_would_not_shrink(self, lce_model, rng):
        self.check(lce_model((random_filter(rng, 64, 64, 400), 64)))
        # 288 bytes would be 128 and a codebook of 32, but a tensor and options go with it.
        self.check(lce_model((random_filter(rng, 8, 32, 16), 32)))

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_other_kernel_sizes(self, lce_model, size):
        self.check(lce_model((np.zeros((512, size, size, 2), np.int32), 64)))

    def test_padding_bits_that_are_not_zero(self, lce_model, rng):
        words = random_filter(rng, 128, 40, 4)
        assert compress(lce_model((words, 40))) != lce_model((words, 40))
        words[5, 1, 1, 1] |= 1 << 8
        self.check(lce_model((words, 40)))

    def test_options_that_it_could_not_restore(self, lce_model, rng):
        words = random_filter(rng, 64, 64, 8)
        self.check(lce_model((words, 64), groups=1))
        tree = read(lce_model((words, 64))).root
        operator = tree.tables("subgraphs")[0].tables("operators")[0]
        # The same map with one byte of the keys' area unused.
        operator["custom_options"] = b"\0" + operator.vector("custom_options").tobytes()
        self.check(write_tables(tree))

    def test_filters_that_something_else_reads(self, lce_model, rng):
        tree = read(lce_model((random_filter(rng, 64, 64, 8), 64))).root
        graph = tree.tables("subgraphs")[0]
        graph["outputs"] = [*graph.integers("outputs"), 1]
        self.check(write_tables(tree))

    def test_filters_that_signatures_or_metadata_name(self, lce_model, rng):
        model = lce_model((random_filter(rng, 64, 64, 8), 64))
        tree = read(model).root
        signature, entry = Table("SignatureDef"), Table("TensorMap", name="filter")
        entry["tensor_index"] = 1
        signature.append("outputs", entry)
        tree.append("signature_defs", signature)
        self.check(write_tables(tree))
        tree = read(model).root
        metadata = Table("Metadata", name="filter")
        filter = tree.tables("subgraphs")[0].tables("tensors")[1]
        metadata["buffer"] = filter.integer("buffer")
        tree.append("metadata", metadata)
        self.check(write_tables(tree))

    @pytest.mark.parametrize("outputs", [[-1], [0], []])
    def test_layers_with_other_outputs(self, lce_model, rng, outputs):
        model = read(lce_model((random_filter(rng, 64, 64, 8), 64)))
        (operator,) = model.subgraphs[0].operators
        operator.table["outputs"] = [*operator.outputs, *outputs]
        assert (compress(model.to_bytes()) == model.to_bytes()) == bool(outputs)

    @pytest.mark.parametrize("value", [2**63, 2**64 - 1])
    @pytest.mark.parametrize("option", ["pad_values", "groups", "something_new"])
    def test_unsigned_options(self, lce_model, rng, value, option):
        model = lce_model((random_filter(rng, 64, 64, 8), 64), **{option: value})
        packed = compress(model)
        assert expand(packed) == model
        assert (packed is model) == (option == "groups")  # which is an option of our own
        inspect(model)

    def test_a_code_of_ours_that_nothing_uses(self, lce_model, rng):
        model = read(lce_model((random_filter(rng, 64, 64, 8), 64)))
        operator_code(model.root, "SparsebnnBconv2d")
        self.check(model.to_bytes())

    def test_only_some_layers(self, lce_model, rng):
        model = lce_model(
            (random_filter(rng, 64, 64, 300), 64), (random_filter(rng, 64, 64, 8), 64)
        )
        packed = compress(model)
        assert operator_names(packed) == ["LceBconv2d", "SparsebnnBconv2d"]
        assert expand(packed) == model
        report = inspect(packed)
        assert [layer.storage for layer in report.binary_layers] == ["1 bit", "codebook"]
        assert "1 of 2 filters" in str(report)


def with_option(operator, **options):
    from flatbuffers import flexbuffers

    old = {}
    root = flexbuffers.GetRoot(operator.vector("custom_options").tobytes()).AsMap
    for key, value in zip(root.Keys, root.Values, strict=True):
        old[str(key.AsKey)] = value.AsInt
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in sorted({**old, **options}.items()):
            if value is not None:
                builder.Add(key, value)
    operator["custom_options"] = bytes(builder.Finish())


class TestRefuses:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"format_version": 2}, r"version 1 of the sub-bit format, got 2 .* Update"),
            ({"format_version": None}, "version 1 of the sub-bit format, got None"),
            ({"format_version": True}, "version 1 of the sub-bit format, got True"),
            ({"index_bits": 0}, r"index_bits to be an integer in \[1, 9\], got 0"),
            ({"index_bits": 10}, r"index_bits to be an integer in \[1, 9\], got 10"),
            ({"index_bits": 3.0}, "index_bits to be an integer"),
            ({"index_bits": 4}, "Expected 512 bytes, 4 bits for each of 1024 kernels"),
            ({"channels_out": 0}, "channels_out to be an integer in"),
            ({"channels_out": 64}, "Expected 768 bytes"),
            ({"channels_out": 2**31}, "channels_out to be an integer in"),
            ({"channels_in": -1}, "channels_in to be an integer in"),
            ({"channels_in": 96}, "Expected 1152 bytes"),
            ({"groups": 0}, "groups to be an integer in"),
            ({"groups": 3}, "Expected 3 equal groups"),
            ({"groups": 2}, "Expected 2 equal groups of a multiple of 32"),
        ],
    )
    def test_options(self, options, message):
        tree = read(SUB_BIT).root
        with_option(layer(tree)[0], **options)
        self.refused(tree, message)

    def refused(self, tree, message):
        model = write_tables(tree)
        for function in (expand, inspect):
            with pytest.raises(ModelFileError, match=message) as caught:
                function(model)
            assert "\n" not in str(caught.value)

    def test_an_index_without_a_codeword(self):
        tree = read(SUB_BIT).root
        _, _, codebook = layer(tree)
        buffer = data_of(tree, codebook)
        buffer["data"] = buffer.vector("data").tobytes()[:-2]
        codebook["shape"] = [7]
        self.refused(tree, "Expected indices below 7, the codewords there are, got 7")

    def test_codebooks(self):
        for size, value, message in [
            (8, 512, "codewords below 512, got .* largest 512"),
            (9, 0, "a codebook of 1 to 8 codewords"),
            (0, 0, "a codebook of 1 to 8 codewords"),
        ]:
            tree = read(SUB_BIT).root
            _, _, codebook = layer(tree)
            data_of(tree, codebook)["data"] = np.full(size, value, "<u2").tobytes()
            codebook["shape"] = [size]
            self.refused(tree, message)

    def test_types_and_sizes(self):
        tree = read(SUB_BIT).root
        layer(tree)[1]["type"] = 9
        self.refused(tree, "Expected UINT8 data of shape .*, got INT8")
        tree = read(SUB_BIT).root
        layer(tree)[2]["shape"] = [4]
        self.refused(tree, "Expected UINT16 data of shape .*, got UINT16 and 16 bytes")

    def test_bits_after_the_last_index(self, lce_model, rng):
        tree = read(compress(lce_model((random_filter(rng, 33, 37, 8), 37)))).root
        buffer = data_of(tree, layer(tree)[1])
        data = buffer.vector("data").tobytes()  # 33 * 37 * 3 = 3663 bits: 457 bytes and 7 bits
        buffer["data"] = data[:-1] + bytes([data[-1] | 0x80])
        self.refused(tree, "Expected the last 1 bits of the indices to be 0")

    def test_inputs(self):
        tree = read(SUB_BIT).root
        operator = layer(tree)[0]
        operator["inputs"] = operator.integers("inputs")[:5]
        self.refused(tree, "with 6 inputs, of them activations, indices and a codebook")
        tree = read(SUB_BIT).root
        operator = layer(tree)[0]
        activations, indices, _, *others = operator.integers("inputs")
        operator["inputs"] = [activations, indices, -1, *others]
        self.refused(tree, "and one output, got inputs")

    def test_what_compress_would_not_write(self):
        def refused(tree, message):
            with pytest.raises(ModelFileError, match=message):
                expand(write_tables(tree))

        tree = read(SUB_BIT).root
        graph = tree.tables("subgraphs")[0]
        graph.append("tensors", graph.tables("tensors")[0])
        refused(tree, "Expected the codebooks after all others")
        tree = read(SUB_BIT).root
        tree.append("buffers", Table("Buffer"))
        refused(tree, "Expected the codebooks' buffers after all others")
        tree = read(SUB_BIT).root
        tree.append("operator_codes", tree.tables("operator_codes")[0])
        refused(tree, "Expected operator codes LceBconv2d and, as the last one")
        tree = read(SUB_BIT).root
        graph = tree.tables("subgraphs")[0]
        _, indices, _ = layer(tree)
        graph["outputs"] = [graph.tables("tensors").index(indices)]
        refused(tree, "indices and codebooks that nothing else reads")
        tree = read(SUB_BIT).root
        metadata = Table("Metadata", name="codebook")
        metadata["buffer"] = layer(tree)[2].integer("buffer")
        tree.append("metadata", metadata)
        refused(tree, "buffers of codebooks that nothing else uses")

    def test_twice(self):
        with pytest.raises(ModelFileError, match=r"compressed already\. Expand it first"):
            compress(SUB_BIT)

    @pytest.mark.parametrize("function", [compress, expand])
    def test_no_tflite(self, function):
        with pytest.raises(ModelFileError, match="identifier TFL3"):
            function(b"PK\x03\x04" * 10)
