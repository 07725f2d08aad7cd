"""How often the package has `Any` in place of a type of TensorFlow, Keras or NumPy.

mypy does not tell: to it, TensorFlow, Keras and larq have no types. To IDEs they do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "keras_sparsebnn"

MOST_BARE_PARAMETERS = 32
"""Most of them are keyword arguments that are passed on to Keras or to another builder."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_bare_any(annotation: ast.expr | None) -> bool:
    """Whether an annotation is `Any`, or `Any` with None or within quotes."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return is_bare_any(ast.parse(annotation.value, mode="eval").body)
    if isinstance(annotation, ast.BinOp):
        return is_bare_any(annotation.left) or is_bare_any(annotation.right)
    return annotation is not None and ast.unparse(annotation) in (
        "Any",
        "typing.Any",
        "Optional[Any]",
    )


def bare_parameters(function: Function) -> list[str]:
    """Names of the parameters whose type is a bare `Any`."""
    a = function.args
    every = (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg)
    return [x.arg for x in every if x is not None and is_bare_any(x.annotation)]


def functions(source: str) -> Iterator[Function]:
    """All functions in a module's source, nested ones and methods included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node


def package_functions() -> Iterator[tuple[str, Function]]:
    """All functions of the package, each with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for function in functions(path.read_text("utf-8")):
            place = f"{path.relative_to(PACKAGE)}:{function.lineno}"
            yield f"{place} {function.name}", function


@pytest.mark.parametrize(
    ("header", "parameters", "returns"),
    [
        ("f(x: Any, *, y: 'Any' = 0, **options: Any) -> Any", ["x", "y", "options"], True),
        ("f(x: Any | None, *xs: typing.Any) -> Any | None", ["x", "xs"], True),
        ("f(x: dict[str, Any], y: np.dtype[Any], z: int) -> list[Any]", [], False),
        ("f(x, *args: object) -> None", [], False),
    ],
)
def test_counting(header: str, parameters: list[str], returns: bool) -> None:
    (function,) = functions(f"def {header}: ...")
    assert sorted(bare_parameters(function)) == sorted(parameters)
    assert is_bare_any(function.returns) == returns


def test_no_public_function_returns_any() -> None:
    found = [
        place
        for place, function in package_functions()
        if is_bare_any(function.returns) and not function.name.startswith("_")
    ]
    assert not found, "Expected these functions to name the type that they return."


def test_few_parameters_are_any() -> None:
    found = [
        f"{place}: {name}"
        for place, function in package_functions()
        for name in bare_parameters(function)
    ]
    assert len(found) <= MOST_BARE_PARAMETERS, "\n".join(found)
