"""What differs by kind of object is declared in the kind: the rest of the schema engine asks no object which kind it is."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import psycopg

import safemig.schema
from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import compare
from safemig.schema.kinds import KINDS

from .proof import Pair, prove_in_transaction

ENGINE = Path(safemig.schema.__file__).parent
# What is left names no kind but in `Schema.of_kind`: it says what lives in what, and which kinds have an answer of their own.
MOST = 14


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


GRANTED = Pair(
    "privileges on parameters",
    'GRANT SET ON PARAMETER log_min_messages TO "Safemig Setter" WITH GRANT OPTION; GRANT SET ON PARAMETER safemig.odd TO PUBLIC',
    'GRANT SET, ALTER SYSTEM ON PARAMETER log_min_messages TO "Safemig Setter"; GRANT SET ON PARAMETER log_statement TO PUBLIC',
    'CREATE ROLE "Safemig Setter"',
    since=150000,
)


def test_privileges_on_parameters_converge(server: ThrowawayServer) -> None:
    """No pair of `pairs/`: they hold in all databases of a server, and pg_dump does not write them."""
    with psycopg.connect(server.url()) as connection:
        assert prove_in_transaction(connection, GRANTED) == []


def test_privileges_on_parameters_are_read_with_the_whole_database_only(server: ThrowawayServer) -> None:
    with psycopg.connect(server.url()) as connection:
        connection.execute(f"{GRANTED.common}; {GRANTED.target}".encode())
        found = dict(read_schema(connection).of_kind("parameter privileges"))
        part = read_schema(connection, SchemaFilter(only=("public",)))
        connection.rollback()
    assert {item.dotted: fact.grants for item, fact in found.items()} == {
        "log_min_messages": (("Safemig Setter", "A", False), ("Safemig Setter", "s", False)),
        "log_statement": (("", "s", False),),
    }
    assert not dict(part.of_kind("parameter privileges"))


def test_an_older_server_is_not_asked_for_what_it_does_not_know(server: ThrowawayServer) -> None:
    with psycopg.connect(server.url()) as connection:
        before = read_schema(connection)
        connection.execute(f"{GRANTED.common}; {GRANTED.target}".encode())
        after = read_schema(connection)
        connection.rollback()
    assert len(compare(before, after).changes) == 2
    assert compare(replace(before, server_version_num=140000), after).is_empty
    assert compare(after, replace(before, server_version_num=140000)).is_empty


def test_every_kind_has_a_name_of_its_own() -> None:
    assert all(name == kind.name for name, kind in KINDS.items())
    assert len({type(kind) for kind in KINDS.values()}) == len(KINDS)
