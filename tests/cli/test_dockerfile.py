"""The image's steps, each run by a real shell with stand-ins for the programs that would change this machine."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# A backslash at the end goes on; a comment is no step.
STEPS = [match[1].replace("\\\n", " ") for match in re.finditer(r"^RUN ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)]
ARGUMENTS = dict(re.findall(r'^ARG (\w+)="?(.*?)"?$', TEXT, re.MULTILINE))
STAND_INS = ("apt-get", "apt.postgresql.org.sh", "useradd", "install", "git", "pip", "python3", "sed", "rm")


def run(step: str, folder: Path, **variables: str) -> list[str]:
    """Run a step as the image's shell does, and return the commands that it gave."""
    bin_ = folder / "bin"
    bin_.mkdir()
    for name in STAND_INS:
        path = bin_ / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{folder}/commands"\n')
        path.chmod(0o755)
    step = re.sub(
        r"/[\w./-]+/(apt\.postgresql\.org\.sh|pip)\b", r"\1", step
    )  # by their names, so that stand-ins are found
    subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", step], cwd=folder, check=True, env={**ARGUMENTS, **variables, "PATH": f"{bin_}:{os.environ['PATH']}"}
    )  # fmt: skip
    return (folder / "commands").read_text().splitlines()


@pytest.mark.parametrize(
    ("variables", "packages"),
    [
        ({}, [*(f"postgresql-client-{major}" for major in (15, 16, 17, 18)), "postgresql-18"]),
        ({"CLIENTS": "17", "SERVERS": "16 17"}, ["postgresql-client-17", "postgresql-16", "postgresql-17"]),
    ],
)
def test_the_clients_and_servers_that_were_asked_for_are_installed(
    variables: dict[str, str], packages: list[str], tmp_path: Path
) -> None:
    (step,) = [each for each in STEPS if "apt-get" in each]
    commands = run(step, tmp_path, **variables)
    installs = [
        each.removeprefix("apt-get install -y --no-install-recommends ") for each in commands if "install -y" in each
    ]
    assert installs[-1].split() == packages
    assert commands.index("apt.postgresql.org.sh -y") < commands.index(
        f"apt-get install -y --no-install-recommends {installs[-1]}"
    )
    assert commands[-1] == "rm -rf /var/lib/apt/lists/" + commands[-1].removeprefix("rm -rf /var/lib/apt/lists/")


def test_the_image_runs_as_a_user_of_its_own(tmp_path: Path) -> None:
    (step,) = [each for each in STEPS if "useradd" in each]
    (uid,) = re.findall(r"--uid (\d+)", step)
    assert re.findall(r"^USER (.+)$", TEXT, re.MULTILINE) == [uid]
    assert any(each.startswith("install -d -o safemig -g safemig /project") for each in run(step, tmp_path))


def test_what_the_package_is_built_from_is_copied_and_not_ignored() -> None:
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE) for name in line.split()}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for name in copied:
        assert (ROOT / name).exists()
    assert {"pyproject.toml", "README.md", "LICENSE", "runbooks", "safemig"} <= copied  # what hatchling needs
