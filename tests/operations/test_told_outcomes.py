"""What a person is told and with which exit code: the status as a cron job, the gate left, the road that goes on."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from safemig.approval.approve import approve
from safemig.cli import main
from safemig.errors import RefusedError, ReviewRefusedError
from safemig.postgres import resumable
from safemig.postgres.resumable import Resumable
from safemig.results import Target
from tests.operations.conftest import Shop

SECOND = "20260102000000_second.sql"
INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy);"
DOWN = "postgresql://app:hunter2@127.0.0.1:1/shop"


def status_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["status", *arguments])
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("all well", 0),
        ("pending", 0),
        ("drift", 1),
        ("edited", 1),
        ("file missing", 1),
        ("server down", 5),
        ("not set", 5),
        ("empty", 5),
        ("no such database", 5),
        ("not a URL", 5),
        ("a standby's port closed", 5),
        ("drift and server down", 5),
    ],
)
def test_status_can_run_as_a_cron_job(
    shop: Shop, case: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop.folder)
    first = shop.migrations / "20260101000000_first.sql"
    variable = "PRODUCTION_DATABASE_URL"
    if case == "pending":
        shop.write(SECOND, "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    if case.startswith("drift"):
        shop.on(shop.production, "ALTER TABLE users ADD COLUMN by_hand int")
    if case == "edited":
        first.write_text(first.read_text() + "SELECT 1;")
    if case == "file missing":
        first.unlink()
    if case.endswith("server down"):
        monkeypatch.setenv("STAGING_DATABASE_URL" if "drift" in case else variable, DOWN)
    if case == "not set":
        monkeypatch.delenv(variable)
    value = {
        "empty": "",
        "no such database": shop.production.replace(shop.production.split("/")[3].split("?")[0], "nowhere"),
        "not a URL": "postgresql://app:hunter2@host:port/x",
        "a standby's port closed": "host=/nowhere dbname=x",
    }.get(case)
    if value is not None:
        monkeypatch.setenv(variable, value)
    assert status_code() == code
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert status_code("--format", "json") == code
    if case == "drift and server down":
        assert status_code("--target", "production") == 1, "drift alone"
    if case == "not set":
        assert status_code("--target", "staging") == 0


def test_status_of_an_unknown_environment_is_a_wrong_call(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.folder)
    assert status_code("--target", "prodd") == 2


@pytest.mark.parametrize("left_by", [KeyboardInterrupt, EOFError])
def test_leaving_the_gate_is_a_no(left_by: type[BaseException]) -> None:
    def ask(_question: str) -> str:
        raise left_by

    target = Target("production", "host", "shop", "app", 170000, "1")
    with pytest.raises(RefusedError, match="is not approved") as caught:
        approve("abc123", target, "", "1 step", verb="migrate-prod", ask=ask)
    assert "nothing was changed" in str(caught.value)


def test_a_rerun_after_a_kill_in_an_index_build_is_told_how_to_resume(shop: Shop) -> None:
    shop.write(SECOND, INDEX)
    with psycopg.connect(shop.production, autocommit=True) as connection:
        connection.execute("UPDATE users SET legacy = 'same'")
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY users_legacy ON users (legacy)")
        resumable.add(connection, Resumable("0a1b2c3d4e5f", "1" * 12, {"20260102000000": "x"}, "y"))
        resumable.note_running(connection, "0a1b2c3d4e5f", "mark")
    with pytest.raises(ReviewRefusedError) as caught:
        shop.project.migrate_prod()
    assert "safemig migrate-prod --resume 0a1b2c3d4e5f" in str(caught.value.next)
    assert "accept" not in str(caught.value.next)
