"""A password never leaves: not into a record, a page, a log, the journal, the ledger, an error, or the process list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from tests.operations.conftest import Shop
from tests.tables import part_of

CANARY = "canary-5up3r-s3cret"
FILE = "20260102000000_secret.sql"
# The server says the password by itself, as a function with a connection string in it does; no file holds it.
NOTICE = f"RAISE WARNING 'connecting with %', '{CANARY[:7]}' || '{CANARY[7:]}';"
ERROR = f"RAISE EXCEPTION 'cannot connect with %', '{CANARY[:7]}' || '{CANARY[7:]}';"
QUIET_PASSWORD = "ALTER ROLE postgres\n  PASSWORD\n  'another-s3cret';"
BLOCK = "DO $$ BEGIN IF current_database() LIKE 'production%' THEN {} END IF; END $$;"


@pytest.fixture
def secret(
    request: pytest.FixtureRequest,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shop:
    """The shop, to which one connects with the canary: in the URL, or where libpq looks else."""
    place = getattr(request, "param", "the URL")
    for variable, url in (("PRODUCTION_DATABASE_URL", shop.production), ("STAGING_DATABASE_URL", shop.staging)):
        with_it = {
            "the URL": url.replace("postgres@", f"postgres:{CANARY}@"),
            "the URL, encoded": url.replace("postgres@", f"postgres:%63{CANARY[1:]}@"),
            "its query": f"{url}{'&' if '?' in url else '?'}password={CANARY}",
            "key=value": make_conninfo(url, password=CANARY),
            "a service file": make_conninfo(url, service="shop"),
        }
        monkeypatch.setenv(variable, with_it.get(place, url))
    file = tmp_path_factory.mktemp("pgpass") / "pgpass"
    file.write_text(f"*:*:*:*:{CANARY}\n")
    file.chmod(0o600)
    service = file.with_name("pg_service.conf")
    service.write_text(f"[shop]\npassword={CANARY}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    for name, value in (("PGPASSWORD", CANARY), ("PGPASSFILE", str(file))):
        if name == place:
            monkeypatch.setenv(name, value)
    return shop


@contextmanager
def process_list() -> Iterator[set[str]]:
    """Collect every command line of this machine while the block runs."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    ended.set()
    thread.join()


def safemig(shop: Shop, *words: str) -> tuple[int, str]:
    """Run the command, and return its exit code and all that it said."""
    done = subprocess.run(
        [sys.executable, "-m", "safemig", "--project", str(shop.folder), *words],
        capture_output=True, text=True, check=False, timeout=180, env=dict(os.environ),
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def assert_kept(shop: Shop, *said: str) -> None:
    """Assert that nothing that was said or written holds a secret."""
    for text in said:
        assert CANARY not in text
    written = [path for name in ("records", "backups") for path in (shop.folder / name).rglob("*") if path.is_file()]
    assert {".ipynb", ".html", ".jsonl"} <= {path.suffix for path in written}
    for path in written:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert CANARY not in text, path.name
        assert "another-s3cret" not in text or path.parent.parent.name == "backups", path.name


PLACES = [
    ("the URL", NOTICE, 0),
    ("the URL", ERROR, 3),
    ("the URL, encoded", ERROR, 3),
    ("its query", ERROR, 3),
    ("key=value", NOTICE, 0),
    ("PGPASSWORD", ERROR, 3),
    ("PGPASSFILE", ERROR, 3),
    ("a service file", ERROR, 3),
]


@pytest.mark.parametrize(
    ("secret", "body", "exit_code"),
    part_of(PLACES, [PLACES[0], PLACES[3], PLACES[-1]], lambda case: f"{case[0]} {case[2]}"),
    indirect=["secret"],
)
def test_a_password_stays_where_it_is(secret: Shop, body: str, exit_code: int) -> None:
    secret.write(FILE, f"CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY);\n{QUIET_PASSWORD}\n{BLOCK.format(body)}")
    findings = [
        f"{each.rule}:{each.object}: the test needs it" for each in secret.project.review().standing if each.object
    ]
    (secret.folder / "safemig.toml").write_text(f"accept = {json.dumps(findings)}")
    for words in (("review", "--format", "json"), ("review",), ("plan",)):
        _, said = safemig(secret, *words)
        assert "ALTER ROLE" in said
        assert "another-s3cret" not in said, words
    with process_list() as seen:
        code, said = safemig(secret, "migrate-prod", "--approve", secret.project.plan().id)
    assert code == exit_code, said
    # Either is enough: psql takes a few milliseconds here, and may end between two looks.
    assert any(program in each for each in seen for program in ("pg_dump", "psql")), "the programs were seen"
    assert not [each for each in seen if CANARY in each]
    assert_kept(secret, said)
    journal = (secret.folder / "records" / "production" / "journal.jsonl").read_text()
    assert '"event":"ended"' in journal


def test_a_literal_that_is_production_s_password_is_not_shown(secret: Shop) -> None:
    in_sql = f"COMMENT ON TABLE users IS '{CANARY}';\nUPDATE users SET legacy = '{CANARY}';"
    secret.write(FILE, in_sql)
    for words in (
        ("review",), ("review", "--format", "json"), ("review", "--format", "github"), ("review", "--format", "sarif"),
        ("plan",), ("plan", "--format", "json"), ("status",),
    ):  # fmt: skip
        code, said = safemig(secret, *words)
        assert code in (0, 1), said
        assert CANARY not in said, words
    for shown in (secret.project.review(), secret.project.plan()):
        told = repr(shown._repr_mimebundle_())
        assert "***" in told
        assert CANARY not in told


def test_a_password_that_is_wrong_is_not_told(secret: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", f"postgresql://app:{CANARY}@127.0.0.1:1/app")
    for words in (("backup-prod",), ("status",), ("diff", "--from", "staging", "--to", "production"), ("plan",)):
        _, said = safemig(secret, *words)
        assert "production cannot be reached" in said
        assert CANARY not in said
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", f"postgresql://app:{CANARY}@[::1/app?sslmode=nonsense")
    _, said = safemig(secret, "backup-prod")
    assert "the connection string of production is not valid" in said
    assert_kept(secret, said)


@pytest.mark.parametrize("verb", ["migrate-prod", "backup-prod"])
def test_a_parameter_with_a_password_is_refused_before_anything_is_written(secret: Shop, verb: str) -> None:
    code, said = safemig(secret, verb, "--target", "postgresql://app:parameter-s3cret@h/d")
    assert code == 2
    assert 'the parameter "target" holds a password' in said
    assert "parameter-s3cret" not in said
    assert not list((secret.folder / "records").rglob("*.ipynb"))
