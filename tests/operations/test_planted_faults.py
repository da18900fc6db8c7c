"""Each test here fails for one small fault that was planted by hand and that no other test had noticed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from safemig.backups import put_back
from safemig.errors import DeploymentFailedError, RefusedError
from safemig.execution.transaction import _require_same_transaction
from safemig.execution.validation import check_rows
from safemig.operations.drop_replaced import names_left
from safemig.records import ledger
from safemig.records.names import parse_name
from safemig.records.verification import verify
from safemig.results import RowChange
from safemig.review import ConstraintFacts, TableFacts, TargetFacts, review
from safemig.review.dependents import children, referring
from safemig.review.registry import all_rules
from safemig.review.rules.rows import is_always_true
from safemig.review.world import World
from safemig.sql import SourceFile
from safemig.sql.names import Name
from safemig.sql.tree import read_trees
from tests.operations.conftest import Shop


def sealed(home: Path, count: int) -> None:
    home.mkdir(parents=True)
    for number in range(count):
        notebook = home / f"20261122T2009{number:02}Z-production-migrate_prod-DEPLOYED.ipynb"
        notebook.write_text(json.dumps({"cells": [], "number": number}))
        notebook.with_suffix(".html").write_text("<p></p>")
        ledger.seal(home, notebook, notebook.with_suffix(".html"), {"act": "migrate_prod"})


def test_a_ledger_whose_first_lines_were_cut_off_with_their_records_is_found(tmp_path: Path) -> None:
    home = tmp_path / "production"
    sealed(home, 3)
    file = home / ledger.FILE
    lines = file.read_bytes().splitlines(keepends=True)
    file.chmod(0o644)
    file.write_bytes(b"".join(lines[1:]))
    for path in home.glob("20261122T200900Z*"):
        path.unlink()
    (problem,) = verify(home).problems
    assert "a line was removed, added or moved before line 1" in problem


@pytest.mark.parametrize(
    ("verdict", "is_open"),
    [
        ("RUNNING", True), ("INCOMPLETE", True), ("UNKNOWN", True), ("FAILED", False), ("DEPLOYED", False), ("STOPPED", False),
        ("REFUSED", False), ("NOT-VALID", False), ("ERROR", False), ("ROLLED-BACK", False),
    ],
)  # fmt: skip
def test_only_a_record_that_does_not_know_its_end_may_be_replaced(verdict: str, is_open: bool) -> None:
    name = parse_name(f"20261122T200900Z-production-migrate_prod-{verdict}")
    assert name is not None
    assert ledger.is_open(name) is is_open


@pytest.mark.parametrize(
    ("before", "foretold", "after", "state"),
    [
        (100, None, 100, "ok"),
        (100, None, 90, "warning"),
        (100, None, 0, "failed"),
        (100, None, None, "failed"),
        (100, 60, 60, "ok"),  # the rehearsal foretold that 40 rows go
        (100, 60, 59, "warning"),
        (100, 0, 0, "ok"),
        (100, 60, 0, "failed"),
        (100, 150, 120, "warning"),  # rows that the migration was to add are not there
        (0, None, 0, "ok"),
    ],
)
def test_fewer_rows_are_right_exactly_where_the_rehearsal_foretold_them(
    before: int, foretold: int | None, after: int | None, state: str
) -> None:
    rehearsed = {} if foretold is None else {"t": RowChange("t", before, foretold)}
    (check,) = check_rows([RowChange("t", before, after)], rehearsed)
    assert check.state == state


def test_a_table_that_the_rehearsal_dropped_may_be_gone() -> None:
    (check,) = check_rows([RowChange("t", 5, None)], {"t": RowChange("t", 5, None)})
    assert check.state == "ok"


@pytest.mark.parametrize(
    ("inserted", "missing", "here", "said"),
    [
        (3, 0, 13, ""), (2, 0, 13, "2 were inserted"), (3, 1, 13, "1 are missing still"), (3, 0, 12, "3 inserted make 12"),
        (3, 0, 14, "3 inserted make 14"),
    ],
)  # fmt: skip
def test_rows_that_were_put_back_are_counted_before_and_after(
    monkeypatch: pytest.MonkeyPatch, inserted: int, missing: int, here: int, said: str
) -> None:
    monkeypatch.setattr(put_back, "read_triggers", lambda *_: {})
    each: Any = SimpleNamespace(name="t", key=("id",), target=SimpleNamespace(oid=1, triggers={}))
    connection: Any = None
    before = put_back.Found(13, 3, 0, 10, "a", "b", {})
    done = put_back.Done(inserted, 0, put_back.Found(13, missing, 0, here, "a", "b", {}), ())
    with pytest.raises(DeploymentFailedError, match=said) if said else nullcontext():
        put_back._prove(connection, each, before, done, put_back.Wish())


def test_production_itself_is_never_offered_to_be_dropped(shop: Shop) -> None:
    """Whatever its comment says: after a swap it is the one that a restore made."""
    name = shop.production.split("/")[3].split("?")[0]
    shop.on(shop.production, f"COMMENT ON DATABASE \"{name}\" IS 'safemig: restored from backup x'")
    assert name not in names_left(shop.project.settings, "production")
    before = shop.state()
    with pytest.raises(RefusedError, match="no restore of safemig left"):
        shop.project.restore_prod(drop=name, approve="x")
    assert shop.state() == before


def test_dependents_are_followed_over_others() -> None:
    def table(parent: str | None = None, references: str | None = None) -> TableFacts:
        keys = {"k": ConstraintFacts("f", "", references=references)} if references else {}
        return TableFacts(1, 1, parent=parent, constraints=keys)

    world = World(
        TargetFacts(
            150000,
            "production",
            {
                "top": table(), "middle": table("top"), "low": table("middle"), "lowest": table("low"), "a": table(),
                "b": table(references="a"), "c": table(references="b"), "d": table(references="c"), "e": table(),
            },
        )
    )  # fmt: skip
    assert {each.name for each in children(world, Name("public", "top"))} == {"middle", "low", "lowest"}
    assert {each.name for each in referring(world, Name("public", "a"))} == {"b", "c", "d"}


@pytest.mark.parametrize(
    ("condition", "always"),
    [
        ("1 = 1", True), ("1 = 2", False), ("1 >= 1", True), ("2 >= 1", True), ("1 >= 2", False), ("1 <= 1", True), ("1 <= 2", True),
        ("2 <= 1", False), ("1 < 2", True), ("2 < 1", False), ("1 < 1", False), ("2 > 1", True), ("1 > 1", False), ("1 <> 2", True),
        ("1 != 1", False), ("'a' <= 'b'", True), ("'a' = 'b'", False), ("true", True), ("false", False), ("NOT false", True),
        ("x OR true", True), ("x AND true", False), ("true AND 1 <= 2", True), ("id <= 5", False), ("id >= id", False), ("'1'::bool", True),
        ("1 IS DISTINCT FROM 1", False), ("1 IS NOT DISTINCT FROM 1", False), ("1 IN (1)", False),
    ],
)  # fmt: skip
def test_a_condition_that_keeps_every_row_is_known(condition: str, always: bool) -> None:
    [statement] = read_trees(f"SELECT 1 WHERE {condition}")
    assert is_always_true(statement["stmt"]["SelectStmt"]["whereClause"]) is always


def test_a_transaction_that_the_migration_ended_is_noticed(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("BEGIN")
        row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None
        _require_same_transaction(connection, row[0], "public")
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        with pytest.raises(DeploymentFailedError, match="ended safemig's transaction"):
            _require_same_transaction(connection, row[0], "public")
        connection.execute("SELECT pg_current_xact_id()")
        with pytest.raises(DeploymentFailedError, match=f"transaction {row[0]} became"):
            _require_same_transaction(connection, row[0], "public")


class Listening:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def execute(self, statement: Any, *_: Any) -> Any:
        self.told.append(statement.decode() if isinstance(statement, bytes) else str(statement))
        return SimpleNamespace(fetchone=lambda: None)


def test_locks_are_taken_the_strongest_first_then_by_name() -> None:
    from safemig.execution.transaction import Transaction, _Trial
    from safemig.sql import LockMode

    connection: Any = Listening()
    run: Any = SimpleNamespace(settings=SimpleNamespace(lock_timeout_ms=100, statement_timeout_s=3600))
    locks = {
        "public.zebra": LockMode.SHARE,
        "public.b": LockMode.ACCESS_EXCLUSIVE,
        "public.apple": LockMode.SHARE,
        "public.a": LockMode.ACCESS_EXCLUSIVE,
        "public.c": LockMode.SHARE_ROW_EXCLUSIVE,
    }
    unused: Any = None
    _Trial(run, connection, Transaction((), unused, unused, locks=locks))._lock()
    assert [each for each in connection.told if each.startswith("LOCK")] == [
        "LOCK TABLE ONLY public.a, ONLY public.b IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE ONLY public.c IN SHARE ROW EXCLUSIVE MODE",
        "LOCK TABLE ONLY public.apple, ONLY public.zebra IN SHARE MODE",
    ]


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.name)
def test_no_rule_finds_anything_in_its_own_ok_example(rule: Any) -> None:
    """Not even as a recommendation."""
    target = TargetFacts(150000, "production") if rule.name == "missing-table" else None
    for example in rule.ok:
        found = [
            each for each in review([SourceFile("m.sql", example)], target=target).findings if each.rule == rule.name
        ]
        assert not found, example
