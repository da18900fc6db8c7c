"""What the last rehearsal found about the application's statements: kept for the plan, which rests on it and has no copy of its own.

The plan's id binds files, schema and collected statements: a finding is current where the id, without its mark of rights, is the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from safemig.approval.rehearsed_rights import basis_of
from safemig.errors import FileError
from safemig.results import Plan, RehearsedWorkload
from safemig.settings import Settings
from safemig.whole_files import write_atomically
from safemig.workload.file import read_workload
from safemig.workload_facts import WorkloadCheck, WorkloadFinding


def keep_workload(settings: Settings, environment: str, plan: Plan, check: WorkloadCheck | None) -> None:
    """Keep what a rehearsal of `plan` found about the statements, for later plans; nothing where none were collected.

    Raises:
        FileError: the file cannot be written.
    """
    if check is None:
        return
    content = {
        "rehearsed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": basis_of(plan.id),
        "migrations": _identity(plan),
        "statements": check.statements,
        "checked": check.checked,
        "not_checked": list(check.not_checked),
        "findings": [asdict(each) for each in check.findings],
    }
    path = _path(settings, environment)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
    except OSError as error:
        raise FileError(
            f"what the application will notice cannot be kept for the plan: {error.strerror}",
            where=str(path),
            next="correct the folder's permissions, or free disk space",
        ) from None


def with_rehearsed_workload(settings: Settings, environment: str, plan: Plan) -> Plan:
    """Return a plan with what its last rehearsal on this machine found about the statements, or that there was none.

    A plan stays as it is where no statements were collected.

    Raises:
        FileError: the file is damaged.
    """
    collected = settings.path("workloads") / f"{environment}.jsonl"
    if not collected.is_file() or not plan.migrations:
        return plan
    missing = RehearsedWorkload(None, False, len(read_workload(collected).statements), 0)
    path = _path(settings, environment)
    if not path.is_file():
        return replace(plan, workload=missing)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = RehearsedWorkload(
            datetime.fromisoformat(content["rehearsed_at"]).astimezone(UTC),
            content["plan"] == basis_of(plan.id),
            content["statements"],
            content["checked"],
            tuple(WorkloadFinding(**each) for each in content["findings"]),
            tuple(content["not_checked"]),
        )
        is_of_these = content["migrations"] == _identity(plan)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"what the last rehearsal found about the application's statements cannot be read: {error}",
            where=str(path),
            next="remove the file, and rehearse again: safemig rehearse",
        ) from None
    return replace(plan, workload=found if is_of_these else missing)


def _identity(plan: Plan) -> list[list[str]]:
    return [[each.version, each.sha256] for each in plan.migrations]


def _path(settings: Settings, environment: str) -> Path:
    return settings.path("backups") / environment / "rehearsed_workload.json"
