"""What psql, pg_dump and other tools write around SQL is understood in pending files, and their rows are copied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.errors import MigrationError
from safemig.execution.steps import plan_files, run_steps
from safemig.migrations import Migration, read_migration
from safemig.postgres.server.throwaway import ThrowawayServer

ROWS = "1\tit's -- not; a \"quote\n2\t\\N\n3\tnaïve\\tyes\n"
DUMP = (
    "\\restrict Abc\nBEGIN;\nCREATE TABLE public.t (id int PRIMARY KEY, name text);\n"
    f"COPY public.t (id, name) FROM stdin;\n{ROWS}\\.\n\nCOPY public.t FROM stdin;\n\\.\n"
    "ALTER TABLE public.t ADD COLUMN n int;\nCOMMIT;\n\\unrestrict Abc\n"
)
GOOSE = "-- +goose Up\nCREATE TABLE up (id int PRIMARY KEY);\n-- +goose Down\nDROP TABLE up;\n"


def migration(folder: Path, sql: str) -> Migration:
    path = folder / "20260101000000_m.sql"
    path.write_text(sql, encoding="utf-8")
    return read_migration(path)


@pytest.fixture
def connection(server: ThrowawayServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(server.create_database("client_text"), autocommit=True) as opened:
        yield opened
    server.drop_database("client_text")


def test_a_dump_with_rows_runs_as_a_pending_migration(
    connection: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    [file] = plan_files([migration(tmp_path, DUMP)])
    assert [(step.kind, step.line) for step in file.steps][1:3] == [("COPY", 4), ("COPY", 10)]
    with connection.transaction():
        done = list(run_steps(connection, file.steps))
    assert [step.rows for step in done] == [None, 3, 0, None]
    rows = connection.execute("SELECT id, name FROM t ORDER BY 1").fetchall()
    assert rows == [(1, "it's -- not; a \"quote"), (2, None), (3, "naïve\tyes")]


def test_only_the_way_up_of_goose_runs(connection: psycopg.Connection[tuple[object, ...]], tmp_path: Path) -> None:
    [file] = plan_files([migration(tmp_path, GOOSE)])
    assert [step.kind for step in file.steps] == ["CREATE TABLE"]
    list(run_steps(connection, file.steps))
    assert connection.execute("SELECT to_regclass('up') IS NOT NULL").fetchone() == (True,)


@pytest.mark.parametrize(
    "head",
    ["-- +goose NO TRANSACTION\n-- +goose Up", "-- migrate:up transaction:false", "-- +migrate Up notransaction"],
)
def test_other_tools_words_for_no_transaction_are_known(tmp_path: Path, head: str) -> None:
    sql = f"{head}\nCREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a);\n-- migrate:down\nDROP TABLE t;\n"
    [file] = plan_files([migration(tmp_path, sql if "migrate:up" in head else sql.split("-- migrate:down")[0])])
    assert not file.transactional


@pytest.mark.parametrize("sql", ["SELECT 1;\nCOMMIT;\nSELECT 2;\n", "BEGIN;\nROLLBACK;\n", "COMMIT AND CHAIN;\n"])
def test_other_transaction_control_stays_refused(tmp_path: Path, sql: str) -> None:
    with pytest.raises(MigrationError, match="safemig manages the transaction"):
        plan_files([migration(tmp_path, sql)])
