"""A verdict needs evidence: each state of the target, by command in each format, by magic and by cell magic."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from safemig.cli import main
from safemig.errors import MigrationError, SafemigError, SettingsError
from safemig.project import Project
from tests.operations.conftest import FIRST, FIRST_FILE, Shop

PENDING = "20260201000000_drop.sql"
DROP = "ALTER TABLE public.users DROP COLUMN email CASCADE;\n"
ADD = "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS note text;\n"
FORMS = ("text", "json", "sarif", "github")
NONE = "no target was read"

# What the variable holds (None: it is not there), and the options given.
STATES: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "read": ("as it is", ()),
    "not set": (None, ()),
    "empty": ("", ()),
    "server down": ("postgresql://app@127.0.0.1:1/app", ()),
    "no such database": ("no such database", ()),
    "not a URL": ("postgresql://app:secret@host:port/app", ()),
    "unknown target": ("as it is", ("--target", "prodd")),
    "named and not set": (None, ("--target", "production")),
    "both options": ("as it is", ("--target", "production", "--no-target")),
    "without target": ("as it is", ("--no-target",)),
    "without target, down": ("postgresql://app@127.0.0.1:1/app", ("--no-target",)),
}
WITHOUT = {"without target", "without target, down"}
GIVEN = ("folder", "file", "text")


def expected(state: str, given: str) -> tuple[int, bool]:
    """Return (the exit code for a migration that drops a column, whether no target is read)."""
    if state == "read":
        return 1, False
    if state in WITHOUT or (state == "not set" and given != "folder"):
        return 1, True
    return 2, False


@pytest.fixture
def told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the target's state; return the options that belong to it."""
    monkeypatch.chdir(shop.folder)

    def tell(state: str) -> tuple[str, ...]:
        value, options = STATES[state]
        if value is None:
            monkeypatch.delenv("PRODUCTION_DATABASE_URL")
        elif value == "no such database":
            name = shop.production.split("/")[3].split("?")[0]
            monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace(name, "no_such_database"))
        elif value != "as it is":
            monkeypatch.setenv("PRODUCTION_DATABASE_URL", value)
        return options

    return tell


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return a command's exit code, its output and its messages."""
    with pytest.raises(SystemExit) as left:
        main(["review", *arguments])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def words_of(form: str, out: str) -> tuple[str, str]:
    """Return the verdict that a report says, and what it says of the target."""
    if form == "json":
        data = json.loads(out)
        return data["verdict"], data["target"] or f"{NONE} ({data['no_target']})"
    if form == "sarif":
        (run,) = json.loads(out)["runs"]
        notes = [
            note["message"]["text"]
            for each in run.get("invocations", ())
            for note in each["toolExecutionNotifications"]
        ]
        return run["properties"]["verdict"], run["properties"]["target"] or " ".join(notes)
    line = out.rstrip().splitlines()[-1 if form == "github" else 0]
    verdict = line.rpartition("::")[2] if form == "github" else line.partition(" · ")[0]
    return verdict.split(" on ")[0].split(", ")[0], line


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("state", STATES)
def test_a_command_says_what_its_verdict_rests_on(
    shop: Shop, told: Any, state: str, given: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = told(state)
    path = shop.write(PENDING, DROP)
    code, without = expected(state, given)
    files = {"folder": (), "file": (str(path),), "text": ("-",)}[given]
    for form in FORMS:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(DROP.encode())))
        found, out, err = command(capsys, *files, *options, "--format", form)
        assert found == code, (form, out, err)
        if code == 2:
            told_as_data = json.loads(out) if form == "json" else None
            assert told_as_data["exit_code"] == 2 if told_as_data else out == ""
            assert "Traceback" not in err
            assert "secret" not in err
            if state in ("not set", "empty", "server down", "no such database", "not a URL"):
                assert "safemig review --no-target" in err
            continue
        verdict, target = words_of(form, out)
        assert verdict == "DO NOT DEPLOY"
        assert (NONE in target) is without, target
        assert ("production" in target) is not without or given == "file", target


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False, "hist_file": ":memory:"}}))
    shell.run_line_magic("load_ext", "safemig")
    yield shell
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("state", STATES)
def test_a_magic_says_what_its_verdict_rests_on(
    shop: Shop, told: Any, shell: InteractiveShell, state: str, given: str
) -> None:
    line = " ".join(told(state))
    path = shop.write(PENDING, DROP)
    cell = {
        "folder": f"%migration_review {line}",
        "file": f"%migration_review {path} {line}",
        "text": f"%%migration_review {line}\n{DROP}",
    }[given]
    code, without = expected(state, given)
    done = shell.run_cell(cell, store_history=False)
    if code == 2:
        assert isinstance(done.error_in_exec, SafemigError)
        assert done.error_in_exec.exit_code == 2
        return
    done.raise_error()
    assert str(done.result.verdict) == "DO NOT DEPLOY"
    for form in ("text", "html"):
        assert (NONE in done.result.render(form)) is without
    assert done.result.to_dict()["target"] == (None if without else "production")


def test_a_misspelled_target_in_the_configuration_is_an_error(shop: Shop, told: Any, shell: InteractiveShell) -> None:
    told("read")
    shop.write(PENDING, ADD)
    shell.run_line_magic("config", "SafeMig.target = 'prodd'")
    try:
        for cell in ("%migration_review", f"%%migration_review\n{ADD}"):
            done = shell.run_cell(cell, store_history=False)
            assert isinstance(done.error_in_exec, SettingsError)
            assert 'no environment "prodd"' in str(done.error_in_exec)
    finally:
        shell.run_line_magic("config", "SafeMig.target = 'production'")


def test_applied_files_are_applied_with_and_without_a_target(shop: Shop, told: Any) -> None:
    """A table that an applied file created is never taken as new, however the files are given."""
    told("read")
    drop = shop.write(PENDING, DROP)
    first = shop.migrations / FIRST_FILE
    for made in (
        shop.project.review(),
        shop.project.review(first, drop),
        shop.project.review(no_target=True),
        shop.project.review(first, drop, no_target=True),
    ):
        assert str(made.verdict) == "DO NOT DEPLOY"
    assert shop.project.review(first, drop).evidence.applied == (str(first),)
    assert "applied to production already, not reviewed" in shop.project.review(first, drop).render()
    assert "which files are applied is not known" in shop.project.review(no_target=True).render()


def test_a_named_file_that_was_edited_after_it_was_applied_is_refused(shop: Shop, told: Any) -> None:
    told("read")
    first = shop.write(FIRST_FILE, FIRST + "SELECT 1;")
    with pytest.raises(MigrationError, match="edited since"):
        shop.project.review(first)


def test_pending_files_before_a_named_one_are_known(shop: Shop, told: Any) -> None:
    told("read")
    shop.write("20260201000000_notes.sql", "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    last = shop.write("20260202000000_more.sql", "ALTER TABLE notes ADD COLUMN IF NOT EXISTS a int;")
    made = shop.project.review(last)
    assert (str(made.verdict), [each.name for each in made.files]) == ("SAFE TO DEPLOY", [str(last)])


@pytest.mark.parametrize(
    ("sql", "rules"),
    [
        ("ALTER TABLE nosuch ADD COLUMN IF NOT EXISTS a int", ["missing-table"]),
        ("ALTER TABLE app.users ADD COLUMN IF NOT EXISTS a int", ["missing-table"]),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON nosuch (a)", ["missing-table"]),
        ("INSERT INTO users SELECT * FROM nosuch", ["missing-table"]),
        ("CREATE OR REPLACE VIEW big AS SELECT id FROM big_orders JOIN orders USING (id)", []),
        ("COMMENT ON VIEW big_orders IS 'x'", []),
        ("CREATE TABLE IF NOT EXISTS n (id bigint PRIMARY KEY); COMMENT ON TABLE n IS 'x'", []),
        ("ALTER TABLE orders RENAME TO sales; COMMENT ON TABLE sales IS 'x'", []),
        ("DROP TABLE IF EXISTS nosuch", []),
    ],
)
def test_a_table_that_the_target_lacks_is_a_finding(shop: Shop, told: Any, sql: str, rules: list[str]) -> None:
    told("read")
    shop.write(PENDING, sql)
    found = [each.rule for each in shop.project.review().findings if each.rule == "missing-table"]
    assert found == rules
    shop.project.review(no_target=True)


@pytest.mark.parametrize(
    ("layout", "options", "code"),
    [
        ({FIRST_FILE: FIRST}, (), 0),  # all is applied
        ({"README.md": "x"}, ("--no-target",), 2),
        ({}, ("--no-target",), 2),
        ({"20231201_init/migration.sql": "SELECT 1", "migration_lock.toml": ""}, ("--no-target",), 2),  # Prisma
        ({"deploy/a.sql": "SELECT 1", "sqitch.plan": ""}, ("--no-target",), 2),
        ({"versions/a.py": ""}, ("--no-target",), 2),  # Alembic
    ],
)
def test_where_nothing_is_there_nothing_is_called_safe(
    shop: Shop, told: Any, layout: dict[str, str], options: tuple[str, ...], code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    told("read")
    (shop.migrations / FIRST_FILE).unlink()
    for name, text in layout.items():
        (shop.migrations / name).parent.mkdir(exist_ok=True)
        (shop.migrations / name).write_text(text)
    for form in FORMS:
        found, out, err = command(capsys, *options, "--format", form)
        assert (found, words_of(form, out)[0]) == (code, "NOTHING TO REVIEW"), (out, err)
        if code == 2 and layout and "README.md" not in layout:
            assert "no migration is recognised" in out or form == "json"
    made = Project.open(shop.folder).review(no_target=bool(options))
    if code == 2:
        with pytest.raises(SettingsError, match="NOTHING TO REVIEW"):
            made.require_safe()
    else:
        made.require_safe()


def test_empty_standard_input_is_an_error(
    shop: Shop, told: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told("not set")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    code, out, err = command(capsys, "-")
    assert (code, out) == (2, "")
    assert "standard input is empty" in err


def test_a_file_that_is_not_there_is_a_wrong_call(shop: Shop, told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told("read")
    assert command(capsys, "nosuch.sql")[0] == 2
