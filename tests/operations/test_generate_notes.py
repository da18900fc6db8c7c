"""What no statement makes equal, and does not have to be: a note in the file and in the result, never NOT EQUAL."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.operations.conftest import Shop
from tests.tables import part_of


@dataclass(frozen=True)
class Case:
    """What the migrations make and what staging is; `item` is the child's, and `is_file` tells whether more differs."""

    name: str
    base: str
    staging: str
    item: str
    is_file: bool = False


CASES = (
    Case(
        "a column that was the child's own, too",
        "CREATE TABLE p (a int); CREATE TABLE c (a int, b int) INHERITS (p)",
        "DROP TABLE c; CREATE TABLE c (b int) INHERITS (p)",
        "column public.c.a",
    ),
    Case(
        "a column that is the child's own, too, now",
        "CREATE TABLE p (a int); CREATE TABLE c (b int) INHERITS (p)",
        "DROP TABLE c; CREATE TABLE c (a int, b int) INHERITS (p)",
        "column public.c.a",
    ),
    Case(
        "a column that the parent gets",
        "CREATE TABLE p (a int); CREATE TABLE c (b int) INHERITS (p)",
        "DROP TABLE c; ALTER TABLE p ADD COLUMN b int; CREATE TABLE c () INHERITS (p)",
        "column public.c.b",
        is_file=True,
    ),
    Case(
        "a table that becomes a child",
        "CREATE TABLE p (a int); CREATE TABLE c (a int, b int)",
        "DROP TABLE c; CREATE TABLE c (b int) INHERITS (p)",
        "column public.c.a",
        is_file=True,
    ),
    Case(
        "a check",
        "CREATE TABLE p (a int, CONSTRAINT k CHECK (a > 0)); CREATE TABLE c (CONSTRAINT k CHECK (a > 0)) INHERITS (p)",
        "DROP TABLE c; CREATE TABLE c () INHERITS (p)",
        "constraint public.c.k",
    ),
    Case(
        "a not-null constraint with its own name",
        "CREATE TABLE p (a int NOT NULL); CREATE TABLE c (a int NOT NULL) INHERITS (p)",
        "DROP TABLE c; CREATE TABLE c () INHERITS (p)",
        "column public.c.a",
    ),
    Case(
        "two parents",
        "CREATE TABLE p (a int); CREATE TABLE q (a int); CREATE TABLE c (a int) INHERITS (p, q)",
        "DROP TABLE c; CREATE TABLE c () INHERITS (p, q)",
        "column public.c.a",
    ),
    Case(
        "a grandchild",
        "CREATE TABLE p (a int); CREATE TABLE c () INHERITS (p); CREATE TABLE g (a int) INHERITS (c)",
        "DROP TABLE g; CREATE TABLE g () INHERITS (c)",
        "column public.g.a",
    ),
)
BY_DEFAULT = ("a column that the parent gets", "a not-null constraint with its own name")


@pytest.mark.parametrize("case", part_of(CASES, lambda case: case.name in BY_DEFAULT, lambda case: case.name))
def test_whether_a_childs_column_is_its_own_is_a_note(shop: Shop, case: Case) -> None:
    """PostgreSQL has no statement that makes an inherited column its own or its parent's alone and keeps the rows."""
    shop.write("20260102000000_family.sql", f"{case.base};")
    shop.on(shop.staging, case.base)
    shop.on(shop.staging, case.staging)
    made = shop.project.generate("family")
    assert made.remaining == ()
    assert (made.path is not None) == case.is_file
    if case.is_file:
        assert made.proof.startswith("proven equal; 1 note on child tables")
        head = " ".join(line.removeprefix("--").strip() for line in made.text.splitlines() if line.startswith("--"))
        words = f"{case.item} is the child table's own, on staging its parent's alone: no statement changes that"
        assert f"Note: {words}" in " ".join(head.split())
    else:
        assert made.proof.startswith("staging is what the local migrations make, except for 1 note")
        (note,) = made.diff.warnings
        assert note.startswith(f"{case.item} is ")
