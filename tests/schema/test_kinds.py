"""What differs by kind of object is declared in the kind: the rest of the schema engine asks no object which kind it is."""

from __future__ import annotations

import ast
from pathlib import Path

import safemig.schema
from safemig.schema.kinds import KINDS

ENGINE = Path(safemig.schema.__file__).parent
# What is left says of which kind facts are, without a rule that only one kind has: `Schema.of_kind`, and what lives in what.
MOST = 6


def _compares_kinds(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    return any(_is_kind(side) for side in (node.left, *node.comparators))


def _is_kind(side: ast.expr) -> bool:
    match side:
        case ast.Attribute(attr="kind") | ast.Name(id="kind"):
            return True
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=0)):  # the first part of an identity
            return name in ("item", "container", "inner", "other", "needed", "dependent", "column")
    return False


def test_the_engine_hardly_ever_asks_of_which_kind_an_object_is() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted(ENGINE.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _compares_kinds(node) and isinstance(node, ast.Compare)
    ]
    assert len(found) <= MOST, found


def test_every_kind_has_a_name_of_its_own() -> None:
    assert all(name == kind.name for name, kind in KINDS.items())
    assert len({type(kind) for kind in KINDS.values()}) == len(KINDS)
