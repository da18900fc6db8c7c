"""The step of a GitHub workflow and the hook for pre-commit, run as their programs would run them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = {"good.sql": "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);\n", "bad.sql": "DROP TABLE users;\n"}


@pytest.mark.parametrize(
    ("files", "code", "says"), [("good.sql", 0, "SAFE TO DEPLOY"), ("good.sql bad.sql", 1, "DO NOT DEPLOY")]
)
def test_the_step_reviews_files_without_a_target(files: str, code: int, says: str, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = next(each for each in action["runs"]["steps"] if each["name"] == "Review")
    known = {name: each["default"] for name, each in action["inputs"].items()} | {"files": files}
    env = {
        name: re.sub(r"\$\{\{ inputs\.(.+?) \}\}", lambda match: known[match[1]], value)
        for name, value in step["env"].items()
    }
    script = tmp_path / "step.sh"
    script.write_text(step["run"])
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, **env, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
             "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert f"title=safemig review::{says}" in done.stdout
    assert (tmp_path / "summary").read_text().startswith(f"### safemig: {says}\n")


def test_the_hook_stops_a_commit_for_the_way_up_only(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (tmp_path / "bad.sql").write_text(FILES["bad.sql"])
    program, *words = shlex.split(hook["entry"])
    done = subprocess.run(
        [str(Path(sys.executable).parent / program), *words, "bad.sql"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 1
    chosen = [
        name
        for name in (
            "supabase/migrations/20260101000000_a.sql", "migrations/1_a.up.sql", "migrations/1_a.down.sql", "sql/V1__a.sql",
            "sql/U1__a.sql", "prisma/migrations/1_a/migration.sql", "prisma/migrations/1_a/down.sql", "deploy/a.sql",
            "revert/a.sql", "verify/a.sql", "queries/a.sql",
        )
        if re.search(hook["files"], name) and not re.search(hook["exclude"], name)
    ]  # fmt: skip
    assert chosen == [
        "supabase/migrations/20260101000000_a.sql", "migrations/1_a.up.sql", "sql/V1__a.sql",
        "prisma/migrations/1_a/migration.sql", "deploy/a.sql",
    ]  # fmt: skip
