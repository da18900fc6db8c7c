"""What is said of a program's statements from what was seen on the copy."""

from __future__ import annotations

import pytest

from safemig.copies.observed import _with_rewrites
from safemig.results import HeldLock, Step
from safemig.sql.locks import LockMode

pytestmark = pytest.mark.fast
WHOLLY = (HeldLock("public.users", LockMode.ACCESS_EXCLUSIVE),)
REWRITERS = [
    # (the statements of a program that locks users wholly with each, the one that rewrote it)
    (["ALTER TABLE users ADD COLUMN note text", "ALTER TABLE users ALTER COLUMN id TYPE bigint"], 2),
    (["ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid()", "ALTER TABLE users DROP COLUMN note"], 1),
    (["ALTER TABLE users ALTER COLUMN name DROP DEFAULT", "VACUUM FULL users"], 2),
    (["SELECT 1", "CALL rewrite_them()"], 1),  # nothing tells: the first that can have done it
]


@pytest.mark.parametrize(("statements", "number"), REWRITERS)
def test_a_rewrite_is_told_of_the_statement_that_can_do_it(statements: list[str], number: int) -> None:
    steps = [Step(place, "m.sql", place, "?", sql, locks=WHOLLY) for place, sql in enumerate(statements, 1)]
    found = list(_with_rewrites(steps, {"public.users", "public.not_locked"}))
    assert [step.rewrites for step in found] == [("public.users",) if step.number == number else () for step in steps]
