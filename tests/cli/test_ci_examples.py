"""The ready-made pipelines: their own lines are run, job after job, as the service would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from safemig.demo.scene import exported
from safemig.demo.shop import Shop, Sizes
from safemig.project import Project
from safemig.records import read_archive
from safemig.records.papermill_io import runbooks_folder

FOLDER = runbooks_folder() / "ci"
DANGER = "ALTER TABLE public.users DROP COLUMN email;\n"
MIGRATION = "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS nickname text;\n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with a pending migration."""
    with Shop.start(tmp_path / "shop", production=Sizes(users=40, products=20, orders=40)) as started:
        with exported(started.variables):
            folder = Project.open(started.folder).settings.path("migrations")
            (folder / "20270101000000_add_nickname.sql").write_text(MIGRATION)
        yield started


INSTALLS = 'pip install "$SAFEMIG"'


def run_script(shop: Shop, script: str, variables: Mapping[str, str], *, code: int = 0) -> str:
    """Run a step's script as a runner does, from a file, in a checkout, without what is not the job's; it must end with `code`.

    What installs safemig is left out: it is installed here.
    """
    if script.strip() == INSTALLS:
        return ""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_DATABASE_URL")}
    path = f"{shop.folder}/stubs:{Path(sys.executable).parent}:{os.environ['PATH']}"
    file = shop.folder / "step.sh"
    file.write_text(script)
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
        cwd=shop.folder, env=environment | variables | {"PATH": path}, capture_output=True, text=True, check=False,
        timeout=180,
    )  # fmt: skip
    assert done.returncode == code, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Workflow:
    """The GitHub workflow: its jobs run step after step, with what each hands on."""

    def __init__(self, shop: Shop, folder: Path, **known: str) -> None:
        self.shop = shop
        self.folder = folder
        self.known = known
        self.content: dict[str, Any] = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
        self.summary = folder / "summary"

    def run(self, job: str, *, stops_at: str = "", code: int = 0) -> str:
        """Run a job's steps, and return what they wrote; the step `stops_at` must end with `code`."""
        work, written = self.content["jobs"][job], ""
        output = self.folder / f"{job}.output"
        output.touch()
        variables = {key: self.filled(value) for key, value in work["env"].items()}
        variables |= {"GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_OUTPUT": str(output)}
        if "SAFEMIG_BACKUPS" in variables:
            variables["SAFEMIG_BACKUPS"] = str(self.folder / "backups")
        stopped = False
        for step in work["steps"]:
            if "run" not in step or (stopped and "always()" not in step.get("if", "")):
                continue
            is_last = step.get("name") == stops_at
            written += run_script(self.shop, self.filled(step["run"]), variables, code=code if is_last else 0)
            stopped |= is_last
        assert stopped == bool(stops_at)
        for name, value in re.findall(r"^(\w+)=(.*)$", output.read_text(), re.M):
            self.known[f"needs.{job}.outputs.{name}"] = value
        return written

    def filled(self, text: str) -> str:
        """Return a text with the service's expressions put in."""
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: self.known[match[1]], text)


@pytest.fixture
def workflow(shop: Shop, tmp_path: Path) -> Workflow:
    """The workflow, with the secrets of the shop; `gh` only writes down what it is asked for."""
    stub = shop.folder / "stubs" / "gh"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\necho "$@" >> comments\n')
    stub.chmod(0o755)
    return Workflow(
        shop, tmp_path,
        **{"secrets.PRODUCTION_READ_URL": shop.production, "secrets.PRODUCTION_URL": shop.production,
           "github.actor": "octocat", "github.token": "t", "github.event.pull_request.number": "7"},
    )  # fmt: skip


def assert_deployed(shop: Shop, backups: Path, by: str) -> None:
    """Assert that the deployment was made, with its backup where the job says and a record of who."""
    archive = read_archive(shop.folder / "records", verify=True)
    assert archive.problems == ()
    assert [(each.act, each.verdict) for each in archive.records] == [
        ("migrate_prod", "DEPLOYED"),
        ("rehearse", "REHEARSED"),
    ]
    assert archive.records[0].by == by
    assert list(backups.rglob("backup_full_*.sql"))


def test_github_actions(shop: Shop, workflow: Workflow) -> None:
    jobs = workflow.content["jobs"]
    assert workflow.content["defaults"]["run"]["shell"] == "bash"  # so a pipe fails where its first command does
    assert jobs["deploy"]["concurrency"]["cancel-in-progress"] is False
    assert jobs["deploy"]["environment"] == "production"
    assert [step["run"] for job in jobs.values() for step in job["steps"] if "install" in step.get("run", "")] == [
        INSTALLS
    ] * 3
    workflow.run("plan")
    assert "PLAN " in workflow.summary.read_text()
    assert workflow.known["needs.plan.outputs.id"]
    workflow.run("deploy")
    assert_deployed(shop, workflow.folder / "backups", "octocat")


def test_a_plan_that_is_refused_ends_the_job_without_an_id(shop: Shop, workflow: Workflow) -> None:
    plan = next(step["run"] for step in workflow.content["jobs"]["plan"]["steps"] if step.get("id") == "plan")
    folder = Project.open(shop.folder).settings.path("migrations")
    first = min(folder.glob("*.sql"))
    first.write_text(f"{first.read_text()}\nSELECT 1;\n")
    output = workflow.folder / "output"
    variables = {
        "PRODUCTION_DATABASE_URL": shop.production,
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(output),
    }
    run_script(shop, plan, variables, code=1)
    assert not output.exists()


@pytest.mark.parametrize(
    ("sql", "code", "verdict"),
    [pytest.param(MIGRATION, 0, "SAFE TO DEPLOY", marks=pytest.mark.thorough), (DANGER, 1, "DO NOT DEPLOY")],
)
def test_a_pull_request_gets_its_review(sql: str, code: int, verdict: str, shop: Shop, workflow: Workflow) -> None:
    folder = Project.open(shop.folder).settings.path("migrations")
    (folder / "20270101000000_add_nickname.sql").write_text(sql)
    annotations = workflow.run("review", stops_at="Review", code=code)
    assert f"title=safemig review::{verdict} on production" in annotations
    comment = (shop.folder / "review.md").read_text()
    assert comment.startswith(f"### safemig: {verdict}\n")
    assert comment in workflow.summary.read_text()
    assert ("| 🔴 | `drop-column` |" in comment) == bool(code)
    assert (shop.folder / "comments").read_text().startswith("pr comment 7 --body-file review.md")
    suite = ElementTree.parse(shop.folder / "review.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", str(code))
    assert '"ruleId": "drop-column"' in (shop.folder / "review.sarif").read_text() or not code


@pytest.mark.thorough
def test_a_fork_without_secrets_is_reviewed_without_production(workflow: Workflow) -> None:
    workflow.known["secrets.PRODUCTION_READ_URL"] = ""
    assert "no target was read" in workflow.run("review", stops_at="Review", code=1)


def test_gitlab_ci(shop: Shop, tmp_path: Path) -> None:
    pipeline = yaml.safe_load((FOLDER / "gitlab-ci.yml").read_text())
    assert pipeline["deploy"]["rules"][0]["when"] == "manual"
    assert pipeline["deploy"]["interruptible"] is False
    assert pipeline["default"]["before_script"] == [INSTALLS]
    known = {"PRODUCTION_READ_URL": shop.production, "PRODUCTION_URL": shop.production, "GITLAB_USER_LOGIN": "tanuki"}
    for stage in pipeline["stages"]:
        job = pipeline[stage]
        variables = dict(known)
        for name, value in job["variables"].items():
            variables[name] = Template(value).substitute(known)
        if "SAFEMIG_BACKUPS" in variables:
            variables["SAFEMIG_BACKUPS"] = str(tmp_path / "backups")
        run_script(shop, "\n".join(job["script"]), variables)  # GitLab's runner, too, makes one script of a job
        run_script(shop, "\n".join(job.get("after_script", [])), variables)
        dotenv = shop.folder / job["artifacts"].get("reports", {}).get("dotenv", "none")
        known |= dict(line.split("=", 1) for line in dotenv.read_text().splitlines()) if dotenv.exists() else {}
    assert known["PLAN_ID"]
    assert_deployed(shop, tmp_path / "backups", "tanuki")
