"""What roles gain and lose by a migration, as its last rehearsal found it: kept for the plan, which names and binds it.

The id of a plan that names rights is its own and a mark of them, `3f2a9c1b4d5e-8a41c2`. So a deployment on another
machine, which has no such file, holds the approved mark against its own rehearsal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from safemig.approval.last_rehearsal import LastRehearsal
from safemig.commands import command_on
from safemig.errors import RehearsalError
from safemig.results import Access, Plan, Rehearsal, RehearsedRights, Rights
from safemig.settings import Settings

MARK_LENGTH = 6


def _rights_of(at: datetime, content: Mapping[str, Any]) -> RehearsedRights:
    return RehearsedRights(at, content["plan"], False, tuple(Access(**each) for each in content["access"]))


KEPT = LastRehearsal("rehearsed_rights.json", "what roles gain and lose", _rights_of)


def keep_rights(settings: Settings, environment: str, plan: Plan, rights: Rights | None) -> Plan:
    """Keep what a rehearsal of `plan` found, for later plans; return the plan as it is with that.

    Raises:
        FileError: the file cannot be written.
    """
    if rights is None:
        return plan
    found = RehearsedRights(datetime.now(UTC), basis_of(plan.id), True, changed(rights.access))
    content = {"plan": found.plan_id, "access": [asdict(each) for each in found.access]}
    KEPT.keep(settings, environment, plan, found.rehearsed_at, content)
    return _naming(plan, found)


def with_rehearsed_rights(settings: Settings, environment: str, plan: Plan) -> Plan:
    """Return a plan with what its last rehearsal on this machine found; as it is where that was of other migrations.

    Raises:
        FileError: the file is damaged.
    """
    found = KEPT.read(settings, environment, plan)
    return _naming(plan, replace(found, is_current=found.plan_id == plan.id)) if found else plan


def approves(given: str, plan: Plan) -> bool:
    """Tell whether an approval is of this plan; one that binds rights is, too, where no rehearsal of it is known here.

    Then the deployment's own rehearsal decides (see `require_as_named`).
    """
    if given == plan.id:
        return True
    is_known_here = plan.rights is not None and plan.rights.is_current
    return bool(_marked(given)) and basis_of(given) == basis_of(plan.id) and not is_known_here


def what_changed(given: str, plan: Plan, files: str = "migrations") -> str:
    """Say why an approval is not of this plan."""
    if basis_of(given) == basis_of(plan.id):
        return "a rehearsal has found what roles gain and lose, or something else of it,"
    return f"{files}, schema, settings or collected statements have changed"


def require_as_named(plan: Plan, rights: Rights | None, rehearsal: Rehearsal) -> None:
    """Look whether a deployment's own rehearsal found the rights that its plan names; a plan may name none.

    Raises:
        RehearsalError: it found others.
    """
    if plan.rights is None and not _marked(plan.id):
        return
    found = changed(rights.access) if rights else ()
    if mark_of(found) == _marked(plan.id):
        return
    words = [f"{each.role} {'loses' if each.is_lost else 'gains'} {each.verb} on {each.object}" for each in found[:5]]
    raise RehearsalError(
        f"roles gain or lose something other than plan {plan.id} names: {'; '.join(words) or 'nothing'}",
        where="production was not touched",
        next=f"{command_on(plan.target.environment, 'rehearse')}, look at the new plan ({command_on(plan.target.environment, 'plan')}), "
        "and approve that one if it is right",
        result=rehearsal,
    )


def _marked(plan_id: str) -> str:
    return plan_id.partition("-")[2]


def _naming(plan: Plan, rights: RehearsedRights) -> Plan:
    mark = mark_of(rights.access)
    basis = basis_of(plan.id)
    return replace(plan, id=f"{basis}-{mark}" if mark else basis, rights=rights)


def mark_of(access: Iterable[Access]) -> str:
    """Return a short hash of what roles gain and lose; nothing where they do neither."""
    lines = sorted(
        f"{each.role}\0{each.kind}\0{each.object}\0{each.verb}\0{'loses' if each.is_lost else 'gains'}"
        for each in changed(access)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:MARK_LENGTH] if lines else ""


def basis_of(plan_id: str) -> str:
    """Return a plan's id without its mark of rights."""
    return plan_id.partition("-")[0]


def changed(access: Iterable[Access]) -> tuple[Access, ...]:
    """Return which of the rights are lost or new."""
    return tuple(each for each in access if each.is_lost or each.is_new)
