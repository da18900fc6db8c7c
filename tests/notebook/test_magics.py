"""The magics in a real IPython shell."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import safemig
from safemig.errors import (
    DeploymentFailedError,
    OutcomeUnknownError,
    RefusedError,
    ReviewRefusedError,
    SettingsError,
)
from safemig.notebook.arguments import pairs
from safemig.notebook.magics import SafeMig
from safemig.notebook.progress import LiveProgress
from safemig.notebook.recorded import Recorded, raised_again
from safemig.operations.deploy_help import VERBS
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.records import Progress
from safemig.records.outcome import RecordedError, RecordedResult
from safemig.settings import Settings, load_settings

MAGICS = sorted(verb.magic.split()[0] for verb in VERBS if verb.magic)


@pytest.fixture(scope="module")
def loaded() -> Iterator[InteractiveShell]:
    """A shell with the extension, without history."""
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False, "hist_file": ":memory:"}}))
    shell.run_line_magic("load_ext", "safemig")
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(loaded: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """The shell, in a project's folder, with no database set."""
    monkeypatch.chdir(tmp_path)
    for name in ("STAGING_DATABASE_URL", "PRODUCTION_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "safemig.toml").write_text("")
    migrations = tmp_path / "supabase" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "20231201120000_add_note.sql").write_text("ALTER TABLE users ADD COLUMN note text;\n")
    return loaded


def run(shell: InteractiveShell, cell: str) -> Any:
    """Return what a cell answers, or raise what it raises."""
    done = shell.run_cell(cell, store_history=False)
    done.raise_error()
    return done.result


def completions(shell: InteractiveShell, line: str) -> set[str]:
    """Return what the Tab key would offer at the end of `line`."""
    with provisionalcompleter():
        return {each.text for each in shell.Completer.completions(line, len(line))}


def test_every_verb_has_its_magic(loaded: InteractiveShell) -> None:
    known = loaded.magics_manager.magics["line"]
    assert [name for name in MAGICS if name not in known] == []
    assert "migration_review" in loaded.magics_manager.magics["cell"]


@pytest.mark.parametrize("name", MAGICS)
def test_help_shows_usage_and_a_real_example(name: str) -> None:
    text = getattr(SafeMig, name).__doc__
    assert f"%{name}" in text.split("\n\n")[1], "the usage comes first"
    assert "Example:" in text
    assert text.count(f"%{name}") >= 2
    assert "--out NAME" in text


def test_a_cell_of_sql_is_reviewed_and_kept(shell: InteractiveShell) -> None:
    answer = run(shell, "%%migration_review --out found\nALTER TABLE users ADD COLUMN a text;\nDROP TABLE users;")
    assert str(answer.verdict) == "DO NOT DEPLOY"
    assert shell.user_ns["found"] is answer
    assert [each.line for each in answer.findings if each.rule == "drop-table"] == [2]


def test_fix_shows_the_cell_and_its_safer_form_side_by_side(shell: InteractiveShell) -> None:
    answer = run(shell, "%%migration_review --fix --no-prove\nALTER TABLE users\n  -- first\n  ADD COLUMN a int;")
    words = re.sub(r"<[^>]*>", " ", answer._repr_mimebundle_()["text/html"])
    assert "<cell> and its safer form" in unescape(words)
    assert "ADD COLUMN IF NOT EXISTS a int;" in words
    assert "-- first" in answer.fixed_sql


def test_dollars_and_braces_in_sql_are_sql(shell: InteractiveShell) -> None:
    answer = run(shell, "%%migration_review\nDO $x$ BEGIN PERFORM '{1,2}'::int[]; END $x$;\nSELECT '{users}';")
    assert answer.files[0].statements[1].sql.rstrip(";") == "SELECT '{users}'"


def test_an_acceptance_may_be_given_by_option(shell: InteractiveShell) -> None:
    cell = '%%migration_review --accept "drop-table:users: nobody has them"\nDROP TABLE users;'
    (finding,) = [each for each in run(shell, cell).findings if each.rule == "drop-table"]
    assert finding.accepted == "nobody has them"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%migration_review --nope", "unrecognized arguments: --nope"),
        ("%schema_diff staging", "the following arguments are required: TO"),
        ('%migration_generate "add', "No closing quotation"),
        ("%migrate_prod --approve $plan_id", "$plan_id is not filled in"),
        ("%migrate_prod --approve={plan_id}", "{plan_id} is not filled in"),
        ("%db_status --out 2nd", "--out 2nd is not a Python name"),
        ("%deploy_help moon", "there is no help on 'moon'"),
        ("%migration_generate x --rename mail", "--rename mail is not OLD=NEW"),
        ("%rehearse", "PRODUCTION_DATABASE_URL"),
    ],
)
def test_what_is_wrong_is_raised_in_a_few_lines(
    shell: InteractiveShell, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = shell.run_cell(line, store_history=False)
    assert isinstance(done.error_in_exec, SettingsError)
    assert message in str(done.error_in_exec)
    shown = capsys.readouterr()
    assert len((shown.out + shown.err).strip().splitlines()) <= 3


def test_a_defined_variable_is_filled_in(shell: InteractiveShell) -> None:
    shell.user_ns["topic"] = "workflow"
    assert run(shell, "%deploy_help $topic").topic == "workflow"
    assert run(shell, "%deploy_help {topic}").topic == "workflow"


def test_results_are_returned_to_be_used(shell: InteractiveShell) -> None:
    answer = run(shell, "%deployments --out archive")
    assert answer.records == ()
    assert shell.user_ns["archive"] is answer


def test_config_has_every_setting_from_its_own_definition(loaded: InteractiveShell) -> None:
    SafeMig.class_traits(config=True)
    traits = SafeMig.class_traits(setting=True)
    assert set(traits) == set(Settings.model_fields) - {"folder", "environments", "fleets", "scratch"}
    for name, trait in traits.items():
        field = Settings.model_fields[name]
        assert trait.default_value is None
        assert trait.help == field.description
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert trait.validate(None, str(default) if isinstance(default, Path) else default) is not None
    with capture_output() as captured:
        run(loaded, "%config SafeMig")
    for name in ("project", "target", *traits):
        assert f"SafeMig.{name}=" in captured.stdout
    assert traits["required_approvals"].min == 1
    assert traits["required_approvals"].max == 10


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("keep_backups = 3", 3),
        ("keep_backups = -1", None),
        ("authors_may_approve = False", False),
        ("schemas = ['public', 'sales']", ["public", "sales"]),
        ("compression = 'zip'", None),
        ("records = 'elsewhere'", "elsewhere"),
    ],
)
def test_config_takes_what_is_allowed_and_hands_it_to_the_run_s_kernel(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, given: str, kept: Any
) -> None:
    name = given.split()[0]
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(
        "safemig.notebook.recorded.run_recorded",
        lambda verb, settings, parameters, variables: seen.append(variables),
    )
    try:
        run(shell, f"%config SafeMig.{given}")
        run(shell, "%backup_prod")
        assert run(shell, f"%config SafeMig.{name}") == kept
        for variable, value in seen[0].items():
            monkeypatch.setenv(variable, value)
        found = getattr(load_settings("."), name)
        if kept is None:
            assert found == Settings.model_fields[name].default
        else:
            assert (list(found) if isinstance(found, tuple) else type(kept)(found)) == kept
    finally:
        run(shell, f"%config SafeMig.{name} = None")


def test_a_profile_may_set_them(tmp_path: Path) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\nfrom traitlets.config import Config\n"
        "shell = InteractiveShell.instance(config=Config({'SafeMig': {'rehearsal': 'schema', 'target': 'blue'}}))\n"
        "shell.run_line_magic('load_ext', 'safemig')\n"
        "print(shell.run_line_magic('config', 'SafeMig.rehearsal'), shell.run_line_magic('config', 'SafeMig.target'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["schema", "blue"]
    assert "not recognized" not in done.stderr


def test_config_goes_before_variable_and_file_also_in_a_recorded_run(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFEMIG_LOCK_ATTEMPTS", "7")
    (tmp_path / "safemig.toml").write_text('lock_attempts = 5\nrehearsal = "data"\n')
    seen: dict[str, Any] = {}
    monkeypatch.setattr(
        "safemig.notebook.recorded.run_recorded",
        lambda verb, settings, parameters, variables: seen.update(settings=settings, variables=variables),
    )
    run(shell, "%config SafeMig.rehearsal = 'schema'")
    try:
        run(shell, "%backup_prod")
        assert (seen["settings"].rehearsal, seen["settings"].lock_attempts) == ("schema", 7)
        assert seen["variables"] == {"SAFEMIG_REHEARSAL": "schema"}
        run(shell, "%config SafeMig.lock_attempts = 3")
        run(shell, "%backup_prod")
        assert seen["settings"].lock_attempts == 3
        assert seen["variables"]["SAFEMIG_LOCK_ATTEMPTS"] == "3"
        run(shell, "%config SafeMig.rehearsal = 'nothing'")  # IPython logs what is allowed, and keeps the value
        run(shell, "%backup_prod")
        assert seen["settings"].rehearsal == "schema"
        with capture_output() as captured:
            run(shell, "%config SafeMig")
        for name in ("project", "target", "rehearsal", "lock_timeout_ms"):
            assert f"SafeMig.{name}" in captured.stdout
    finally:
        run(shell, "%config SafeMig.rehearsal = None")
        run(shell, "%config SafeMig.lock_attempts = None")


def test_config_shows_each_value_in_force_and_where_it_comes_from(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFEMIG_LOCK_TIMEOUT_MS", "700")
    (tmp_path / "safemig.toml").write_text('lock_attempts = 5\nschemas = ["app"]\n')

    def in_force() -> dict[str, str]:
        with capture_output() as captured:
            run(shell, "%config SafeMig")
        shown = [each.partition("=") for each in captured.stdout.split("SafeMig.")]
        return {name: text.partition("In force: ")[2].strip() for name, _, text in shown}

    run(shell, "%config SafeMig.keep_backups = 3")
    try:
        shown = in_force()
    finally:
        run(shell, "%config SafeMig.keep_backups = None")
    assert shown["keep_backups"] == "3 (%config)"
    assert shown["lock_timeout_ms"] == "700 (SAFEMIG_LOCK_TIMEOUT_MS)"
    assert (shown["lock_attempts"], shown["schemas"]) == ("5 (safemig.toml)", '["app"] (safemig.toml)')
    assert shown["deploy_as"] == "empty (default)"
    (tmp_path / "safemig.toml").write_text("lock_attempts = 0\n")
    assert in_force()["deploy_as"].startswith("unknown: lock_attempts")


@pytest.mark.parametrize(
    "cell",
    [
        "%migration_review\nALTER TABLE users DROP COLUMN email;",
        "%migration_review --out review\n\n-- what we drop\nDROP TABLE users;",
        "  %migration_review\ninsert into t values (1);",
    ],
)
def test_sql_below_a_line_magic_is_refused_in_one_line(shell: InteractiveShell, cell: str) -> None:
    done = shell.run_cell(cell)
    assert isinstance(done.error_before_exec, SettingsError)
    assert str(done.error_before_exec.next).startswith("write %%migration_review")


@pytest.mark.parametrize(
    "cell",
    [
        "%migration_review\nx = 1",
        "%migration_review",
        "%%migration_review\nALTER TABLE users DROP COLUMN email;",
        'text = """\n%migration_review\nDROP TABLE users;"""',
        "%migration_review\nupdate = set",
    ],
)
def test_any_other_cell_is_left_as_it_is(loaded: InteractiveShell, cell: str) -> None:
    assert loaded.transform_cell(cell)


def test_config_sets_the_project_for_all_magics(shell: InteractiveShell, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "supabase" / "migrations").mkdir(parents=True)
    (other / "safemig.toml").write_text("")
    shell.run_line_magic("config", f"SafeMig.project = '{other}'")
    try:
        assert run(shell, "%deployments").folder == other / "records"
    finally:
        shell.run_line_magic("config", "SafeMig.project = '.'")


def test_loading_twice_changes_nothing(loaded: InteractiveShell) -> None:
    before = len(loaded.configurables), len(loaded.Completer.custom_matchers)
    safemig.load_ipython_extension(loaded)
    assert (len(loaded.configurables), len(loaded.Completer.custom_matchers)) == before


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("%migrate_prod --a", {"--accept", "--approve"}),
        (
            "%migrate_prod --",
            {"--accept", "--approve", "--out", "--plan", "--resume", "--run", "--run-down", "--target"},
        ),
        ("%migrate_prod --target ", {"production", "staging"}),
        ("%schema_diff sta", {"staging"}),
        ("%schema_diff staging pro", {"production"}),
        ("%migration_review ", {"supabase/migrations/20231201120000_add_note.sql"}),
        ("%rollback_prod ", {"backups/production/rollback_20261122200904.sql"}),
        ("%restore_prod ", {"20261122200904"}),
        ("%deploy_help em", {"emergency"}),
    ],
)
def test_completion_knows_what_a_magic_takes(
    shell: InteractiveShell, tmp_path: Path, line: str, found: set[str]
) -> None:
    backups = tmp_path / "backups" / "production"
    backups.mkdir(parents=True)
    (backups / "rollback_20261122200904.sql").touch()
    (backups / "manifest_20261122200904.json").touch()
    assert completions(shell, line) == found


def test_where_there_is_nothing_to_choose_options_are_offered(shell: InteractiveShell) -> None:
    options = {"--approve", "--drop", "--out", "--swap", "--target"}
    options |= {"--tables", "--put-back", "--update", "--where", "--fire-triggers"}
    assert completions(shell, "%restore_prod ") == completions(shell, "%restore_prod --swap ") == options
    assert "--out" not in completions(shell, "%restore_prod --approve "), "a value is wanted there"
    assert completions(shell, "%db_status ") == {"--out"}


def test_completion_of_drop_names_what_restores_left(
    shell: InteractiveShell, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["tab", "tab_before_20261122201500", "tab_restored_20261122200904", "tab_of_somebody"]
    assert not completions(shell, "%restore_prod --drop ") & set(names), "no database is set"
    urls = [server.create_database(name) for name in names]
    with psycopg.connect(urls[0], autocommit=True) as connection:
        connection.execute("COMMENT ON DATABASE tab_before_20261122201500 IS 'safemig: replaced by backup x'")
        connection.execute("COMMENT ON DATABASE tab_restored_20261122200904 IS 'safemig: restored from backup x'")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", urls[0])
    monkeypatch.setenv("STAGING_DATABASE_URL", urls[1])
    assert completions(shell, "%restore_prod --drop tab") == set(names[1:3])
    assert completions(shell, "%restore_prod --drop tab_b") == {names[1]}
    assert completions(shell, "%restore_prod --target staging --drop tab") == {names[2]}, "never the database itself"
    for name in names:
        server.drop_database(name)
    assert not completions(shell, "%restore_prod --drop tab") & set(names), "the server has no such database"


def test_completion_leaves_other_lines_alone(shell: InteractiveShell) -> None:
    assert "print" in completions(shell, "x = pri")
    assert "%matplotlib" in completions(shell, "%matpl")
    with capture_output() as captured:  # IPython prints what a matcher raises
        assert "SafeMig.lock_timeout_ms" in completions(shell, "%config SafeMig.lock_t")
        completions(shell, "%parent x")
    assert captured.stdout + captured.stderr == ""


def test_an_act_leaves_its_record_also_when_refused(
    shell: InteractiveShell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = shell.run_cell("%backup_prod", store_history=False)
    assert isinstance(done.error_in_exec, SettingsError)
    assert "PRODUCTION_DATABASE_URL" in str(done.error_in_exec)
    (record,) = (tmp_path / "records" / "production").glob("*.ipynb")
    assert record.stem.endswith("-backup_prod-REFUSED")
    assert record.name in capsys.readouterr().out, "the record is named above the error"


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        (RecordedResult("deployment", "", "", {"steps": [{"number": 1, "kind": "ALTER TABLE"}]}), [[1, "ALTER TABLE"]]),
        (RecordedResult("approval", "", "", {"by": "dana"}), [["dana"]]),
        (None, []),
    ],
)
def test_a_recorded_answer_is_a_table_too(answer: RecordedResult | None, rows: list[list[object]]) -> None:
    run = SimpleNamespace(answer=answer)
    assert Recorded(run).to_frame().values.tolist() == rows  # type: ignore[arg-type]  # all that it reads of a run


RESULT = RecordedResult("plan", "PLAN 3f2a9c1 · <b>\nmore", "<p>html</p>", {})


def test_progress_is_one_line_a_step_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LiveProgress("migrate_prod", live=False)
    for event in (Progress("plan"), Progress(result=RESULT), Progress("backup")):
        progress(event)
    progress.close()
    assert capsys.readouterr().out == "migrate_prod · plan: PLAN 3f2a9c1 · <b>\n"


def test_progress_is_one_table_that_goes_away_where_somebody_looks(loaded: InteractiveShell) -> None:
    progress = LiveProgress("migrate_prod", live=True)
    with capture_output() as captured:
        progress.begin()
        for event in (Progress("plan"), Progress(result=RESULT), Progress("backup")):
            progress(event)
        progress.close()
    pages = [each.data["text/html"] for each in captured.outputs]
    assert len({each.transient["display_id"] for each in captured.outputs if each.transient}) <= 1
    assert ">start<" in pages[0], "at once, before the kernel of the record runs"
    assert "PLAN 3f2a9c1 · &lt;b&gt;" in pages[2]
    assert "<strong>running</strong>" in pages[3]
    assert pages[-1] == "", "the view that follows takes its place"


def test_renames_are_pairs() -> None:
    assert pairs(["public.users.mail=email", "a=b"]) == {"public.users.mail": "email", "a": "b"}
    assert pairs(None) == {}


@pytest.mark.parametrize(
    ("name", "exit_code", "raised"),
    [
        ("DeploymentFailedError", 3, DeploymentFailedError),
        ("ReviewRefusedError", 1, ReviewRefusedError),
        ("ZeroDivisionError", 1, RefusedError),
        ("ZeroDivisionError", 5, OutcomeUnknownError),
    ],
)
def test_the_error_of_a_recorded_run_is_raised_again_as_it_was(name: str, exit_code: int, raised: type) -> None:
    lines = (f"{name.removesuffix('Error')}: it broke", "where: orders", "next: try again")
    error = raised_again(RecordedError(name, exit_code, lines))
    assert type(error) is raised
    assert (error.where, error.next, error.exit_code) == ("orders", "try again", exit_code)
    assert error.what.endswith("it broke")


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nbefore = set(sys.modules)\n"
        "shell.run_line_magic('load_ext', 'safemig')\n"
        "new = {name for name in set(sys.modules) - before if not name.startswith('safemig')}\n"
        "raise SystemExit(repr(sorted(new)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    new = set(eval(done.stderr.strip().splitlines()[-1]))  # our own list, printed by the line above
    assert not {name.split(".")[0] for name in new} & {
        "pandas", "numpy", "psycopg", "pglast", "papermill", "nbconvert", "nbformat", "nbclient", "ipywidgets", "pydantic",
        "jinja2", "sqlparse", "click",
    }  # fmt: skip
    assert len(new) <= 12, new


def test_the_first_magic_of_a_session_shows_at_once_that_it_was_taken(
    loaded: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safemig.notebook import onlooker

    monkeypatch.setattr("safemig.approval.approve.person_is_present", lambda: True)
    monkeypatch.delitem(sys.modules, "safemig.project")
    with capture_output() as captured:
        loaded.run_line_magic("deploy_help", "npm")
        onlooker.end()  # as after each cell
    first, last = (each.data["text/html"] for each in captured.outputs)
    assert "loading safemig" in first
    assert last == ""
    assert onlooker._begun == []
