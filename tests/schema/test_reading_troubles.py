"""What can go wrong with the reading of a database, and what is said then."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.errors import UnreachableError
from safemig.postgres.catalog import read_schema
from safemig.postgres.server.programs import PROGRAMS_VARIABLE
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import diff
from safemig.schema import Schema, compare

from .proof import load, read

_HIDDEN = """
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE SERVER own FOREIGN DATA WRAPPER w;
CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'secret');
GRANT USAGE ON FOREIGN SERVER own TO weak; CREATE USER MAPPING FOR weak SERVER own;
CREATE SUBSCRIPTION sub CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION sub IS 'theirs'; CREATE TABLE t (x int)
"""


@pytest.fixture
def hidden(server: ThrowawayServer, database: str) -> Iterator[str]:
    """A database with objects that the role `weak` may not see whole."""
    load(server.url(), "CREATE ROLE weak LOGIN")
    load(database, *_HIDDEN.split(";"))
    yield database
    for words in ("ALTER SUBSCRIPTION sub DISABLE", "DROP SUBSCRIPTION sub", "DROP OWNED BY weak CASCADE"):
        load(database, words)
    load(database, "DROP FOREIGN DATA WRAPPER w CASCADE")
    load(server.url(), "DROP ROLE weak")


def _as_weak(url: str) -> Schema:
    with psycopg.connect(url.replace("postgres@", "weak@"), autocommit=True) as connection:
        return read_schema(connection)


def test_what_a_role_may_not_see_is_named(hidden: str) -> None:
    found = _as_weak(hidden)
    assert sorted(found.unseen.values()) == [
        "the options of the user mapping of PUBLIC on server s",
        "the subscription sub",
    ]
    assert read(hidden).unseen == {}


def test_what_one_side_may_not_see_is_no_difference(hidden: str) -> None:
    whole, part = read(hidden), _as_weak(hidden)
    for base, target, where in ((whole, part, "target"), (part, whole, "base")):
        there = compare(base, target)
        assert there.sql == ""
        assert [words.partition(": ")[0] for words in there.warnings] == [
            f"not compared, for the role that reads may not see it in the {where}"
        ] * 2
        assert "secret" not in "".join(there.warnings)


def test_the_command_names_it_too(hidden: str) -> None:
    answer = _diff(hidden, hidden.replace("postgres@", "weak@"))
    assert (answer.returncode, answer.stdout) == (0, "")
    assert "mind: not compared" in answer.stderr
    assert "the subscription sub" in answer.stderr


def _diff(base: str, target: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safemig", "diff", "--from", base, "--to", target]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize(
    ("dropped", "item"),
    [
        ("INDEX t_x_idx", "index public.t_x_idx"),
        ("FUNCTION f()", "routine public.f()"),
        ("TRIGGER r ON t", "trigger public.t.r"),
        ("STATISTICS s", "statistics public.s"),
    ],
)
def test_a_drop_under_an_older_snapshot_is_said(database: str, dropped: str, item: str) -> None:
    load(
        database,
        "CREATE TABLE t (x int, y int); CREATE INDEX ON t (x); CREATE STATISTICS s ON x, y FROM t;"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE TRIGGER r BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    )
    with psycopg.connect(database) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")  # the snapshot is taken: it holds what is dropped now
        load(database, f"DROP {dropped}")
        with pytest.raises(UnreachableError, match="changed while it was read") as raised:
            read_schema(reader)
        assert f"{item} is gone" in str(raised.value)
        assert reader.execute("SELECT 2").fetchone() == (2,)  # the transaction goes on


def test_a_lock_that_is_held_for_long_is_said(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safemig.postgres.catalog.LONGEST_WAIT_MS", 200)
    load(database, "CREATE TABLE t (x int); CREATE VIEW v AS SELECT x FROM t")
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(UnreachableError, match="another session's lock blocks") as raised:
            read(database)
        assert raised.value.where == "waited 0.2 s"
        other.rollback()
    assert read(database).tables == (("public", "t"),)


def test_readings_beside_changes_are_each_of_one_moment(database: str) -> None:
    load(database, "CREATE SCHEMA app")

    def churn() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            while not done.is_set():
                connection.execute(
                    "CREATE TABLE app.a (x int PRIMARY KEY); CREATE TABLE app.b (y int REFERENCES app.a)"
                )
                connection.execute("DROP TABLE app.b; DROP TABLE app.a")

    done = threading.Event()
    worker = threading.Thread(target=churn)
    worker.start()
    seen = set()
    try:
        for _ in range(30):
            with contextlib.suppress(UnreachableError):  # each of its attempts met a change
                found = read(database)
                seen.add(found.tables)
                assert all(
                    item in found.facts or item.kind == "schema"
                    for edge in found.graph.dependencies
                    for item in edge[:2]
                )
    finally:
        done.set()
        worker.join()
    assert seen <= {(), (("app", "a"), ("app", "b"))}
    assert seen


@pytest.mark.parametrize(
    ("wrong", "said", "exit_code"),
    [
        ("postgresql://app:hunter2@127.0.0.1:1/shop", "--to cannot be reached", 2),
        ("postgresql://app:hunter2@[::1/shop", "the connection string of --to is not valid", 2),
        ("host=/nowhere dbname=shop password=hunter2", "--to cannot be reached", 2),
        ("service=hunter2_no_such_service", "the service of --to is not defined", 2),
        ("hunters", 'there is no environment "hunters"', 2),
    ],
)
def test_a_wrong_dsn_is_said_without_its_secret(
    database: str, tmp_path: Path, wrong: str, said: str, exit_code: int
) -> None:
    answer = _diff(database, wrong, tmp_path)
    assert (answer.returncode, answer.stdout) == (exit_code, "")
    assert said in answer.stderr
    assert "next: " in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "hunter2@" not in answer.stderr
    assert "=hunter2 " not in answer.stderr


def test_a_database_that_is_not_there_is_said(server: ThrowawayServer, database: str) -> None:
    with pytest.raises(UnreachableError, match="the database of --from does not exist"):
        diff(server.url("no_such_database"), database)


def test_a_server_newer_than_every_program_here_is_read_all_the_same(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(tmp_path))  # no pg_dump, no server: reading needs none
    load(database, "CREATE TABLE t (x int)")
    assert diff(database, database).is_empty


def test_a_constraint_that_is_not_valid_on_one_side(new_database: Callable[[], str]) -> None:
    made = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (x int)"
    keys = "ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0){0}, ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES p{0}"
    valid, not_valid = new_database(), new_database()
    load(valid, made, keys.format(""))
    load(not_valid, made, keys.format(" NOT VALID"))
    there = compare(read(not_valid), read(valid))
    assert {statement.sql for statement in there.statements} == {
        "ALTER TABLE public.t VALIDATE CONSTRAINT c",
        "ALTER TABLE public.t VALIDATE CONSTRAINT f",
    }
    back = compare(read(valid), read(not_valid))
    load(not_valid, there.sql)
    load(valid, back.sql)
    assert compare(read(not_valid), read(valid)).sql == back.sql  # each has become what the other was
    assert not any(statement.destructive for statement in there.statements)
