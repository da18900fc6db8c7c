"""What a rehearsal may find about rights and the application's statements, by rule; accepted by rule and object, with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safemig.review.model import Acceptance

RIGHTS_RULES = {
    "owner-differs": "a new object belongs to another role than its neighbours",
    "right-lost": "a role loses a right on an object that stays, and no REVOKE says so",
    "right-without-effect": "a role is granted a right that it cannot use",
    "no-application-role": "no application role may use a new table",
    "everybody-can-read": "everyone may read a new table",
}
WORKLOAD_RULES = {
    "breaks-statement": "a statement that the application sends fails after the migration, or after its rollback",
    "refuses-statement": "a statement that a role sends is refused to it after the migration, or after its rollback",
    "changes-result-type": "sessions that hold a statement prepared get an error (0A000) until they reconnect",
    "plan-regression": "the planner takes a dearer plan for a statement after the migration",
}
REHEARSAL_RULES = RIGHTS_RULES | WORKLOAD_RULES


def reason_for(rule: str, name: str, acceptances: Sequence[Acceptance]) -> str | None:
    """Return the reason with which a finding about the object `name` was accepted, None where it was not."""
    return next((each.reason for each in acceptances if each.rule == rule and each.is_about(name)), None)
