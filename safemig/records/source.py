"""Where a run comes from: why it is done, the commit that is checked out and who made it, and the CI job that runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from safemig.secrets import hide

_PATIENCE_S = 5


def source_of(folder: Path) -> dict[str, str]:
    """Return `reason`, `commit`, `state` ("clean" or "changed since"), `author`, `subject`, `ci` and `ci_url`, those that there are.

    The reason is what `SAFEMIG_REASON` says, such as a ticket. Never raises: a folder without git, or a machine without it, has no commit.
    """
    reason = {"reason": " ".join(os.environ.get("SAFEMIG_REASON", "").split())}
    found = reason | _commit(folder) | _ci()
    return {name: hide(value) for name, value in found.items() if value}


def _commit(folder: Path) -> dict[str, str]:
    log = _git(folder, "log", "-1", "--format=%H%n%an%n%s")
    if log is None:
        return {}
    commit, author, subject, *_ = [*log.splitlines(), "", "", ""]
    # What records and backups add to the folder is not what was deployed.
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    state = "" if changed is None else "changed since" if changed.strip() else "clean"
    return {"commit": commit, "author": author, "subject": subject, "state": state}


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE_S,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None


def _ci() -> dict[str, str]:
    of = os.environ.get
    if of("GITHUB_RUN_ID"):
        url = f"{of('GITHUB_SERVER_URL', 'https://github.com')}/{of('GITHUB_REPOSITORY', '')}/actions/runs/{of('GITHUB_RUN_ID')}"
        return {"ci": f"GitHub Actions run {of('GITHUB_RUN_NUMBER') or of('GITHUB_RUN_ID')}", "ci_url": url}
    if of("GITLAB_CI"):
        return {"ci": f"GitLab job {of('CI_JOB_ID', '')}", "ci_url": of("CI_JOB_URL", "")}
    if of("BUILD_URL"):
        return {"ci": f"build {of('BUILD_NUMBER', '')}", "ci_url": of("BUILD_URL", "")}
    return {}
