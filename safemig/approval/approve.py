"""The approval: bound to a plan's id, typed by a person or given as a parameter, never assumed.

A person types the target's name as well: anyone who has two databases open must have read which one this is.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from safemig import live
from safemig.commands import command_on
from safemig.errors import RefusedError
from safemig.identity import who
from safemig.results import Approval, Target

Ask = Callable[[str], str]
_WIDTH = 80  # a front end breaks longer lines in the midst of words


def approve(plan_id: str, target: Target, given: str, what: str, *, verb: str, ask: Ask | None = None) -> Approval:
    """Return the approval of `plan_id`: `given` is a parameter's, else a person who is present types target and plan.

    Raises:
        RefusedError: something else was given or typed, or no one is there to ask; the message names the id.
    """
    how: Literal["typed", "parameter"] = "parameter"
    answer, wanted = given, plan_id
    if not answer and (ask or person_is_present()):
        how, wanted = "typed", f"{target.environment} {plan_id}"
        told = "\n".join(textwrap.fill(line, _WIDTH, break_long_words=False) for line in what.splitlines())
        question = f"{told}\nType  {wanted}  to approve it for the database {target.database}: "
        live.asked(plan_id)
        try:
            answer = (ask or input)(question)
        except (EOFError, KeyboardInterrupt):
            answer = ""  # stopped at the gate, where nothing is changed yet: that is a no
    answer = " ".join(answer.split())
    if answer == wanted:
        return Approval(plan_id, target, who(), datetime.now(UTC), how)
    command = command_on(target.environment, verb, f"--approve {plan_id}")
    raise RefusedError(
        f"plan {plan_id} is not approved" + (f": {answer!r} is not {wanted!r}" if answer else ""),
        where=f"{target.environment}, database {target.database}; nothing was changed",
        next=f'if that plan is right: {command} (or approve="{plan_id}" in the notebook)',
    )


def person_is_present() -> bool:
    """Tell whether someone can answer a question now: a notebook with a front end, or a terminal."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        # False under papermill, nbclient and nbconvert (measured), True in a notebook's front end.
        return bool(kernel.get_parent().get("content", {}).get("allow_stdin"))
    return sys.stdin is not None and sys.stdin.isatty()
