"""What the review wants counted in the target before it speaks: NULLs before NOT NULL, duplicates before UNIQUE. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from safemig.review import history
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.parsing import SourceFile, SqlSyntaxError, parse
from safemig.sql.tree import Tree, node, strings

if TYPE_CHECKING:
    from safemig.review.facts import TargetFacts

_MOST = 50


class Question(NamedTuple):
    """How many rows have NULL in the column, or how many groups of rows are equal in the columns."""

    what: Literal["nulls", "duplicates"]
    table: Name
    columns: tuple[str, ...]
    nulls_are_equal: bool = False


def questions(facts: TargetFacts, files: Sequence[SourceFile]) -> tuple[Question, ...]:
    """Return what to ask of the target before the files are reviewed, of its own tables and columns alone; at most 50."""
    world = World(target=facts)
    world.pending = True
    found: dict[Question, None] = {}
    for file in files:
        if not any(word in file.sql.upper() for word in ("NOT NULL", "UNIQUE", "PRIMARY KEY")):
            continue
        history.begin_path(world)
        try:
            statements = parse(file.sql)
        except SqlSyntaxError:
            continue
        for statement in statements:
            kind, body = node(statement.tree)
            for one in asked_by(kind, body):
                full = one._replace(table=world.resolve(one.table))
                known = world.tables.get(full.table)
                if known and known.facts and all(column in known.facts.columns for column in one.columns):
                    found[full] = None
            history.apply(world, statement.tree, statement.sql)
    return tuple(found)[:_MOST]


def asked_by(kind: str, body: Tree) -> Iterator[Question]:
    """Yield what a statement makes worth asking; the table is as it is written."""
    table = names.of_range(body.get("relation"))
    if kind == "IndexStmt" and body.get("unique") and not body.get("whereClause"):
        keys = tuple(item.get("IndexElem", {}).get("name", "") for item in body.get("indexParams", ()))
        if keys and all(keys):
            yield Question("duplicates", table, keys, bool(body.get("nulls_not_distinct")))
    for item in body.get("cmds", ()) if kind == "AlterTableStmt" else ():
        command = item.get("AlterTableCmd", {})
        constraint = (command.get("def") or {}).get("Constraint", {})
        if command.get("subtype") == "AT_SetNotNull":
            yield Question("nulls", table, (str(command.get("name", "")),))
        elif command.get("subtype") == "AT_AddConstraint" and not constraint.get("indexname"):
            keys = tuple(strings(constraint.get("keys")))
            if constraint.get("contype") in ("CONSTR_UNIQUE", "CONSTR_PRIMARY") and keys:
                yield Question("duplicates", table, keys, bool(constraint.get("nulls_not_distinct")))
            if constraint.get("contype") in ("CONSTR_PRIMARY", "CONSTR_NOTNULL"):
                yield from (Question("nulls", table, (key,)) for key in keys)
