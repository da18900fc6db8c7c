"""Who has approved a plan, kept in the database that it is for; how many it takes, and that no author is one of them.

A name is as trustworthy as what says it (`safemig.identity`): `SAFEMIG_BY`, the CI's own login, else the user of the
operating system. Anyone who may write to production's schema `safemig` could write an approval by hand.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from safemig.commands import command_on
from safemig.errors import RefusedError
from safemig.execution.environment import open_environment
from safemig.fault_points import FaultPoint, pass_point
from safemig.postgres.history import approvals_of, record_approval
from safemig.results import Approval
from safemig.settings import Settings


def require_approvers(settings: Settings, approval: Approval, *, verb: str, files: Sequence[Path] = ()) -> Approval:
    """Return the approval, with who else approved the same plan before; each person's is kept in the database.

    `files` are the migrations that it is about; with `authors_may_approve` off, whom git names as an author of one of
    them may not approve. Where the settings ask for one approval, nothing is written.

    Raises:
        RefusedError: an author approves his own, the author cannot be known, or more approvals are needed.
    """
    pass_point(FaultPoint.APPROVAL_GIVEN)
    if not settings.authors_may_approve:
        _require_no_author(approval.by, files)
    if settings.required_approvals > 1:
        approval = _with_those_before(settings, approval, verb)
    pass_point(FaultPoint.APPROVED)
    return approval


def _with_those_before(settings: Settings, approval: Approval, verb: str) -> Approval:
    with open_environment(settings, approval.target.environment, read_only=False) as connection:
        record_approval(connection, approval.plan_id, approval.by, approval.how)
        people = approvals_of(connection, approval.plan_id)
    if len(people) < settings.required_approvals:
        raise RefusedError(
            f"{len(people)} of {settings.required_approvals} approvals: {', '.join(people)}",
            where=f"plan {approval.plan_id} for {approval.target.environment}; the approval is kept, nothing else was changed",
            next="another person approves with: "
            + command_on(approval.target.environment, verb, f"--approve {approval.plan_id}"),
        )
    return replace(approval, others=tuple(each for each in people if each != approval.by))


def _require_no_author(person: str, files: Sequence[Path]) -> None:
    for file in files:
        authors = _authors_of(file)
        if not authors:
            raise RefusedError(
                "the author of this migration is unknown, and authors may not approve",
                where=f"{file}: not committed as it is now, or there is no git",
                next="commit it, then approve",
            )
        if person.casefold() in authors:
            raise RefusedError(
                f"{person} has written {file.name}, and authors may not approve their own",
                where=f"git log {file.name}; authors_may_approve = false",
                next="ask another person to approve",
            )


def _authors_of(file: Path) -> set[str]:
    """Return the names, addresses, and users of addresses, in lower case, of who committed to a file; none if changed since."""
    where = ["git", "-C", str(file.parent)]
    try:
        status = subprocess.run(
            [*where, "status", "--porcelain", "--", file.name], capture_output=True, text=True, check=True
        ).stdout
        log = subprocess.run(
            [*where, "log", "--format=%an%n%ae%n%cn%n%ce", "--", file.name], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return set()
    if status.strip():
        return set()
    names = {line.strip().casefold() for line in log.splitlines() if line.strip()}
    return names | {name.partition("@")[0] for name in names if "@" in name}
