"""The approval: bound to a plan's id, typed by a person or given as a parameter, never assumed.

A person types the target's name as well: anyone who has two databases open must have read which one this is.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from safemig import live
from safemig.commands import command_on
from safemig.errors import RefusedError
from safemig.identity import who
from safemig.results import Approval, Plan, Target
from safemig.secrets import hide_in
from safemig.views.document import Strong

Ask = Callable[[str], str]
_WIDTH = 80  # a front end breaks longer lines in the midst of words


@dataclass(frozen=True, slots=True)
class About:
    """What a question is about, for the view before it: the plan, what was found out (name, words), what would be lost."""

    plan: Plan
    evidence: tuple[tuple[str, str], ...] = ()
    would_lose: tuple[str, ...] = ()


def approve(
    plan_id: str,
    target: Target,
    given: str,
    what: str,
    *,
    verb: str,
    ask: Ask | None = None,
    about: About | None = None,
) -> Approval:
    """Return the approval of `plan_id`: `given` is a parameter's, else a person who is present types target and plan.

    `about` is shown before that, where a front end shows more than the question: `what`.

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
        if about is not None:
            _show(about)
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


def _show(about: About) -> None:
    """Show what the question is about in a notebook; the run that records one takes it out, and shows it where it asks."""
    shell: Any = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if not getattr(shell, "kernel", None):
        return
    from safemig.views.in_html import draw_html
    from safemig.views.of_gate import build

    plan = about.plan.to_dict()
    facts = {"plan": plan, "evidence": list(about.evidence), "would_lose": list(about.would_lose)}
    evidence = [("✔", Strong(name), words) for name, words in about.evidence]
    view = build(plan, changes=plan["what"], evidence=evidence, would_lose=about.would_lose)
    shell.display_pub.publish({live.GATE: hide_in(facts), "text/html": str(hide_in(draw_html(view)))})


def person_is_present() -> bool:
    """Tell whether someone can answer a question now: a notebook with a front end, or a terminal."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        # False under papermill, nbclient and nbconvert (measured), True in a notebook's front end.
        return bool(kernel.get_parent().get("content", {}).get("allow_stdin"))
    return sys.stdin is not None and sys.stdin.isatty()
