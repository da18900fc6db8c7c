"""doctor: what it says of a database holds there: verbs, gaps, and the commands that close them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from safemig.cli import safemig as command
from safemig.results import Diagnosis
from tests.platforms.boxes import BOXES, Platform

MakePlatform = Callable[..., Platform]
NAMED = {"supabase": "Supabase", "rds": "Amazon RDS", "neon": "Neon", "heroku": "Heroku Postgres"}
A_TABLE_OF_ANOTHER = """
DROP ROLE IF EXISTS stranger; CREATE ROLE stranger; CREATE SCHEMA strange AUTHORIZATION stranger;
CREATE TABLE strange.things (id int); ALTER TABLE strange.things OWNER TO stranger;
GRANT USAGE, CREATE ON SCHEMA strange TO dba;
"""


def outlooks(result: Diagnosis) -> dict[str, str]:
    return {each.verb: each.outlook for each in result.verbs}


def gap(result: Diagnosis, words: str) -> tuple[str, ...]:
    (found,) = [each for each in result.gaps if words in each.why]
    return found.fixes


@pytest.mark.parametrize(("name", "major"), BOXES)
def test_who_we_are_and_on_which_platform(platform: MakePlatform, tmp_path: Path, name: str, major: int) -> None:
    box = platform(name, major)
    result = box.project(tmp_path).doctor()
    assert result.role == box.deployer
    assert (NAMED.get(name) or "unknown platform") in result.platform
    assert ("SUPERUSER" in result.attributes) == (box.deployer == box.superuser)
    assert {"review", "schema_diff", "backup_prod"} <= {
        verb for verb, word in outlooks(result).items() if word == "works"
    }
    assert outlooks(result)["sync_prod"] in ("refuses", "will not work", "limited")
    text = result.render("text")
    for verb in outlooks(result):
        assert verb in text


@pytest.mark.parametrize(
    ("name", "words"), [("supabase", "Supabase serves no second database"), ("heroku", "Heroku Postgres serves no second")]
)  # fmt: skip
def test_where_no_second_database_is_served_single_tables_are_the_way(
    platform: MakePlatform, tmp_path: Path, name: str, words: str
) -> None:
    result = platform(name).project(tmp_path).doctor()
    (restore,) = [each for each in result.verbs if each.verb == "restore_prod"]
    assert restore.outlook == "limited"
    assert words in restore.why
    assert "restore-prod --tables" in restore.why


def test_the_printed_grants_close_the_gaps(platform: MakePlatform, tmp_path: Path) -> None:
    box = platform("rds")
    box.run(box.production_admin, A_TABLE_OF_ANOTHER)
    project = box.project(tmp_path)
    before = project.doctor()
    assert outlooks(before)["backup_prod"] == "will not work"
    assert before.exit_code == 1
    grants = (*gap(before, "may not read strange.things"), *gap(before, "belongs to stranger"))
    assert grants == ("GRANT SELECT ON strange.things TO dba;", "GRANT stranger TO dba;")
    box.run(box.production_admin, " ".join(grants))
    after = project.doctor()
    assert outlooks(after)["backup_prod"] == "works"
    assert not [each for each in after.gaps if "stran" in each.why]
    assert "strange.things" in {each.name for each in project.backup_prod().tables}
    box.run(box.production_admin, "DROP SCHEMA strange CASCADE; DROP ROLE stranger")


def test_a_deploy_as_that_may_not_be_taken_is_a_gap_with_its_grant(platform: MakePlatform, tmp_path: Path) -> None:
    box = platform("rds")
    project = box.project(tmp_path)
    for role, fix in (("nobody_at_all", "CREATE ROLE nobody_at_all;"), ("rdsadmin", "GRANT rdsadmin TO CURRENT_USER;")):
        (tmp_path / "safemig.toml").write_text(
            f'deploy_as = "{role}"\n' + (tmp_path / "safemig.toml").read_text().replace("deploy_as", "# x")
        )
        result = type(project).open(tmp_path).doctor()
        assert outlooks(result)["migrate_prod"] == "will not work"
        assert gap(result, f"deploy_as = {role}") == (fix,)
        (tmp_path / "safemig.toml").write_text((tmp_path / "safemig.toml").read_text().partition("\n")[2])


def test_the_command_tells_by_its_exit_code(platform: MakePlatform, tmp_path: Path) -> None:
    box = platform("boss")
    for url in (box.production_admin, box.staging_admin):
        box.run(url, 'DROP EXTENSION IF EXISTS "uuid-ossp" CASCADE')
    box.project(tmp_path)
    run = CliRunner().invoke
    done = run(command, ["--project", str(tmp_path), "doctor", "--format", "json"])
    said = json.loads(done.output)
    assert (done.exit_code, said["kind"], said["role"]) == (0, "doctor", "boss")
    assert {each["outlook"] for each in said["verbs"] if each["verb"] != "workload"} <= {"works", "refuses"}
    by_url = run(command, ["--project", str(tmp_path), "doctor", box.staging])
    assert by_url.exit_code == 0
    assert "ALL VERBS WORK" in by_url.output
    gone = run(command, ["--project", str(tmp_path), "doctor", "postgresql://nobody@127.0.0.1:9/none"])
    assert gone.exit_code == 5
    assert gone.output.startswith("UNREACHABLE")


def test_the_database_is_only_read(platform: MakePlatform, tmp_path: Path) -> None:
    box = platform("rds")
    written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), (SELECT count(*) FROM pg_class) FROM pg_stat_all_tables"
    before = box.run(box.production_admin, written)
    box.project(tmp_path).doctor()
    assert box.run(box.production_admin, written) == before


@pytest.mark.parametrize(
    ("name", "major"),
    [
        each if each in (("supabase", 17), ("boss", 17)) else pytest.param(*each, marks=pytest.mark.thorough)
        for each in BOXES
    ],
)
def test_what_copies_begin_with_and_which_rows_could_be_compared_is_said(
    platform: MakePlatform, tmp_path: Path, name: str, major: int
) -> None:
    box = platform(name, major)
    project = box.project(tmp_path)
    has_platform = name in NAMED
    said = "\n".join(project.doctor().notes)
    assert ("no supabase/base.sql: copies begin with what the platform has now" in said) == has_platform
    assert ("to compare them: configuration_rows" in said) == (name == "supabase")
    settings = tmp_path / "safemig.toml"
    settings.write_text(f'configuration_rows = ["storage.buckets", "cron.job"]\n{settings.read_text()}')
    project = type(project).open(tmp_path)
    project.base()
    said = "\n".join(project.doctor("staging").notes)
    assert "base.sql" not in said
    assert "configuration_rows" not in said
    if name == "supabase":
        box.run(box.staging_admin, "CREATE TABLE auth.oauth_clients (id uuid PRIMARY KEY)")
        assert "the platform changed since supabase/base.sql was written" in "\n".join(project.doctor("staging").notes)


def test_copies_on_a_scratch_server_are_not_judged_by_this_machine(platform: MakePlatform, tmp_path: Path) -> None:
    project = platform("supabase").project(tmp_path)
    assert project.doctor().not_rehearsed
    settings = tmp_path / "safemig.toml"
    settings.write_text(f"{settings.read_text()}\n[scratch]\ncommand = 'true'\n")
    found = type(project).open(tmp_path).doctor()
    assert found.not_rehearsed == ()
    assert any(each.startswith("copies are made on the server that [scratch] names") for each in found.notes)
