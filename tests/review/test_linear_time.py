"""The time of a review grows with the length of the text, however functions, policies and views call each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.review import Verdict, review
from safemig.sql import SourceFile


def policies(count: int) -> str:
    """Return tables whose policies call functions that read the next three tables, each with a change of its rows."""
    parts = [f"CREATE TABLE IF NOT EXISTS t{number} (id bigint PRIMARY KEY);" for number in range(count)]
    for number in range(count):
        reads = " OR ".join(f"EXISTS (SELECT 1 FROM t{(number + step) % count} WHERE id = a)" for step in (1, 2, 3))
        body = f"BEGIN RETURN {reads}; END"
        parts.append(f"CREATE FUNCTION may{number}(a bigint) RETURNS boolean LANGUAGE plpgsql AS $$ {body} $$;")
        parts.append(f"CREATE POLICY p ON t{number} USING (may{number}(id));")
    parts += [f"INSERT INTO t{number} SELECT id FROM t{(number + 1) % count};" for number in range(count)]
    return "\n".join(parts)


def views(count: int) -> str:
    """Return views of which each reads the two before it, and a query of the last."""
    parts = ["CREATE VIEW v0 AS SELECT f() AS a;", "CREATE VIEW v1 AS SELECT a FROM v0;"]
    parts += [f"CREATE VIEW v{n} AS SELECT x.a FROM v{n - 1} x, v{n - 2} y;" for n in range(2, count)]
    return "\n".join(
        ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';", *parts, f"SELECT * FROM v{count - 1};"]
    )


def triggers(count: int) -> str:
    """Return tables whose trigger writes the next two tables, and a change of the first."""
    parts = [f"CREATE TABLE IF NOT EXISTS t{number} (id bigint PRIMARY KEY);" for number in range(count)]
    for number in range(count):
        writes = " ".join(f"INSERT INTO t{(number + step) % count} VALUES (1);" for step in (1, 2))
        parts.append(
            f"CREATE FUNCTION f{number}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {writes} RETURN NEW; END $$;"
        )
        parts.append(f"CREATE TRIGGER g AFTER INSERT ON t{number} FOR EACH ROW EXECUTE FUNCTION f{number}();")
    return "\n".join([*parts, "INSERT INTO t0 VALUES (1);"])


def columns(count: int) -> str:
    """Return ten tables with many views on each, and of each view a column that is dropped."""
    parts = [
        f"CREATE VIEW v{number} AS SELECT id, c{number} FROM t{number % 10} WHERE b > 0;" for number in range(count)
    ]
    parts += [f"ALTER TABLE t{number % 10} DROP COLUMN c{number};" for number in range(count)]
    return "\n".join(parts)


def drops(count: int) -> str:
    """Return views of many columns, each of a table of its own, and the drop of each table."""
    names = ", ".join(f"c{number}" for number in range(20))
    parts = [f"CREATE VIEW v{number} AS SELECT {names} FROM t{number};" for number in range(count)]
    return "\n".join([*parts, *(f"DROP TABLE t{number};" for number in range(count))])


def seconds(sql: str) -> float:
    before = time.process_time()
    review([SourceFile("m.sql", sql)])
    return time.process_time() - before


@pytest.mark.parametrize("scheme", [policies, views, triggers, columns, drops])
def test_the_time_is_linear_to_200_tables(scheme: Callable[[int], str]) -> None:
    few = min(seconds(scheme(50)) for _ in range(3))
    many = min(seconds(scheme(200)) for _ in range(3))
    assert many < 3 * 4 * few + 0.05


@pytest.mark.parametrize("depth", [5, 40, 200])
def test_what_a_long_chain_of_functions_ends_in_is_found(depth: int) -> None:
    parts = ["CREATE FUNCTION f0() RETURNS void LANGUAGE sql AS 'DELETE FROM users';"]
    parts += [
        f"CREATE FUNCTION f{number}() RETURNS void LANGUAGE sql AS 'SELECT f{number - 1}()';"
        for number in range(1, depth)
    ]
    made = review([SourceFile("m.sql", "\n".join([*parts, f"SELECT f{depth - 1}();"]))])
    assert made.verdict is Verdict.STOP
    assert [finding.rule for finding in made.standing] == ["delete-rows"]


def test_what_was_harmless_is_looked_at_again_after_a_change_of_schema() -> None:
    sql = """
        CREATE FUNCTION note() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT note()';
        SELECT f();
        CREATE OR REPLACE FUNCTION note() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
        SELECT f();
    """
    [found] = review([SourceFile("m.sql", sql)]).standing
    assert (found.rule, found.line) == ("delete-rows", 6)


@pytest.mark.thorough
def test_200000_inserts_are_reviewed_in_under_300_mb(tmp_path: Path) -> None:
    file = tmp_path / "20260101000000_rows.sql"
    file.write_text("".join(f"INSERT INTO t (key, value) VALUES ('k{n}', 'v{n}');\n" for n in range(200_000)))
    command = [sys.executable, "-m", "safemig", "review", "--no-cache", "--format", "json", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as review:
        _, status, used = os.wait4(review.pid, 0)
        review.returncode = os.waitstatus_to_exitcode(status)
    assert review.returncode == 0
    assert used.ru_maxrss < 300_000, f"{used.ru_maxrss:,} kB"
