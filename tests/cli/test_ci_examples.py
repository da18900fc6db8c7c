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

import pytest
import yaml

from safemig.demo.shop import Shop, Sizes, exported
from safemig.project import Project
from safemig.records import read_archive
from safemig.records.papermill_io import runbooks_folder

FOLDER = runbooks_folder() / "ci"
MIGRATION = "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS nickname text;\n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with a pending migration."""
    with Shop.start(tmp_path / "shop", production=Sizes(users=40, products=20, orders=40)) as started:
        with exported(started.variables):
            folder = Project.open(started.folder).settings.path("migrations")
            (folder / "20270101000000_add_nickname.sql").write_text(MIGRATION)
        yield started


def run_script(shop: Shop, script: str, variables: Mapping[str, str]) -> str:
    """Run a job's script as the services do, in a checkout, without what is not the job's."""
    if script.startswith("pip install"):
        return ""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_DATABASE_URL")}
    environment |= variables | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", script],
        cwd=shop.folder, env=environment, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


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


def test_github_actions(shop: Shop, tmp_path: Path) -> None:
    workflow = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
    jobs: dict[str, Any] = workflow["jobs"]
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert jobs["deploy"]["environment"] == "production"
    known = {
        "secrets.PRODUCTION_READ_URL": shop.production,
        "secrets.PRODUCTION_URL": shop.production,
        "github.actor": "octocat",
    }

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: known[match[1]], text)

    summary = tmp_path / "summary"
    for name, job in jobs.items():
        variables = {key: filled(value) for key, value in job["env"].items()}
        variables |= {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(tmp_path / name)}
        if "SAFEMIG_BACKUPS" in variables:
            variables["SAFEMIG_BACKUPS"] = str(tmp_path / "backups")
        for step in job["steps"]:
            run_script(shop, filled(step["run"]), variables) if "run" in step else None
        for output, value in re.findall(
            r"^(\w+)=(.*)$", (tmp_path / name).read_text() if (tmp_path / name).exists() else "", re.M
        ):
            known[f"needs.{name}.outputs.{output}"] = value
    assert summary.read_text().startswith("PLAN ")
    assert_deployed(shop, tmp_path / "backups", "octocat")


def test_gitlab_ci(shop: Shop, tmp_path: Path) -> None:
    pipeline = yaml.safe_load((FOLDER / "gitlab-ci.yml").read_text())
    assert pipeline["deploy"]["rules"][0]["when"] == "manual"
    assert pipeline["deploy"]["interruptible"] is False
    known = {"PRODUCTION_READ_URL": shop.production, "PRODUCTION_URL": shop.production, "GITLAB_USER_LOGIN": "tanuki"}
    for stage in pipeline["stages"]:
        job = pipeline[stage]
        variables = dict(known)
        for name, value in job["variables"].items():
            variables[name] = Template(value).substitute(known)
        if "SAFEMIG_BACKUPS" in variables:
            variables["SAFEMIG_BACKUPS"] = str(tmp_path / "backups")
        for line in [*job["script"], *job.get("after_script", [])]:
            run_script(shop, line, variables)
        dotenv = shop.folder / job["artifacts"].get("reports", {}).get("dotenv", "none")
        known |= dict(line.split("=", 1) for line in dotenv.read_text().splitlines()) if dotenv.exists() else {}
    assert known["PLAN_ID"]
    assert_deployed(shop, tmp_path / "backups", "tanuki")
