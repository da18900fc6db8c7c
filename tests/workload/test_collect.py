"""What is collected: from the server and from files, once each, without values, and with what could not be seen."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from safemig.cli import main
from safemig.errors import NoSuchFileError, RefusedError, SettingsError
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.workload.counted import NESTED, NOT_VISIBLE, OTHER_DATABASE, Reading, read_counted
from safemig.workload.files import read_files
from safemig.workload.logs import moment_of
from safemig.workload.merge import merged
from safemig.workload.statement import SeenWorkload
from safemig.workload.texts import UNREADABLE, UTILITY, Kept, Skipped, each_statement, kept
from tests.conftest import QUIET
from tests.operations.conftest import Shop
from tests.workload.conftest import COUNTS

CANARY = "canary-0451"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a,\n  b FROM t WHERE c = 'canary-0451' -- canary-0451", "SELECT a, b FROM t WHERE c = $1"),
        ("SELECT /* canary-0451 */ a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = $1"),
        ("SELECT E'canary-0451', $$canary-0451$$, $q$canary-0451$q$, U&'canary-0451'", "SELECT $1, $2, $3, $4"),
        ("SELECT 'a'\n'canary-0451'", "SELECT $1"),
        ("SELECT interval '1 day', date '2026-01-01'", "SELECT CAST($1 AS interval), CAST($2 AS date)"),
        ("SELECT now() AT TIME ZONE $1, timestamptz $2", "SELECT now() AT TIME ZONE $1, CAST($2 AS timestamptz)"),
        ("SELECT interval $1 day to second", "SELECT CAST($1 AS interval day to second)"),
        ("SELECT extract($1 FROM a) FROM t", "SELECT extract(epoch FROM a) FROM t"),
        ('SELECT "x  y", "it\'s" FROM "Odd ""T"', 'SELECT "x  y", "it\'s" FROM "Odd ""T"'),
        ("SELECT a::varchar(10) FROM t ORDER BY 1", "SELECT a::varchar(10) FROM t ORDER BY 1"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT a FROM t WHERE b = 'canary-0451'", "SELECT a FROM t WHERE b = $1"),
        ("COPY (SELECT a FROM t WHERE b = 'canary-0451') TO STDOUT", "SELECT a FROM t WHERE b = $1"),
        ("WITH x AS (SELECT 1) DELETE FROM t USING x;", "WITH x AS (SELECT $1) DELETE FROM t USING x"),
    ],
)
def test_a_text_is_kept_without_values_and_comments(text: str, expected: str) -> None:
    found = kept(text)
    assert isinstance(found, Kept)
    assert found.text == expected
    assert kept(found.text) == found, "what is kept stays as it is"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SET x TO 'canary-0451'", UTILITY),
        ("ALTER ROLE a PASSWORD 'canary-0451'", UTILITY),
        ("COPY t FROM STDIN", UTILITY),
        ("FETCH 10 FROM c", UTILITY),
        ("SELECT a INTO b FROM t", UTILITY),
        ("CREATE TEMP TABLE x AS SELECT 'canary-0451'", UTILITY),
        ("CALL p('canary-0451')", UTILITY),
        ("", UTILITY),
        ("SELECT 'canary-0451", UNREADABLE),
        ("SELECT FROM WHERE 'canary-0451'", UNREADABLE),
    ],
)
def test_a_text_that_cannot_be_tried_is_counted_by_its_reason(text: str, reason: str) -> None:
    assert kept(text) == Skipped(reason)


def test_a_long_text_of_no_known_form_is_told_in_one_pass() -> None:
    assert kept("a" * 200_000 + "'") == Skipped(UNREADABLE)


def test_a_script_is_read_statement_by_statement() -> None:
    assert list(each_statement("-- c\nSELECT 'a;b'; UPDATE t SET a = 1;\n")) == ["SELECT 'a;b'", "UPDATE t SET a = 1"]


# The server ---------------------------------------------------------------------------------------------------------


def reading(url: str, role: str = "") -> Reading:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'SET ROLE "{role}"'.encode()) if role else None
        return read_counted(connection, "production")


def test_the_servers_statements_are_read_with_role_path_and_count(
    counted: str, send: Callable[..., None], counting_server: ThrowawayServer
) -> None:
    send(counting_server.url(), "", "SELECT relname FROM pg_class LIMIT 1")
    with psycopg.connect(counted, autocommit=True) as connection:
        connection.execute(
            """
            CREATE SCHEMA "odd schema"; CREATE TABLE "odd schema"."T able" ("a.b" text, n int);
            GRANT USAGE ON SCHEMA "odd schema" TO PUBLIC; GRANT ALL ON "odd schema"."T able" TO app_rw;
            CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS
            $$ DECLARE x int := 1; BEGIN RETURN (SELECT count(*) FROM "odd schema"."T able" WHERE n = x); END $$;
            """
        )
        connection.execute(
            f'ALTER ROLE app_rw IN DATABASE "{connection.info.dbname}" SET search_path = "odd schema"'.encode()
        )
    send(
        counted, "app_rw", f"""SELECT "a.b" FROM "odd schema"."T able" WHERE "a.b" = '{CANARY}' /* {CANARY} */""",
        f"""INSERT INTO "odd schema"."T able" VALUES ('{CANARY}', 1)""", "SELECT f()", f"SET application_name = '{CANARY}'",
        f"CREATE TEMP TABLE mine AS SELECT '{CANARY}' AS a", times=1,
    )  # fmt: skip
    send(counted, "app_rw", """SELECT "a.b" FROM "odd schema"."T able" WHERE "a.b" = 'other'""", times=2)
    found = reading(counted)
    mine = {each.text: each for each in found.statements if each.role == "app_rw"}
    assert set(mine) == {
        'SELECT "a.b" FROM "odd schema"."T able" WHERE "a.b" = $1', 'INSERT INTO "odd schema"."T able" VALUES ($1, $2)',
        "SELECT f()",
    }  # fmt: skip
    first = mine['SELECT "a.b" FROM "odd schema"."T able" WHERE "a.b" = $1']
    assert (first.calls, first.rows, first.kind, first.search_path) == (3, 0, "SELECT", '"odd schema"')
    assert first.mean_ms > 0
    assert first.max_ms >= first.mean_ms
    assert first.queryid
    assert found.begin
    assert found.end
    assert found.begin < found.end
    assert found.skipped[NESTED] >= 1
    assert found.skipped[OTHER_DATABASE] >= 1
    assert found.skipped[UTILITY] >= 4
    assert CANARY not in repr(found)


def test_what_a_role_may_not_see_is_counted(counted: str, send: Callable[..., None]) -> None:
    send(counted, "app_rw", "SELECT 1 AS mine")
    send(counted, "reporting", "SELECT 2 AS theirs, current_date")
    with psycopg.connect(counted, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int); GRANT ALL ON t TO reporting, app_rw")
    send(counted, "reporting", "SELECT a FROM t")
    send(counted, "app_rw", "SELECT a + 1 FROM t")
    found = reading(counted, "reporting")
    assert [each.text for each in found.statements if each.role != "reporting"] == []
    assert "SELECT a FROM t" in [each.text for each in found.statements]
    assert found.skipped[NOT_VISIBLE] >= 1


def test_a_server_that_does_not_count_says_how_to_turn_it_on(database: str, counting_server: ThrowawayServer) -> None:
    with pytest.raises(RefusedError, match="shared_preload_libraries") as caught:
        reading(database)
    assert "safemig workload PATH" in str(caught.value.next)
    with psycopg.connect(database, autocommit=True) as connection:  # made, and not loaded
        connection.execute("CREATE EXTENSION pg_stat_statements")
    with pytest.raises(RefusedError, match="CREATE EXTENSION"):
        reading(database)


def test_repeated_collections_add_up_and_survive_resets(counted: str, send: Callable[..., None]) -> None:
    with psycopg.connect(counted, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int); GRANT ALL ON t TO app_rw")
    seen = SeenWorkload("production")
    totals = []
    for times, reset in ((3, False), (0, False), (2, True), (4, False)):
        send(counted, "app_rw", "SELECT a FROM t", times=times) if times else None
        if reset:  # what was called since the last collection is lost
            with psycopg.connect(counted, autocommit=True) as connection:
                connection.execute("SELECT pg_stat_statements_reset()")
            send(counted, "app_rw", "SELECT a FROM t", times=5)
        seen = merged(seen, reading(counted))
        totals.append(next(each.calls for each in seen.statements if each.text == "SELECT a FROM t"))
    assert totals == [3, 3, 8, 12]
    assert len(seen.windows) in (1, 2)
    assert 0 < seen.hours < 1


def test_evictions_are_counted_and_what_was_seen_before_stays() -> None:
    with ThrowawayServer.start(settings=QUIET | COUNTS | {"pg_stat_statements.max": "100"}) as small:
        url = small.create_database("small")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements; CREATE TABLE t (a int)")
            connection.execute("SELECT a FROM t")
            first = merged(SeenWorkload("production"), read_counted(connection, "production"))
            for number in range(2, 200):
                connection.execute(f"SELECT {', '.join(['a'] * number)} FROM t".encode())
            second = merged(first, read_counted(connection, "production"))
    assert first.evicted == 0 < second.evicted
    texts = {each.text for each in second.statements}
    assert {"SELECT a FROM t"} < texts
    assert len(texts) < 200


# Files --------------------------------------------------------------------------------------------------------------


def csvlog_line(at: str, message: str, detail: str = "", user: str = "app", database: str = "shop") -> list[str]:
    row = [""] * 26
    row[0], row[1], row[2], row[11], row[13], row[14] = f"{at} UTC", user, database, "LOG", message, detail
    return row


def test_files_of_every_form_are_read(tmp_path: Path) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "a.sql").write_text(
        f"-- {CANARY}\nSELECT a FROM t WHERE b = :'x';\nSELECT a FROM t WHERE b = '{CANARY}';"
    )
    with (tmp_path / "server.csv").open("w", newline="") as file:
        csv.writer(file).writerows([
            csvlog_line("2026-11-01 10:00:00.000", f"duration: 2.5 ms  statement: UPDATE t SET a = '{CANARY}'"),
            csvlog_line("2026-11-01 10:00:01.000", "duration: 0.5 ms  parse s1: UPDATE t SET a = $1"),
            csvlog_line("2026-11-01 10:00:02.000", "duration: 1.5 ms  execute s1: UPDATE t SET a = $1", f"parameters: $1 = '{CANARY}'"),
            csvlog_line("2026-11-01 10:00:03.000", "connection received"),
        ])  # fmt: skip
    (tmp_path / "server.json").write_text(
        json.dumps({"timestamp": "2026-11-02 10:00:00.000 UTC", "user": "app", "dbname": "shop", "error_severity": "LOG",
                    "message": f"duration: 4.0 ms  statement: DELETE FROM t WHERE a = '{CANARY}'", "detail": CANARY})
        + "\n{half a li"
    )  # fmt: skip
    (tmp_path / "dump.csv").write_text(
        "rolname,query,calls,rows,total_exec_time,max_exec_time,toplevel\n"
        f'app,"INSERT INTO t VALUES ($1) /* {CANARY} */",7,7,14.0,3.5,t\napp,SELECT x,1,1,1,1,f\n'
    )
    names = ("queries", "server.csv", "server.json", "dump.csv")
    found = read_files([tmp_path / name for name in names])
    assert {
        (each.source, each.role, each.text, each.calls, each.mean_ms, each.max_ms) for each in found.statements
    } == {
        ("sql", "", "SELECT a FROM t WHERE b = $1", 0, 0.0, 0.0),
        ("log", "app", "UPDATE t SET a = $1", 2, 2.0, 2.5),
        ("log", "app", "DELETE FROM t WHERE a = $1", 1, 4.0, 4.0),
        ("dump", "app", "INSERT INTO t VALUES ($1)", 7, 2.0, 3.5),
    }
    assert CANARY not in repr(found)
    assert found.skipped[NESTED] == 1
    assert found.skipped[UNREADABLE] == 1


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-11-01 10:00:00.500 UTC", "10:00:00.500000"), ("2026-11-01 10:00:00 CET", "09:00:00"), ("2026-07-01 10:00:00 CEST", "08:00:00"),
        ("2026-11-01 10:00:00.250 EST", "15:00:00.250000"), ("2026-11-01 10:00:00 -03", "13:00:00"), ("2026-11-01 10:00:00 +0530", "04:30:00"),
        ("2026-11-01 10:00:00 <+03>", "07:00:00"), ("2026-11-01 10:00:00 ACDT", "23:30:00"), ("2026-11-01 10:00:00", "10:00:00"),
    ],
)  # fmt: skip
def test_a_logs_time_has_its_zone(written: str, utc: str) -> None:
    unknown: set[str] = set()
    assert moment_of(written, unknown).time().isoformat() == utc
    assert not unknown


def test_a_zone_that_several_places_call_so_is_told(tmp_path: Path) -> None:
    log = tmp_path / "server.csv"
    with log.open("w", newline="") as file:
        row = csvlog_line("2026-11-01 10:00:00.000", "duration: 2 ms  statement: SELECT a FROM t")
        csv.writer(file).writerow([row[0].replace("UTC", "IST"), *row[1:]])
    found = read_files([log])
    assert found.notes == ("a log's times are in IST, which is not known here: taken as UTC",)
    assert found.begin
    assert found.begin.isoformat() == "2026-11-01T10:00:00+00:00"


@pytest.mark.parametrize(
    "prefix",
    ["2026-11-01 10:00:00.000 CET [77] app@shop ", "2026-11-01 10:00:00 CET:10.0.0.1(5432):app@shop:[77]:",
     "2026-11-01 10:00:00.000 CET [77] user=app,db=shop,app=psql,client=[local] "],
)  # fmt: skip
def test_stderrs_form_is_read_by_its_prefix(tmp_path: Path, prefix: str) -> None:
    log = tmp_path / "postgresql-17-main.log"
    log.write_text(
        f"\tthe end of a message that began in another file\n{prefix}LOG:  duration: 2.5 ms  statement: UPDATE t\n"
        f"\tSET a = '{CANARY}'\n\tWHERE b = 1\n{prefix}LOG:  duration: 1.5 ms  execute s1: SELECT a FROM t WHERE b = $1\n"
        f"{prefix}DETAIL:  parameters: $1 = '{CANARY}'\n{prefix}ERROR:  syntax error\n{prefix}STATEMENT:  SELEC 1 -- {CANARY}\n"
        f"{prefix}LOG:  checkpoint starting: time\n"
    )
    found = read_files([log], database="shop")
    assert {(each.role, " ".join(each.text.split()), each.calls, each.mean_ms) for each in found.statements} == {
        ("app", "UPDATE t SET a = $1 WHERE b = $2", 1, 2.5), ("app", "SELECT a FROM t WHERE b = $1", 1, 1.5),
    }  # fmt: skip
    assert (found.begin, found.end) == (datetime(2026, 11, 1, 9, tzinfo=UTC), datetime(2026, 11, 1, 9, tzinfo=UTC))
    assert CANARY not in repr(found)
    assert read_files([log], database="other").statements == ()


def test_a_log_read_again_as_it_grows_counts_each_line_once(tmp_path: Path) -> None:
    log = tmp_path / "server.csv"
    seen = SeenWorkload("production")
    totals = []
    for day in ("01", "01", "02"):
        with log.open("a", newline="") as file:
            if totals != [1]:
                csv.writer(file).writerow(
                    csvlog_line(f"2026-11-{day} 10:00:00.000", "duration: 2 ms  statement: SELECT a FROM t")
                )
        seen = merged(seen, read_files([log], seen.statements))
        totals.append(seen.calls)
    assert totals == [1, 1, 2]


@pytest.mark.parametrize("name", ["missing.csv", "empty"])
def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoSuchFileError):
        read_files([tmp_path / name])


def test_a_file_of_no_known_form_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SettingsError, match="csvlog"):
        read_files([tmp_path / "x.csv"])


def test_the_server_counts_better_than_a_file(counted: str, send: Callable[..., None], tmp_path: Path) -> None:
    with psycopg.connect(counted, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int); GRANT ALL ON t TO app_rw")
    send(counted, "app_rw", "SELECT a FROM t", times=3)
    (tmp_path / "a.sql").write_text("SELECT a FROM t")
    database = psycopg.conninfo.conninfo_to_dict(counted)["dbname"]
    from_file = read_files([tmp_path / "a.sql"], role="app_rw", database=str(database))
    of_server = reading(counted)
    for order in ((from_file, of_server), (of_server, from_file)):
        seen = SeenWorkload("production")
        for each in order:
            seen = merged(seen, each)
        (one,) = (each for each in seen.statements if each.text == "SELECT a FROM t")
        assert (one.source, one.calls) == ("pg_stat_statements", 3)


def test_the_verb_collects_shows_and_notes_what_it_cannot_show(seen_shop: Shop, send: Callable[..., None]) -> None:
    project = seen_shop.project
    with pytest.raises(NoSuchFileError, match="safemig workload"):
        project.workload(show=True)
    send(seen_shop.production, "app_rw", "SELECT id FROM users")
    first, again = project.workload(), project.workload()
    assert [each.text for each in again.statements] == ["SELECT id FROM users"]
    assert (first.new, again.new) == (1, 0)
    shown = project.workload(show=True)
    assert (shown.read_from, len(shown.statements)) == ((), len(again.statements))
    assert any("collect over days" in note for note in shown.notes)
    assert list(project.workload(show=True).to_frame()["text"]) == [each.text for each in shown.statements]
    (seen_shop.folder / "q.sql").write_text("SELECT legacy FROM users")
    files = project.workload(seen_shop.folder / "q.sql", role="reporting")
    assert ("reporting", "SELECT legacy FROM users") in {(each.role, each.text) for each in files.statements}


def test_a_replica_is_read_by_setting(seen_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICA_URL", seen_shop.staging)
    (seen_shop.folder / "safemig.toml").write_text(
        'workload_from = "replica"\n[environments.replica]\nurl = "env:REPLICA_URL"\n'
    )
    with pytest.raises(RefusedError, match="replica"):  # where nothing counts
        seen_shop.project.workload()


@pytest.fixture
def standby(counting_server: ThrowawayServer) -> Iterator[ThrowawayServer]:
    """A standby that streams from the counting server, made by pg_basebackup."""
    home = Path(tempfile.mkdtemp(prefix="safemig-"))
    backup = [
        counting_server.programs.folder / "pg_basebackup",
        "-h",
        counting_server.folder,
        "-U",
        counting_server.superuser,
    ]
    subprocess.run([*backup, "-D", home / "data", "-R", "-X", "stream", "-c", "fast"], check=True, capture_output=True)
    owner = (counting_server.folder / "data").stat()
    for path in (home, *home.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    try:
        with ThrowawayServer.start(programs=counting_server.programs, folder=home, settings=QUIET | COUNTS) as started:
            yield started
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_a_standby_that_streams_is_read_by_setting(
    seen_shop: Shop, standby: ThrowawayServer, send: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = seen_shop.production.partition("?")[0].rpartition("/")[2]
    url = standby.url(name)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    send(seen_shop.production, "app_rw", "SELECT email FROM users WHERE id = 1")
    send(url, "reporting", "SELECT count(*) FROM orders", times=4)
    monkeypatch.setenv("REPLICA_URL", url)
    (seen_shop.folder / "safemig.toml").write_text(
        'workload_from = "replica"\n[environments.replica]\nurl = "env:REPLICA_URL"\n'
    )
    found = seen_shop.project.workload()
    assert found.read_from == ("pg_stat_statements of replica",)
    assert {(each.role, each.text, each.calls) for each in found.statements if each.role != "postgres"} == {
        ("reporting", "SELECT count(*) FROM orders", 4)
    }


def test_the_doctor_tells_what_keeps_statements_from_being_collected(seen_shop: Shop, database: str) -> None:
    def outlook(url: str) -> tuple[str, str, tuple[str, ...]]:
        (found,) = [each for each in seen_shop.project.doctor(url).verbs if each.verb == "workload"]
        return found.outlook, found.why, found.fixes

    assert outlook("production") == ("works", "", ())
    assert outlook(seen_shop.staging)[0::2] == ("limited", ("CREATE EXTENSION pg_stat_statements;",))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    assert "shared_preload_libraries" in outlook(database)[1]
    with psycopg.connect(seen_shop.production, autocommit=True) as connection:
        connection.execute("ALTER ROLE reporting LOGIN")
    as_reporting = seen_shop.production.replace("postgres@", "reporting@")
    assert outlook(as_reporting) == (
        "limited",
        "sees its own statements only",
        ("GRANT pg_read_all_stats TO reporting;",),
    )


def test_the_runbook_leaves_a_record(
    seen_shop: Shop, send: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    send(seen_shop.production, "app_rw", f"SELECT id FROM users WHERE legacy = '{CANARY}' -- {CANARY}")
    with pytest.raises(SystemExit) as left:
        main(["--project", str(seen_shop.folder), "workload", "--record"])
    said = capfd.readouterr()
    assert left.value.code == 0
    assert said.out.startswith("COLLECTED")
    assert "COLLECTED · record: " in said.err
    files = [path for path in seen_shop.folder.rglob("*") if path.is_file()]
    assert [path for path in files if CANARY in path.read_text(errors="ignore")] == []
    assert [path.name for path in files if path.name == "production.jsonl"] == ["production.jsonl"]
