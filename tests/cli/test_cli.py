"""The command as people and pipelines meet it: a subprocess, its output, its exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest

from safemig import __version__
from safemig.cli import safemig as group
from safemig.operations.deploy_help import VERBS

Command = Callable[..., Any]


def test_every_verb_is_a_command_in_the_order_of_the_workflow() -> None:
    words = [verb.command.split()[0] for verb in VERBS]
    assert list(group.commands) == list(dict.fromkeys(words))  # a fleet's verbs are one group


@pytest.mark.parametrize("name", group.commands)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = group.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.name == "form", f"--{parameter.name} has no help"


def test_version_is_told_without_loading_anything(safemig: Command) -> None:
    answer = safemig("--version")
    assert (answer.exit_code, answer.out) == (0, f"safemig, version {__version__}\n")
    code = (
        "import sys\nfrom safemig.cli import safemig\n"
        "try: safemig(['--version'])\nexcept SystemExit: pass\n"
        "raise SystemExit(repr([name for name in sys.modules if '.' not in name]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    heavy = {"psycopg", "pglast", "pydantic", "IPython", "papermill", "nbformat", "pandas", "jinja2", "sqlparse"}
    assert not heavy & set(eval(done.stderr.strip().splitlines()[-1]))  # our own list, printed by the line above


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["review", "--nope"], 2, "No such option"),
        (["deploy"], 2, "No such command"),
        (["generate"], 2, "say what was changed"),
        (["--project", "/nowhere/at/all", "status"], 2, "the project's folder does not exist"),
        (["help", "moon"], 2, "topics: commands, workflow, checklist, emergency, npm"),
        (["diff", "--from", "production", "--to", "staging", "--rename", "x"], 2, "expected OLD=NEW"),
        (["review", "--record", "--format", "sarif"], 2, "--record prints text or JSON"),
        (["plan"], 2, "PRODUCTION_DATABASE_URL"),
        (["backup-prod", "--target", "moon"], 2, 'there is no environment "moon"'),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    safemig: Command, arguments: list[str], exit_code: int, message: str
) -> None:
    answer = safemig(*arguments)
    assert answer.exit_code == exit_code
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--target", "URL"],
        ["review", "URL"],
        ["review", "--accept", "URL"],
        ["help", "URL"],
        ["--project", "URL", "status"],
        ["records", "--since", "URL"],
        ["rollback-prod", "URL"],
        ["migrate-prod", "--resume", "URL"],
        ["generate", "x", "--rename", "URL"],
    ],
    ids=" ".join,
)
def test_a_url_typed_where_none_belongs_keeps_its_password(
    safemig: Command, arguments: list[str], tmp_path: Path
) -> None:
    url = "postgresql://app:pw-s3cret@127.0.0.1:1/app"
    answer = safemig(*(url if each == "URL" else each for each in arguments))
    assert answer.exit_code in (1, 2)
    assert "pw-s3cret" not in answer.out + answer.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "pw-s3cret" in path.read_text()]


def test_a_command_builds_no_grammar_that_no_notebook_needs(tmp_path: Path) -> None:
    """jsonschema loads one for IRIs, where it is installed: a second of processor time in each recorded run."""
    code = (
        "import sys\nfrom safemig.cli import main\nsys.argv = ['safemig', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "import nbformat\nassert 'jsonschema' in sys.modules\nassert 'lark' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unreachable_database_is_an_error_that_shows_no_secret(safemig: Command, tmp_path: Path) -> None:
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    url = "postgresql://app:canary-5up3r@127.0.0.1:1/app"
    answer = safemig("plan", PRODUCTION_DATABASE_URL=url)
    assert answer.exit_code == 2
    assert "production cannot be reached" in answer.err
    recorded = safemig("backup-prod", PRODUCTION_DATABASE_URL=url)
    assert recorded.exit_code == 2
    assert "Unreachable: production cannot be reached" in recorded.err
    assert re.search(r"REFUSED · record: records/production/\S+-backup_prod-REFUSED.ipynb", recorded.err)
    left = [path.read_text() for path in (tmp_path / "records").rglob("*") if path.is_file()]
    assert len(left) == 4
    assert "canary-5up3r" not in "".join([*left, *(answer.err, recorded.err, recorded.out)])


def test_help_tells_the_commands_and_the_emergency_road(safemig: Command) -> None:
    answer = safemig("help")
    assert answer.exit_code == 0
    for verb in VERBS:
        assert f"safemig {verb.command}" in answer.out
        assert not verb.npm or verb.npm in answer.out
    emergency = safemig("help", "emergency").out
    assert "psql" in emergency
    assert "WARNING" in emergency
    assert "rollback-prod" in emergency
    assert "safemig generate" not in emergency


@pytest.mark.parametrize(
    ("sql", "exit_code", "verdict"),
    [
        ("CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);", 0, "SAFE TO DEPLOY"),
        ("ALTER TABLE users ADD COLUMN email text NOT NULL;", 1, "NEEDS ATTENTION"),
        ("DROP TABLE users;", 1, "DO NOT DEPLOY"),
    ],
)
def test_review_of_a_file_needs_no_database(
    safemig: Command, tmp_path: Path, sql: str, exit_code: int, verdict: str
) -> None:
    (tmp_path / "20231201120000_change.sql").write_text(sql)
    answer = safemig("review", "20231201120000_change.sql")
    assert answer.exit_code == exit_code, answer.err
    assert answer.out.startswith(f"{verdict} · 20231201120000_change.sql")
    data = json.loads(safemig("review", "20231201120000_change.sql", "--format", "json").out)
    assert data["verdict"] == verdict
    for finding in data["findings"]:
        assert finding.keys() >= {
            "rule",
            "severity",
            "file",
            "line",
            "statement",
            "message",
            "safer",
            "lock",
            "data_loss",
        }
    sarif = json.loads(safemig("review", "20231201120000_change.sql", "--format", "sarif").out)
    assert sarif["version"] == "2.1.0"


def test_an_acceptance_by_option_makes_it_safe(safemig: Command, tmp_path: Path) -> None:
    (tmp_path / "20231201120000_change.sql").write_text("DROP TABLE users;")
    arguments = ["review", "20231201120000_change.sql", "--accept", "drop-table:users: nobody has them since May"]
    assert safemig(*arguments).exit_code == 0
    assert safemig(*arguments[:-1], "drop-table:users").exit_code == 2, "an acceptance needs a reason"


def test_diff_prints_sql_alone(safemig: Command, shop: dict[str, str]) -> None:
    with psycopg.connect(shop["STAGING_DATABASE_URL"]) as connection:
        connection.execute("ALTER TABLE users ADD COLUMN email text; ALTER TABLE users DROP COLUMN name")
    urls = ["--from", shop["PRODUCTION_DATABASE_URL"], "--to", shop["STAGING_DATABASE_URL"]]
    safe, live = safemig("diff", *urls), safemig("diff", *urls, "--allow-destructive")
    assert (safe.exit_code, live.exit_code) == (0, 0)
    with psycopg.connect(shop["PRODUCTION_DATABASE_URL"]) as connection:
        connection.execute(safe.out)  # type: ignore[arg-type]
        columns = connection.execute("SELECT * FROM users LIMIT 0").description
    assert [each.name for each in columns or ()] == ["id", "name", "email"], "the drop is commented out"
    assert re.search(r"(?m)^ALTER TABLE .*DROP COLUMN", live.out)
    by_name = safemig("diff", "--from", "staging", "--to", "staging", **shop)
    assert (by_name.exit_code, by_name.out) == (0, "")


def test_the_whole_road_by_command(safemig: Command, shop: dict[str, str], tmp_path: Path) -> None:
    """From a change on staging to a deployment and back, each with its record."""
    with psycopg.connect(shop["STAGING_DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE user_preferences (user_id bigint PRIMARY KEY REFERENCES users, theme text)")
    generated = safemig("generate", "add user preferences table", **shop)
    assert generated.exit_code == 0, generated.err
    assert generated.out.startswith("GENERATED · 1 change: +1 table")
    staged = safemig("migrate-staging", **shop)
    assert staged.exit_code == 0, staged.err
    assert "add_user_preferences_table.sql" in staged.out
    reviewed = safemig("review", **shop)
    assert reviewed.out.startswith("SAFE TO DEPLOY"), reviewed.out

    # No one is at a terminal: refused at the gate, with all before it done and nothing changed.
    refused = safemig("migrate-prod", **shop)
    assert refused.exit_code == 1, refused.err
    (plan_id,) = set(re.findall(r"safemig migrate-prod --approve (\w+)", refused.err))
    assert safemig("plan", **shop).out.startswith(f"PLAN {plan_id}")

    deployed = safemig("migrate-prod", "--approve", plan_id, **shop)
    assert deployed.exit_code == 0, deployed.err
    assert deployed.out.startswith("DEPLOYED · production")
    assert "VALID · production" in deployed.err
    again = safemig("migrate-prod", **shop)
    assert (again.exit_code, again.out.split(" · ")[0]) == (0, "NOTHING TO DEPLOY"), again.err
    assert json.loads(safemig("status", "--format", "json", **shop).out)["problems"] == []

    archive = safemig("records", "--verify", "--format", "json", **shop)
    assert archive.exit_code == 0
    facts = json.loads(archive.out)
    assert [each["verdict"] for each in facts["records"]] == [
        "NOTHING-TO-DEPLOY",
        "DEPLOYED",
        "REFUSED",
        "DEPLOYED",
        "GENERATED",
    ]
    assert all(each["integrity"] == "intact" for each in facts["records"])
    record = Path(facts["records"][1]["path"])
    record.chmod(0o644)
    record.write_text(record.read_text().replace("user_preferences", "user_properties"))
    edited = safemig("records", "--verify", **shop)
    assert edited.exit_code == 1
    assert f"{record.name} was edited since it was sealed" in edited.out
