"""The approval: bound to a plan's id, typed by a person or given as a parameter, never assumed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime

from safemig.errors import RefusedError
from safemig.operations.databases import who
from safemig.results import Approval, Target

Ask = Callable[[str], str]


def approve(plan_id: str, target: Target, given: str, what: str, *, verb: str, ask: Ask | None = None) -> Approval:
    """Return the approval of `plan_id`: `given` is a parameter's, else a person who is present types it.

    Raises:
        RefusedError: another id was given or typed, or nobody is there to ask; the message names the id.
    """
    how = "parameter"
    answer = given
    if not answer and (ask or person_is_present()):
        how = "typed"
        answer = (ask or input)(f"{what}\nType {plan_id} to approve it for {target.environment} ({target.database}): ")
    answer = answer.strip()
    if answer == plan_id:
        return Approval(plan_id, target, who(), datetime.now(UTC), "typed" if how == "typed" else "parameter")
    raise RefusedError(
        f"plan {plan_id} is not approved" + (f": {answer!r} is not its id" if answer else ""),
        where=f"{target.environment}, database {target.database}; nothing was changed",
        next=f'if that plan is right: safemig {verb} --approve {plan_id} (or approve="{plan_id}" in the notebook)',
    )


def person_is_present() -> bool:
    """Tell whether somebody can answer a question now: a notebook with a front end, or a terminal."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        # False under papermill, nbclient and nbconvert (measured), True in a notebook's front end.
        return bool(kernel.get_parent().get("content", {}).get("allow_stdin"))
    return sys.stdin is not None and sys.stdin.isatty()
