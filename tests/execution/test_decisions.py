"""The decisions of a deployment that need no server: what is one transaction, what is skipped, which words are said."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

import safemig.execution
from safemig.errors import (
    DeploymentStoppedError,
    MigrationError,
    OutcomeUnknownError,
    RefusedError,
    SettingsError,
    UnreachableError,
)
from safemig.execution import command, journal, lock_watch, transaction, validation
from safemig.execution.base_file import read_base_text, with_checksum
from safemig.execution.batches import declared
from safemig.execution.expected_locks import blocks_while_it_waits, locks_by_kind
from safemig.execution.holding import longest_of
from safemig.execution.layout import ProjectLayout, layout_for, require_sql
from safemig.execution.resume import _require_same
from safemig.execution.steps import (
    UP_FRONT_SECONDS,
    locks_up_front,
    parse_file,
    plan_files,
    rows_not_written,
    segments,
    with_held_times,
)
from safemig.migrations.files import Migration, hash_of
from safemig.migrations.layouts import LAYOUTS
from safemig.operations.segments import trail_of
from safemig.postgres.resumable import Resumable
from safemig.results import Check, HeldLock, RowChange, Step, TableContent
from safemig.settings import Settings, load_settings
from safemig.sql.locks import LockMode


def migration(sql: str, version: str = "20260101000000", **more: Any) -> Migration:
    return Migration(version, "m", Path(f"{version}_m.sql"), sql, hash_of(sql), **more)


def step(sql: str = "SELECT 1", number: int = 1, **more: Any) -> Step:
    return Step(number, "m.sql", number, sql.split()[0], sql, **more)


def connection_that_says(*answers: Any) -> Any:
    """A connection that gives one answer after the other: rows, or a fault."""
    left = list(answers)

    def execute(*_: Any) -> Any:
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return SimpleNamespace(fetchone=lambda: answer[0] if answer else None, fetchall=lambda: answer, __iter__=None)

    return SimpleNamespace(
        execute=execute, closed=False, close=lambda: None, info=SimpleNamespace(server_version=170000)
    )


def test_facts_are_frozen_and_have_no_other_attributes() -> None:
    for module in pkgutil.iter_modules(safemig.execution.__path__, "safemig.execution."):
        for each in vars(importlib.import_module(module.name)).values():
            if dataclasses.is_dataclass(each) and isinstance(each, type) and each.__module__ == module.name:
                assert each.__dataclass_params__.frozen, each  # type: ignore[attr-defined]
                assert "__slots__" in vars(each), each


# ------------------------------------------------------------------------------------------------ layout

HIDDEN = [
    # (layout, the team's own name of the history, hidden tables, hidden schemas)
    ("supabase", "", (), ()),
    ("goose", "", ("public.goose_db_version",), ()),
    ("goose", "audit.versions", ("audit.versions",), ()),
    ("goose", "goose.versions", ("goose.versions",), ("goose",)),
    ("drizzle", "", ("drizzle.__drizzle_migrations",), ("drizzle",)),
    ("sqitch", "", (), ("sqitch",)),
    ("alembic", "", (), ()),
]


@pytest.mark.parametrize(("layout", "given", "tables", "schemas"), HIDDEN)
def test_only_a_tool_s_own_history_is_hidden(
    tmp_path: Path, layout: str, given: str, tables: tuple[str, ...], schemas: tuple[str, ...]
) -> None:
    (tmp_path / "safemig.toml").write_text(f'layout = "{layout}"\nhistory_table = "{given}"\n')
    of = layout_for(load_settings(tmp_path))
    assert (of.hidden_tables, of.hidden_schemas) == (tables, schemas)
    assert not of.hides("public.users")
    assert all(of.hides(each) for each in tables)
    assert all(of.hides(f"{each}.anything") for each in schemas)
    assert not of.keeps_history_in("aaa.users")
    assert not of.keeps_history_in("zzz.users")
    assert of.keeps_history_in(of.table) is (layout != "supabase")


NAMES = [("supabase", "", ("supabase_migrations", "schema_migrations")), ("goose", "", ("public", "goose_db_version")),
         ("goose", "audit.versions", ("audit", "versions")), ("sqitch", "", ("sqitch", None)),
         ("flyway", "history", ("public", "history"))]  # fmt: skip


@pytest.mark.parametrize(("layout", "given", "names"), NAMES)
def test_a_history_s_schema_and_table_are_told_apart(layout: str, given: str, names: tuple[str, str | None]) -> None:
    assert ProjectLayout(LAYOUTS[layout], Path(), "", given).history_names == names


def test_migrations_that_are_programs_are_refused_with_the_commands_that_work(tmp_path: Path) -> None:
    (tmp_path / "safemig.toml").write_text('layout = "alembic"\n')
    with pytest.raises(MigrationError, match="programs, not SQL") as caught:
        require_sql(load_settings(tmp_path))
    assert "safemig rehearse --run" in str(caught.value.next)
    (tmp_path / "safemig.toml").write_text('layout = "flyway"\n')
    require_sql(load_settings(tmp_path))


# ------------------------------------------------------------------------------------------------- steps


def test_steps_are_numbered_over_files_and_neighbours_share_a_transaction() -> None:
    files = plan_files(
        [
            migration("BEGIN; CREATE TABLE a (); CREATE TABLE b (); COMMIT;", "1"),
            migration("CREATE TABLE c ();", "2"),
            migration("CREATE INDEX CONCURRENTLY i ON a (x);", "3"),
            migration("CREATE TABLE d ();", "4"),
        ]
    )
    assert [(each.number, each.file, each.kind) for file in files for each in file.steps] == [
        (1, "1_m.sql", "CREATE TABLE"), (2, "1_m.sql", "CREATE TABLE"), (3, "2_m.sql", "CREATE TABLE"),
        (4, "3_m.sql", "CREATE INDEX CONCURRENTLY"), (5, "4_m.sql", "CREATE TABLE"),
    ]  # fmt: skip
    assert [(each.names, each.transactional) for each in segments(files)] == [
        (("1_m.sql", "2_m.sql"), True), (("3_m.sql",), False), (("4_m.sql",), True),
    ]  # fmt: skip
    assert [each.names for each in segments(files, together=False)] == [
        ("1_m.sql",), ("2_m.sql",), ("3_m.sql",), ("4_m.sql",),
    ]  # fmt: skip
    assert [each.number for each in segments(files)[0].steps] == [1, 2, 3]


MIXED = "CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY i ON a (id);"
TOGETHER = [
    # (the file, whether it runs in a transaction; "" where it does, its words where it is refused)
    (MIXED, "line 2"),
    (f"-- safemig: no transaction\n{MIXED}", None),
    (f"-- +goose NO TRANSACTION\n{MIXED}", None),
    (f"SELECT '-- safemig: no transaction';\n{MIXED}", "line 3"),
    ("SET lock_timeout = '1s';\nCREATE INDEX CONCURRENTLY i ON a (id);", None),
    ("CREATE TABLE a ();\nCOMMIT;\nCREATE TABLE b ();", "line 2"),
    ("CREATE TABLE a ();", ""),
]


@pytest.mark.parametrize(("sql", "said"), TOGETHER)
def test_what_refuses_a_transaction_stands_in_a_file_of_its_own(sql: str, said: str | None) -> None:
    if said:
        with pytest.raises(MigrationError, match=said):
            plan_files([migration(sql)])
    else:
        (file,) = plan_files([migration(sql)])
        assert file.transactional is (said == "")
    if "COMMIT" not in sql:
        plan_files([migration(sql)], applied=True)  # what is applied is not run


def test_a_file_that_its_tool_runs_without_a_transaction_is_not_refused() -> None:
    (file,) = plan_files([migration(MIXED, alone=True)])
    assert (file.transactional, [each.transactional for each in file.steps]) == (False, [True, False])


def test_an_applied_script_of_psql_keeps_the_lines_of_its_file() -> None:
    script = "\\set ON_ERROR_STOP on\nBEGIN;\nCREATE TABLE a ();\n\\echo done\n\nCREATE TABLE b ();\nCOMMIT;\n"
    (file,) = plan_files([migration(script)], applied=True)
    assert [(each.line, each.sql) for each in file.steps] == [(3, "CREATE TABLE a ()"), (6, "CREATE TABLE b ()")]
    with pytest.raises(MigrationError, match="does not parse") as caught:
        plan_files([migration("\\echo x\n\nCREATE TABLEE b ();\n")], applied=True)
    assert "line 3, column" in str(caught.value.where)
    with pytest.raises(MigrationError, match="does not parse") as caught:
        parse_file(migration("SELECT 1;\nCREATE TABLEE b ();"))
    assert "line 2, column 8" in str(caught.value.where)


def test_the_rows_of_a_copy_belong_to_its_step() -> None:
    rows = "COPY t FROM stdin;\n1\n2\n\\."
    (file,) = plan_files([migration(f"CREATE TABLE t (a int);\n{rows}\nSELECT 1;")])
    assert [each.sql for each in file.steps] == ["CREATE TABLE t (a int)", rows, "SELECT 1"]


def test_rows_that_a_recorded_file_did_not_write_are_named() -> None:
    files = plan_files(
        [migration("CREATE TABLE t ();\nINSERT INTO storage.buckets VALUES (1);\nUPDATE t SET a = 1;\nTRUNCATE t;")]
    )
    named = [each.partition("its ")[2] for each in rows_not_written(files)]
    assert named == ["INSERT in line 2 was not run", "UPDATE in line 3 was not run", "TRUNCATE in line 4 was not run"]
    named = [each.partition("its ")[2] for each in rows_not_written(files, {"storage.buckets"})]
    assert named == ["UPDATE in line 3 was not run", "TRUNCATE in line 4 was not run"]


def test_a_lock_is_held_to_the_end_of_the_transaction() -> None:
    lock = (HeldLock("public.a", LockMode.SHARE),)
    ran = [step(number=1, ran_s=1.0, locks=lock), step(number=2, ran_s=2.0, locks=lock), step(number=3, locks=lock)]
    held = [each.locks[0].held_s for each in with_held_times(ran, together=True)]
    assert held == [3.0, 2.0, 0.0]
    assert [each.locks[0].held_s for each in with_held_times(ran, together=False)] == [1.0, 2.0, 0.0]


LOCKS = [
    # (what the copy's steps held, how long they took, the locks that are taken first)
    ([LockMode.SHARE_UPDATE_EXCLUSIVE], 0.1, {}),
    ([LockMode.SHARE, LockMode.ACCESS_EXCLUSIVE, LockMode.SHARE], 0.1, {"public.a": LockMode.ACCESS_EXCLUSIVE}),
    ([LockMode.SHARE, LockMode.SHARE_ROW_EXCLUSIVE], 0.1, {"public.a": LockMode.SHARE_ROW_EXCLUSIVE}),
    ([LockMode.ACCESS_EXCLUSIVE, LockMode.SHARE], 0.1, {"public.a": LockMode.ACCESS_EXCLUSIVE}),
    ([LockMode.SHARE], UP_FRONT_SECONDS, {"public.a": LockMode.SHARE}),
    ([LockMode.SHARE], UP_FRONT_SECONDS + 0.1, {}),
]


@pytest.mark.parametrize(("modes", "seconds", "taken"), LOCKS)
def test_the_strongest_lock_of_each_table_is_taken_first_where_the_steps_are_short(
    modes: Sequence[LockMode], seconds: float, taken: dict[str, LockMode]
) -> None:
    connection: Any = SimpleNamespace(execute=lambda _, names: [(name,) for name in names[0] if name != "public.v"])
    steps = [step(ran_s=seconds if not n else None, locks=(HeldLock("public.a", mode), HeldLock("public.v", mode)))
             for n, mode in enumerate(modes)]  # fmt: skip
    assert locks_up_front(connection, steps) == taken


BLOCKING = [("VACUUM FULL t", True), ("VACUUM t", False), ("REINDEX TABLE t", True), ("REINDEX TABLE CONCURRENTLY t", False),
            ("CLUSTER", True), ("CREATE INDEX CONCURRENTLY i ON t (a)", False)]  # fmt: skip


@pytest.mark.parametrize(("sql", "blocks"), BLOCKING)
def test_what_blocks_others_while_it_waits_is_known(sql: str, blocks: bool) -> None:
    assert blocks_while_it_waits(step(sql)) is blocks


def test_locks_are_known_from_what_a_statement_is() -> None:
    assert locks_by_kind(step("CREATE INDEX CONCURRENTLY i ON t (a)")) == {"public.t": LockMode.SHARE_UPDATE_EXCLUSIVE}


# ----------------------------------------------------------------------------------------------- batches

DECLARED = [
    # (what follows the first line, which batches; or the words of the refusal and its line)
    ("-- safemig: batches of 10 by t.id\nUPDATE t SET a = 1 WHERE id BETWEEN $1 AND $2;", {1: (10, "t", "id", 0)}),
    ("-- safemig: batches of 7 by s.t.id, pause 50 ms\nDELETE FROM s.t WHERE id BETWEEN $1 AND $2;", {1: (7, "s.t", "id", 50)}),
    ("-- safemig: batch by id\nUPDATE t SET a = 1;", ("invalid declaration of batches", "line 2")),
    ("-- safemig: batches of 0 by t.id\nUPDATE t SET a = 1;", ("invalid declaration of batches", "line 2")),
    ("-- safemig: batches of 10 by t.id\nCREATE TABLE x ();", ("none follows", "line 2")),
    ("-- safemig: batches of 10 by t.id\n", ("none follows", "line 2")),
    ("-- safemig: batches of 10 by t.id\nUPDATE t SET a = 1 WHERE id > $1;", ("range of keys", "line 3")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), DECLARED)
def test_batches_are_declared_right_before_their_statement(text: str, meant: Any) -> None:
    of = migration(f"SELECT 1;\n{text}")
    if isinstance(meant, tuple):
        with pytest.raises(MigrationError, match=meant[0]) as caught:
            declared(of, parse_file(of))
        assert str(caught.value.where).endswith(meant[1])
    else:
        found = {place: (b.size, b.table, b.key, b.pause_ms) for place, b in declared(of, parse_file(of)).items()}
        assert found == meant


# ----------------------------------------------------------------------------------------------- command

URLS = [
    ({"dbname": "d"}, "postgresql:///d"),
    ({"user": "u", "dbname": "d", "host": "h"}, "postgresql://u@h/d"),
    ({"user": "u@x", "password": "p/w", "dbname": "d", "host": "h", "port": "1"}, "postgresql://u%40x:p%2Fw@h:1/d"),
    ({"dbname": "d", "host": "/run/pg", "port": "1"}, "postgresql:///d?host=%2Frun%2Fpg&port=1"),
    # Ruby's URI refuses a user before an empty host.
    (
        {"dbname": "d", "host": "/run", "user": "u", "password": "p&"},
        "postgresql:///d?host=%2Frun&user=u&password=p%26",
    ),
    ({"dbname": "d", "host": "a,b"}, "postgresql:///d?host=a%2Cb"),
    ({"dbname": "d", "host": "h", "sslmode": "require"}, "postgresql://h/d?sslmode=require"),
    ({"dbname": "d", "port": "1"}, "postgresql:///d"),
]


@pytest.mark.parametrize(("parts", "url"), URLS)
def test_a_command_gets_one_url(parts: dict[str, str], url: str) -> None:
    assert command.url_of(parts) == url


def test_a_command_sees_one_database_and_no_other_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "safemig.toml").write_text('deploy_as = "owner"\nlock_timeout_ms = 200\nlock_attempts = 3\n')
    settings = load_settings(tmp_path)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql:///wrong")
    monkeypatch.setenv("PGHOST", "wrong")
    monkeypatch.setenv("KEPT", "yes")
    found = command.environment_for(settings, "postgresql://u@h:5/d", lock_timeout=True)
    assert "PRODUCTION_DATABASE_URL" not in found
    assert found["KEPT"] == "yes"
    assert (found["DATABASE_URL"], found["PGHOST"], found["PGDATABASE"]) == (
        "postgresql://u@h:5/d",
        "h",
        "d",
    )
    assert found["PGOPTIONS"] == "-c role=owner -c lock_timeout=600ms"
    assert command.environment_for(settings, "postgresql:///d", lock_timeout=False)["PGOPTIONS"] == "-c role=owner"
    plain = Settings(folder=tmp_path)
    assert "PGOPTIONS" not in command.environment_for(plain, "postgresql:///d", lock_timeout=False)


@pytest.mark.parametrize(
    ("conninfo", "mode", "told"),
    [
        ("postgresql://h/d", "", None),
        ("postgresql://h/d", "require", "require"),
        ("postgresql://h/d?sslmode=prefer", "", "prefer"),
        ("postgresql:///d?host=/run/pg", "require", None),
        ("postgresql:///d?host=/run/pg&sslmode=require", "", None),
    ],
)
def test_a_command_is_told_of_tls_only_what_the_team_says_and_nothing_of_a_socket(
    conninfo: str, mode: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    if mode:
        monkeypatch.setenv("PGSSLMODE", mode)
    found = command.environment_for(Settings(folder=tmp_path), conninfo, lock_timeout=False)
    assert found.get("PGSSLMODE") == told
    assert ("sslmode" in found["DATABASE_URL"]) == bool(told)


def test_a_service_s_file_is_read_and_the_string_itself_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pg_service.conf").write_text("[shop]\nhost=db\nport=7\ndbname=shop\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "missing"))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    found = command.resolved("service=shop port=8")
    assert (found["host"], found["port"], found["dbname"]) == ("db", "8", "shop")


WORDS = [
    ("", "empty"),
    ("'x", "cannot be read"),
    ("no-such-program-at-all up", "there is no program no-such-program-at-all"),
]


@pytest.mark.parametrize(("text", "said"), WORDS)
def test_a_command_that_cannot_run_is_refused_before(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        command.words_of_command(text)


def test_a_command_s_last_lines_and_code_are_kept(tmp_path: Path) -> None:
    ran = command.run_command("sh -c 'seq 1 50; exit 3'", tmp_path, {"PATH": "/usr/bin:/bin"})
    assert (ran.exit_code, len(ran.said), ran.said[0], ran.last_words) == (3, 40, "11", "48 / 49 / 50")
    assert command.run_command("true", tmp_path, {"PATH": "/usr/bin:/bin"}).last_words == "no message"
    said = ("Error: no SSL here", "    at Socket.emit (node:events:524:28)", "    at Pipe.read (x.js:1:2) {", "}")
    assert command.Ran("npx", 1, 0.1, said).last_words == "Error: no SSL here"
    said = (
        "a.rb:2:in `f': no URI (Error)",
        "\tfrom /usr/lib/x.rb:99:in `new'",
        "\tfrom <internal:/y.rb>:85:in `require'",
    )
    assert command.Ran("rails", 1, 0.1, said).last_words == "a.rb:2:in `f': no URI (Error)"
    said = ("Traceback (most recent call last):", '  File "a.py", line 1, in f', "    g()", "    ~^^", "KeyError: 'a1'")
    assert command.Ran("alembic", 1, 0.1, said[1:]).last_words.endswith("KeyError: 'a1'")
    assert command.Ran("alembic", 1, 0.1, said).last_words == "KeyError: 'a1'"


def test_a_command_that_ignores_an_interrupt_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    monkeypatch.setattr(command, "_GRACE_SECONDS", 0.2)
    deaf = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert deaf.stdout is not None
    deaf.stdout.readline()
    command._end(deaf)
    assert deaf.wait(5) == -9
    command._end(deaf)  # and one that has ended is no fault
    deaf.stdout.close()


def test_the_hash_of_files_knows_their_names_bytes_and_no_order(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "b"
    one.write_text("1")
    two.write_text("2")
    first = command.hash_of_files([one, two], tmp_path)
    assert first == command.hash_of_files([two, one], tmp_path)
    assert first != command.hash_of_files([one], tmp_path)
    two.write_text("3")
    assert first != command.hash_of_files([one, two], tmp_path)


# ---------------------------------------------------------------------------------------------- base file


def test_a_base_that_was_edited_is_refused_unless_asked_for(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert read_base_text(settings) is None
    path = settings.path("base")
    path.parent.mkdir(parents=True)
    path.write_text(with_checksum("-- Read from staging (x, PostgreSQL 17.1), 2026-11-30", "CREATE ROLE r;\n"))
    found = read_base_text(settings)
    assert found is not None
    assert (found.environment, found.major, found.date, found.is_as_written) == ("staging", 17, "2026-11-30", True)
    assert found.words.startswith("base.sql, read from staging on 2026-11-30 (SHA-256 ")
    path.write_text(path.read_text() + "DROP ROLE r;\n")
    with pytest.raises(SettingsError, match="was changed since"):
        read_base_text(settings)
    edited = read_base_text(settings, edited=True)
    assert edited is not None
    assert not edited.is_as_written
    path.write_text("CREATE ROLE r;\n")
    own = read_base_text(settings)
    assert own is not None
    assert own.is_as_written
    assert own.words.startswith("base.sql, written by hand, without a checksum (SHA-256")
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_base_text(settings)


# ------------------------------------------------------------------------------------------------ holding


def test_a_transaction_may_take_ten_times_what_it_took_on_the_copy_and_its_round_trips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter([100.0, 100.5])
    monkeypatch.setattr("safemig.execution.holding.time.monotonic", lambda: next(ticks))
    assert longest_of(connection_that_says([(1,)]), 2.0, [1, 2]) == 30 + 10 * 2.0 + 10 * 0.5 * 12
    assert longest_of(connection_that_says(), None, []) is None


# ------------------------------------------------------------------------------------------------ journal


def test_the_journal_tells_which_runs_did_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "committed_parts", lambda _, run_id: {"b": ["m.sql"]}.get(run_id, []))
    path = journal.path_of(load_settings(tmp_path), "production")
    assert path == tmp_path / "records" / "production" / "journal.jsonl"
    assert journal.read(path) == []
    for run, event in (
        ("a", "begun"),
        ("a", "committed"),
        ("a", "committed"),
        ("a", "ended"),
        ("b", "begun"),
        ("c", "begun"),
        ("b", "committed"),
    ):
        journal.write(path, run, event, act="rollback_prod" if run == "a" else "migrate_prod")  # type: ignore[arg-type]
    unended = journal.unended(path, connection_that_says())
    assert [(each.run_id, each.committed) for each in unended] == [("b", ("m.sql",)), ("c", ())]
    assert unended[0].words.endswith("was cut off; applied: m.sql")
    assert unended[1].words.endswith("was cut off; nothing was applied")
    assert journal.lost(path, connection_that_says()) == ""  # the database knows b
    journal.settle(path, unended)
    assert journal.unended(path, connection_that_says()) == ()
    assert journal.contradictions(path, []) == []
    journal.write(path, "d", "begun", act="migrate_prod")
    journal.write(path, "d", "committed")
    journal.write(path, "f", "begun", act="migrate_prod")
    journal.write(path, "f", "ended", verdict="FAILED")  # which committed nothing
    journal.write(path, "e", "committed")  # of a run whose beginning is not there
    assert journal.lost(path, connection_that_says()).startswith("run d (migrate_prod, begun ")


@pytest.mark.parametrize(("answer", "happened"), [((True, True), True), ((False, True), False), ((False, False), None)])
def test_whether_a_swap_happened_is_read_from_the_server(tmp_path: Path, answer: Any, happened: bool | None) -> None:
    path = tmp_path / "journal.jsonl"
    journal.write(path, "z", "swapping", former="shop_other", restored=2)
    journal.write(path, "b", "swapping", former="shop_old", restored=1)
    found = journal.swap_of(path, "b", connection_that_says([answer]))
    assert found == journal.Swap("shop_old", happened)
    assert journal.swap_of(path, "c", connection_that_says()) is None
    said = {True: "taken the database's place", False: "not swapped", None: "cannot be learned"}
    assert said[happened] in found.words
    assert said[happened] in journal.UnendedRun("b", "restore_prod", "x", (), found).words


# ------------------------------------------------------------------------------------------------- resume


def test_only_what_was_left_of_a_deployment_is_resumed() -> None:
    first, second = migration("SELECT 1", "1"), migration("SELECT 2", "2")
    files = plan_files([first, second])
    of = Resumable("r", "p", {"1": first.sha256, "2": second.sha256}, "s")
    _require_same(of, {"1": "SELECT 1", "2": "SELECT 2"}, files, "production")
    _require_same(of, {"2": "SELECT 2"}, files, "production")
    for migrations, said in (
        ({"1": first.sha256}, "2_m.sql was not part of it"),
        ({"1": "x", "2": second.sha256}, "1_m.sql was edited since"),
    ):
        with pytest.raises(RefusedError, match="is not what was left of deployment r") as caught:
            _require_same(Resumable("r", "p", migrations, "s"), {"1": "SELECT 1", "2": "SELECT 2"}, files, "production")
        assert caught.value.where == said


GOES_ON = [
    # (environment, the fleet's own command, the command)
    ("production", "", "safemig migrate-prod --resume r1"),
    ("qa", "", "safemig migrate-prod --target qa --resume r1"),
    ("tenants/acme", "safemig fleet migrate tenants --resume p1", "safemig fleet migrate tenants --resume p1"),
]


@pytest.mark.parametrize(("environment", "given", "command"), GOES_ON)
def test_the_command_that_goes_on_names_its_target(environment: str, given: str, command: str) -> None:
    files = plan_files([migration("CREATE TABLE a ();", "1"), migration("CREATE INDEX CONCURRENTLY i ON a (x);", "2")])
    plan = SimpleNamespace(id="p1", migrations=(), schema_fingerprint="x")
    target = SimpleNamespace(environment=environment)
    situation: Any = SimpleNamespace(resumes=None, files=files, segments=segments(files), plan=plan, target=target)
    trail = trail_of(Settings(), situation, "r1", given)
    assert trail is not None
    assert trail.go_on == command
    situation.resumes = Resumable("r0", "p1", {}, "x")
    resumed = trail_of(Settings(), situation, "r1", given)
    assert resumed is not None
    assert resumed.go_on == command.replace("r1", "r0")
    one = SimpleNamespace(**{**vars(situation), "resumes": None, "files": files[:1], "segments": segments(files[:1])})
    assert trail_of(Settings(), one, "r1", given) is None  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ commit


@pytest.mark.parametrize(
    "fault", [UnreachableError("away", where="x", next="y"), psycopg.OperationalError("gone"), None]
)
def test_a_commit_is_only_waited_for_while_the_server_says_that_it_works_on_it(
    monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    from safemig.execution import commit

    def connect(*_: Any, **__: Any) -> Any:
        if isinstance(fault, UnreachableError):
            raise fault
        return connection_that_says(fault or [(1,)])

    monkeypatch.setattr(commit, "connect", connect)
    assert commit._is_committing("", None) is (fault is None)


def test_an_interrupt_after_the_commit_says_that_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    from safemig.execution import commit

    state: dict[str, Any] = {}

    @contextmanager
    def connected(*_: Any) -> Any:
        if "away" in state:
            raise UnreachableError("away", where="x", next="y")
        yield None

    monkeypatch.setattr(commit, "connected", connected)
    monkeypatch.setattr(commit, "deployment_exists", lambda *_: state["done"])

    def cut_short(fault: BaseException) -> None:
        with commit.told_when_interrupted("", "production", "r", "deployed", "m.sql"):
            raise fault

    state["done"] = False
    with pytest.raises(KeyboardInterrupt):
        cut_short(KeyboardInterrupt())
    state["done"] = True
    with pytest.raises(DeploymentStoppedError, match="deployed, but not validated"):
        cut_short(OSError(28, "No space left on device"))
    with pytest.raises(RefusedError):  # who raised it knew
        cut_short(RefusedError("no", where="x", next="y"))
    state["away"] = True
    with pytest.raises(OutcomeUnknownError, match="cannot be reached to check"):
        cut_short(KeyboardInterrupt())


# ------------------------------------------------------------------------------------------- transaction

ENDED = "commands ignored until end of transaction block"
FAILURES: list[tuple[Any, int, Sequence[str], Sequence[str]]] = [
    # (the server's error, attempts, who blocks, the words)
    (pg.LockNotAvailable("timeout"), 3, ("pid 1",), ("could not acquire a lock after 3 attempts", "; pid 1", "end what blocks it")),
    (pg.LockNotAvailable("timeout"), 2, (), ("after 2 attempts", "end what blocks it")),
    (pg.UniqueViolation("twice"), 1, (), ("twice", "correct the migration")),
    (pg.IdleInTransactionSessionTimeout("idle"), 1, (), ("this process was silent for too long", "limit 8 s", "keep this machine awake")),
]  # fmt: skip


@pytest.mark.parametrize(("error", "attempts", "blockers", "words"), FAILURES)
def test_a_failure_says_what_where_and_next(
    error: Any, attempts: int, blockers: Sequence[str], words: Sequence[str]
) -> None:
    found = transaction._failed(step("ALTER TABLE t", 2), error, attempts, blockers)
    said = f"{found.what} | {found.where} | {found.next}"
    assert found.exit_code == 3
    assert "step 2, m.sql, line 2: ALTER; rolled back, nothing was changed" in said
    assert all(each in said for each in words), said
    assert "at COMMIT; rolled back" in str(transaction._failed(None, error, attempts).where)


def test_tables_without_a_schema_are_public_s() -> None:
    assert transaction._tables_of(step("ALTER TABLE a ADD x int")) == ["public.a"]
    assert transaction._tables_of(step("ALTER TABLE s.a ADD x int")) == ["s.a"]


@pytest.mark.parametrize(("who", "waits"), [("", True), ("pid 7", False)])
def test_a_lock_whose_holder_has_just_ended_is_waited_for_briefly(
    monkeypatch: pytest.MonkeyPatch, who: str, waits: bool
) -> None:
    """The list of sessions loses a holder before its lock is free."""
    clock = iter([0.0, 1.0, 1.9, 2.1])
    slept: list[float] = []
    monkeypatch.setattr(transaction, "connect", lambda *_, **__: connection_that_says(*[[(False,)]] * 9))
    monkeypatch.setattr(transaction, "require_primary", lambda *_: None)
    monkeypatch.setattr(transaction, "_require_direct", lambda *_: None)
    monkeypatch.setattr(transaction.activity, "who_deploys", lambda _: who)
    monkeypatch.setattr(transaction, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=slept.append))
    with (
        pytest.raises(RefusedError, match="another deployment is under way") as caught,
        transaction.only_deployment("", "production", "r"),
    ):
        pass
    assert caught.value.where == (who or "holder unknown")
    assert len(slept) == (2 if waits else 0)


def test_a_rollback_that_fails_closes_the_connection() -> None:
    idle = SimpleNamespace(transaction_status=psycopg.pq.TransactionStatus.IDLE)
    busy = SimpleNamespace(transaction_status=psycopg.pq.TransactionStatus.INERROR)
    did: list[str] = []

    def execute(_: object) -> None:
        did.append("ROLLBACK")
        raise psycopg.OperationalError("gone")

    for closed, info in ((True, busy), (False, idle), (False, busy)):
        each: Any = SimpleNamespace(closed=closed, info=info, execute=execute, close=lambda: did.append("close"))
        transaction._rollback(each)
    assert did == ["ROLLBACK", "close"]


# ------------------------------------------------------------------------------------------------- watch


def test_a_blocker_stays_told_between_two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    looks: list[Any] = []
    told: list[Any] = []
    now = [0.0]

    @contextmanager
    def looking(conninfo: str, environment: str, look: Any, pause_s: float) -> Any:
        looks.append(look)
        yield

    monkeypatch.setattr(lock_watch, "_looking", looking)
    monkeypatch.setattr(lock_watch, "server_pid", lambda _: 1)
    monkeypatch.setattr(lock_watch.live, "blocked", lambda who, note="": told.append((len(who), note)))
    monkeypatch.setattr(lock_watch, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def at(second: float, blockers: Sequence[Any], index: Sequence[Any]) -> None:
        now[0] = second
        answers = iter([blockers, index])
        looks[0](SimpleNamespace(execute=lambda *_: next(answers)))

    with lock_watch.watched("", "production", None):  # type: ignore[arg-type]
        at(0.1, [(7, "u", "a", "active", 1.0, "q")], [])
        at(1.0, [], [])
        assert told == [(1, "")]
        at(1.7, [], [])
        assert told == [(1, ""), (0, "")]
        at(2.0, [], [("building", 1000, 2000)])
        at(2.1, [], [("waiting", 0, 0)])
        assert told[2:] == [(0, "building: 1,000 of 2,000"), (0, "waiting")]


# --------------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize(
    ("fault", "error", "then"),
    [
        (RefusedError("no", where="x", next="y"), DeploymentStoppedError, "safemig status"),
        (UnreachableError("away", where="x", next="y"), DeploymentStoppedError, "safemig status, when the server answers again"),
        (psycopg.OperationalError("gone"), DeploymentStoppedError, "safemig status, when the server answers again"),
        (KeyboardInterrupt(), DeploymentStoppedError, "safemig status"),
        (OSError(28, "No space left on device"), DeploymentStoppedError, "safemig status"),
        (OutcomeUnknownError("unknown", where="x", next="as it was"), OutcomeUnknownError, "as it was"),
        (DeploymentStoppedError("stopped", where="x", next="as it was"), DeploymentStoppedError, "as it was"),
    ],
)  # fmt: skip
def test_what_cuts_a_validation_short_never_says_that_nothing_changed(
    fault: BaseException, error: type[Any], then: str
) -> None:
    with pytest.raises(error) as caught, validation.told_when_cut_short("deployed", "m.sql"):
        raise fault
    assert caught.value.exit_code in (4, 5)
    assert str(caught.value.next) == then


def test_a_check_that_failed_after_the_commit_stops_the_run() -> None:
    unused: Any = None
    ok, warning, failed = (
        Check("a", "ok", "x", "y"),
        Check("b", "warning", "x", "y"),
        Check("c", "failed", "found", "y"),
    )
    validation.require_none_failed([ok, warning], "deployed", where="w", then="n", result=unused)
    with pytest.raises(DeploymentStoppedError, match="deployed, but 1 check after it said no: c: found"):
        validation.require_none_failed([ok, failed, warning], "deployed", where="w", then="n", result=unused)


ROWS = [TableContent("public.a", 1, ""), TableContent("public.h", 2, ""), TableContent("safemig.steps", 3, "")]


def test_rows_of_histories_and_of_our_own_are_no_rows_of_the_project() -> None:
    found = validation.rows_changed(ROWS, {"public.b": 5, "public.a": 1}, lambda name: name == "public.h")
    assert found == (RowChange("public.a", 1, 1), RowChange("public.b", None, 5))
    assert RowChange("public.h", 2, 2) in validation.rows_changed(ROWS, {"public.h": 2})


def test_a_loss_says_which_table_and_a_sum_says_of_when() -> None:
    (lost,) = validation.check_rows([RowChange("a", 5, 0), RowChange("b", 5, None), RowChange("c", None, 3)], {})
    assert (lost.state, lost.found) == ("failed", "a had 5 rows, has none; b had 5 rows, is gone")
    (kept,) = validation.check_rows([RowChange("a", 5, 5), RowChange("c", None, 3), RowChange("d", 0, 0)], {})
    assert (kept.state, kept.found) == ("ok", "5 rows in 2 tables at the backup, 8 in 3 now")
