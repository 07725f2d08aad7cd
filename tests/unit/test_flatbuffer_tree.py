"""The tree of a .tflite: the schema is TFLite's, nothing is lost, nothing is believed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.converters import ModelFileError
from keras_sparsebnn.tflite_file.schema import SCHEMA, UNIONS
from keras_sparsebnn.tflite_file.tree import Table, read_tree, write_tree

GOLDEN = Path(__file__).parents[1] / "golden"
SELECTED = (GOLDEN / "lce_selected.tflite").read_bytes()


@pytest.fixture(scope="module")
def generated():
    """Fields and unions as flatbuffers' compiler read them from TFLite's schema."""
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    sizes = {"Bool": 1, "Byte": 1, "Int8": 1, "Uint8": 1, "Int16": 2, "Uint16": 2}
    sizes |= {f"{t}32": 4 for t in ("Int", "Uint", "Float")}
    sizes |= {f"{t}64": 8 for t in ("Int", "Uint", "Float")}
    source = inspect.getsource(schema)
    vectors = {
        (kind, name): f"[{width}]"
        for kind, name, width in re.findall(
            r"^def (\w+?)Start(\w+)Vector\(builder, numElems\):?.*?\n"
            r"\s+return builder\.StartVector\((\d+), numElems",
            source,
            re.MULTILINE,
        )
    }
    fields: dict[str, dict[int, str]] = {}
    for kind, name, type, slot in re.findall(
        r"^def (\w+?)Add(\w+)\(builder.*?\n\s+builder\.Prepend(\w+?)Slot\((\d+)",
        source,
        re.MULTILINE,
    ):
        offset = vectors.get((kind, name), "offset")
        form = offset if type.startswith("UOffset") else str(sizes[type])
        fields.setdefault(kind, {})[int(slot)] = form
    unions = {
        f"{union}/{number}": kind
        for union in UNIONS
        for kind, number in vars(getattr(schema, union)).items()
        if isinstance(number, int) and number
    }
    return fields, unions


class TestSchema:
    @staticmethod
    def reduced(form):
        """The form as far as the generated code tells: tables and text are offsets."""
        item = form.strip("[]").partition(":")[0]
        if form.startswith("["):
            return f"[{item}]" if item.isdigit() else "[4]"
        return form if form.isdigit() else "offset"

    def test_fields_are_tflites(self, generated):
        fields, unions = generated
        checked = 0
        for kind, ours in SCHEMA.items():
            # Older versions know less, newer ones may know more; deprecated have no setter.
            theirs = fields.get(unions.get(kind, kind), {})
            for number, form in theirs.items():
                if number < len(ours):
                    assert self.reduced(ours[number][1]) == form, (kind, number)
                    checked += 1
        assert checked > 200

    def test_members_of_unions_are_all_known(self, generated):
        _, unions = generated
        assert set(unions) <= set(SCHEMA)


class TestTree:
    def test_reads_what_is_there(self):
        root = read_tree(SELECTED)
        (graph,) = root.tables("subgraphs")
        names = [tensor.data("name") for tensor in graph.tables("tensors")]
        assert b"StatefulPartitionedCall:0" in names
        codes = [code.data("custom_code") for code in root.tables("operator_codes")]
        assert codes == [b"LceQuantize", b"LceBconv2d"]
        assert root.integer("version") == 3

    def test_every_kind_of_value(self):
        root = Table("Model", {"description": b"", "metadata_buffer": b""})
        root.set_integer("version", 2**32 - 1)
        graph = Table("SubGraph")
        tensor = Table("Tensor", {"has_rank": b"\1", "shape": b""})
        quantization = Table("QuantizationParameters", {"details_type": b"\1"})
        quantization.fields["zero_point"] = np.arange(3, dtype="<i8").tobytes()
        quantization.fields["details"] = Table("QuantizationDetails/1", {"field0": b"abc"})
        tensor.fields["quantization"] = quantization
        operator = Table("Operator", {"builtin_options_type": b"\x72"})  # 114, RandomOptions
        operator.fields["builtin_options"] = Table(
            "BuiltinOptions/114", {"field0": bytes(range(8)), "field1": bytes(8)}
        )
        operator.set_integers("inputs", [-1, 2**31 - 1])
        for name, table in (("tensors", tensor), ("operators", operator)):
            graph.append(name, table)
            graph.append(name, table)
        root.append("subgraphs", graph)
        root.fields["signature_defs"] = []
        again = read_tree(write_tree(root))
        assert again == root
        assert again.fields["signature_defs"] == []
        assert "buffers" not in again.fields

    def test_equal_options_and_vectors_are_written_once(self):
        root = read_tree(SELECTED)
        before = len(write_tree(root))
        operators = root.tables("subgraphs")[0].tables("operators")
        root.tables("subgraphs")[0].append("operators", operators[-1])
        # Of a copy only the table itself and the offset to it are new.
        assert len(write_tree(root)) - before <= 48

    @pytest.mark.parametrize(
        ("kind", "number", "message"),
        [
            ("BuiltinOptions", 200, "known schema, got BuiltinOptions of type 200"),
            ("BuiltinOptions", 0, "known schema, got BuiltinOptions of type 0"),
        ],
    )
    def test_options_it_does_not_know(self, kind, number, message):
        root = read_tree((GOLDEN / "float_only.tflite").read_bytes())
        root.tables("subgraphs")[0].tables("operators")[0].fields["builtin_options_type"] = (
            bytes([number])
        )
        with pytest.raises(ModelFileError, match=message):
            read_tree(write_tree(root))

    def test_fields_it_does_not_know(self, monkeypatch):
        monkeypatch.setitem(SCHEMA, "Tensor", SCHEMA["Tensor"][:3])
        with pytest.raises(ModelFileError, match="field 3 in a table of kind Tensor"):
            read_tree(SELECTED)

    def test_constants_behind_the_flatbuffer(self):
        root = read_tree(SELECTED)
        buffer = root.tables("buffers")[0]
        buffer.set_integer("offset", 5000)
        buffer.set_integer("size", 16)
        with pytest.raises(ModelFileError, match="Expected constants inside the flatbuffer"):
            read_tree(write_tree(root))

    def test_tables_named_again_and_again(self, monkeypatch):
        monkeypatch.setattr("keras_sparsebnn.tflite_file.tree._MAX_TABLES", 20)
        with pytest.raises(ModelFileError, match="more than 20 tables"):
            read_tree(SELECTED)

    @pytest.mark.parametrize("data", [b"", b"TFL3", bytes(8), b"\xff\xff\xff\xffTFL3"])
    def test_garbage(self, data):
        with pytest.raises(ModelFileError, match="Expected a readable"):
            read_tree(data)
