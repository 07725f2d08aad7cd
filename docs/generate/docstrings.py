"""How the API reference reads this package (a griffe extension).

Docstrings are set for reading in an editor: `Forward:`, `Backward:`, `Shape:` and `Reference:`
start lines, equations are plain text. On the site each starts a paragraph, in bold.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_LABEL = re.compile(r"^(Forward|Backward|Storage|Reference|Deviates|Source):[ ]+(?=\S)", re.M)
_SHAPE = re.compile(r"^(Shape):\n((?:[ ]{4}.*(?:\n|\Z))+)", re.M)
_EXAMPLE = re.compile(r"^Example:$", re.M)


def markdown(docstring: str) -> str:
    """The docstring, with labels that a Markdown reader understands.

    Example:
        >>> print(markdown("Forward: `y = x`\\nBackward: `g(x) = g(y)`").strip())
        **Forward**: `y = x`
        <BLANKLINE>
        **Backward**: `g(x) = g(y)`
    """
    docstring = _LABEL.sub(r"\n**\1**: ", docstring)
    docstring = _SHAPE.sub(lambda m: f"\n**{m[1]}**: {textwrap.dedent(m[2])}", docstring)
    return _EXAMPLE.sub("Examples:", docstring)


def exports(package: griffe.Module) -> None:
    """Shows a function that has the name of its module, `small.small`, where it is exported.

    In Python `from package.small import small` hides the module; griffe shows the module.
    """
    for module in package.modules.values():
        for name in module.exports or ():
            member = module.members.get(str(name))
            if isinstance(member, griffe.Module) and str(name) in member.members:
                function = member.members[str(name)]
                module.members[str(name)] = griffe.Alias(str(name), function, parent=module)
        exports(module)


class HouseStyle(griffe.Extension):
    """Applies both to the package."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        exports(pkg)
