"""Reading: one moment, everywhere, and without leaving a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import compare

from .proof import dump, load, read

_SCHEMA = """
CREATE SCHEMA app; CREATE TYPE app.kind AS ENUM ('a', 'b');
CREATE TABLE app.t (id bigserial PRIMARY KEY, k app.kind DEFAULT 'a', v text);
CREATE VIEW app.v AS SELECT id, k FROM app.t;
"""


def test_two_databases_with_equal_schemas_have_one_fingerprint(new_database: Callable[[], str]) -> None:
    one, other = new_database(), new_database()
    load(one, _SCHEMA)
    load(other, "CREATE TABLE gone (x int); DROP TABLE gone", _SCHEMA)
    assert read(one).fingerprint == read(other).fingerprint
    assert compare(read(one), read(other)).is_empty


def test_two_restores_of_one_dump_differ_in_nothing(server: ThrowawayServer, new_database: Callable[[], str]) -> None:
    source, one, other = new_database(), new_database(), new_database()
    load(source, _SCHEMA)
    text = "\n".join(line for line in dump(server, source).split("\n") if not line.startswith("\\"))
    load(one, text)
    load(other, text)
    assert compare(read(one), read(other)).sql == ""


def test_an_open_transaction_is_read_as_it_stands_and_left_as_it_was(database: str) -> None:
    load(database, _SCHEMA)
    before = read(database).fingerprint
    with psycopg.connect(database) as connection:
        connection.execute("SET search_path = app")
        connection.commit()
        connection.execute("CREATE TABLE fresh (x int)")
        inside = read_schema(connection)
        assert ("app", "fresh") in inside.tables
        assert inside.fingerprint != before
        assert connection.info.transaction_status == pq.TransactionStatus.INTRANS
        assert connection.execute("SHOW search_path").fetchone() == ("app",)
        assert connection.execute("SHOW jit").fetchone() == ("on",)
        connection.execute("INSERT INTO fresh VALUES (1)")
        connection.rollback()
    assert read(database).fingerprint == before


@pytest.mark.parametrize("autocommit", [True, False])
def test_an_idle_connection_is_idle_again(database: str, autocommit: bool) -> None:
    with psycopg.connect(database, autocommit=autocommit) as connection:
        read_schema(connection)
        assert connection.info.transaction_status == pq.TransactionStatus.IDLE
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("off",)
        connection.execute("CREATE TABLE writes_still_work (x int)")


def test_temporary_objects_and_extension_members_are_left_out(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION hstore; CREATE TEMP TABLE here (x int); CREATE TEMP VIEW seen AS SELECT 1")
        found = read_schema(connection)
    assert {item.kind for item in found.facts} == {"schema", "extension"}


def test_schemas_are_managed_by_the_filter(database: str) -> None:
    load(
        database,
        _SCHEMA,
        "CREATE SCHEMA other; CREATE TABLE other.x (y int)",
        "CREATE SCHEMA safemig; CREATE TABLE safemig.log (x int)",
        "CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations (version text)",
    )
    with psycopg.connect(database, autocommit=True) as connection:
        assert read_schema(connection).tables == (("app", "t"), ("other", "x"))
        assert read_schema(connection, SchemaFilter(only=("other",))).tables == (("other", "x"),)
        assert read_schema(connection, SchemaFilter(exclude=("other",))).tables == (("app", "t"),)


def test_an_index_that_a_failed_build_left_is_no_difference(database: str, new_database: Callable[[], str]) -> None:
    load(database, "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (1)")
    clean = new_database()
    load(clean, "CREATE TABLE t (x int)")
    with psycopg.connect(database, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON t (x)")
    there = compare(read(clean), read(database))
    assert there.sql == ""
    assert "index public.i is invalid" in there.warnings[0]
    assert compare(read(database), read(clean)).statements[0].sql == "DROP INDEX IF EXISTS public.i"


def test_the_command_loads_nothing_that_a_comparison_does_not_need(database: str, tmp_path: Path) -> None:
    script = (
        "import sys; from safemig.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, *sorted(sys.modules.keys() & {'IPython', 'jinja2', 'nbformat', 'pandas',"
        " 'papermill', 'pydantic', 'safemig.review', 'safemig.sql.parsing', 'safemig.views', 'tomllib'}))"
    )
    command = [sys.executable, "-c", script, "diff", "--from", database, "--to", database]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SAFEMIG_")}
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=variables)
    assert answer.stdout.split() == ["0"]


def test_settings_count_where_there_are_any(new_database: Callable[[], str], tmp_path: Path) -> None:
    one, other = new_database(), new_database()
    load(one, "CREATE SCHEMA ours; CREATE SCHEMA theirs")
    load(other, "CREATE SCHEMA ours; CREATE TABLE ours.t (x int)")
    (tmp_path / "safemig.toml").write_text('schemas = ["ours"]\n')
    command = [sys.executable, "-m", "safemig", "diff", "--from", one, "--to", other]
    for folder, said in ((tmp_path, False), (Path("/"), True)):
        answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
        assert "CREATE TABLE IF NOT EXISTS ours.t" in answer.stdout
        assert ("theirs" in answer.stdout) is said
