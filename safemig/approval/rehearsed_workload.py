"""What the last rehearsal found about the application's statements: kept for the plan, which rests on it and has no copy of its own.

The plan's id binds files, schema and collected statements: a finding is current where the id, without its mark of rights, is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from safemig.approval.last_rehearsal import LastRehearsal
from safemig.approval.rehearsed_rights import basis_of
from safemig.results import Plan, RehearsedWorkload
from safemig.settings import Settings
from safemig.workload.file import read_workload
from safemig.workload_facts import WorkloadCheck, WorkloadFinding


def _workload_of(at: datetime, content: Mapping[str, Any]) -> tuple[str, RehearsedWorkload]:
    findings = tuple(WorkloadFinding(**each) for each in content["findings"])
    counts = content["statements"], content["checked"]
    return content["plan"], RehearsedWorkload(at, False, *counts, findings, tuple(content["not_checked"]))


KEPT = LastRehearsal("rehearsed_workload.json", "what the application will notice", _workload_of)


def keep_workload(settings: Settings, environment: str, plan: Plan, check: WorkloadCheck | None) -> None:
    """Keep what a rehearsal of `plan` found about the statements, for later plans; nothing where none were collected.

    Raises:
        FileError: the file cannot be written.
    """
    if check is None:
        return
    content = {
        "plan": basis_of(plan.id),
        "statements": check.statements,
        "checked": check.checked,
        "not_checked": list(check.not_checked),
        "findings": [asdict(each) for each in check.findings],
    }
    KEPT.keep(settings, environment, plan, datetime.now(UTC), content)


def with_rehearsed_workload(settings: Settings, environment: str, plan: Plan) -> Plan:
    """Return a plan with what its last rehearsal on this machine found about the statements, or that there was none.

    A plan stays as it is where no statements were collected.

    Raises:
        FileError: the file is damaged.
    """
    collected = settings.workload_file(environment)
    if not collected.is_file() or not plan.migrations:
        return plan
    missing = RehearsedWorkload(None, False, len(read_workload(collected).statements), 0)
    kept = KEPT.read(settings, environment, plan)
    if kept is None:
        return replace(plan, workload=missing)
    of_plan, found = kept
    return replace(plan, workload=replace(found, is_current=of_plan == basis_of(plan.id)))
