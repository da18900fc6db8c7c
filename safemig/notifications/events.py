"""The events of an act, as JSON-ready facts: one shape for commands, webhooks and Slack. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safemig.result import JSON_FORMAT

# How an act ends, by the word of its record where it is done, and by its exit code where it is not.
_DONE = {
    "DEPLOYED": "deployed",
    "ROLLED-BACK": "rolled_back",
    "SYNCED": "synced",
    "BASELINED": "baselined",
    "BACKED-UP": "backed_up",
    "BACKED-UP-NOT-VERIFIED": "backed_up",
    "RESTORED": "restored",
    "RESTORED-BESIDE-PRODUCTION": "restored",
    "COMPARED": "restored",
    "PUT-BACK": "put_back",
    "SWAPPED-IN": "swapped_in",
    "DROPPED": "dropped",
}
_NOT_DONE = {1: "refused", 2: "refused", 3: "failed", 4: "stopped", 5: "unknown"}
_NOTHING = "nothing_to_do"
# What is told of every verb that acts: its beginning, its waiting, and one of the ends.
WAITING = ("waiting_for_approval", "blocked")
ENDS = (*dict.fromkeys(_DONE.values()), "done", _NOTHING, *dict.fromkeys(_NOT_DONE.values()))
EVENTS = ("started", *WAITING, *ENDS)

_NOT_YET_APPROVED = re.compile(r"\w+: (?:plan (?P<plan>\w+) is not approved|\d+ of \d+ approvals: .*)\Z")
_PLAN = re.compile(r"\bplan (\w+) is not approved")
_WORDS = {"waiting_for_approval": "waits for approval", "nothing_to_do": "nothing to do", "unknown": "outcome unknown"}


@dataclass(frozen=True, slots=True)
class Run:
    """The act that events are about; the same facts stand in each of its events."""

    verb: str
    environment: str
    project: str
    by: str
    started: str
    record: str = ""  # what all events of one run have in common, and no other run's
    source: Mapping[str, str] | None = None  # commit, author, CI run and link, where there are any


def event_of(run: Run, event: str, at: str, **facts: Any) -> dict[str, Any]:
    """Return an event as JSON-ready values; `facts` that are empty are left out, `exit_code` never."""
    told = {name: value for name, value in facts.items() if value or name == "exit_code"}
    return {
        "format": JSON_FORMAT,
        "kind": "event",
        "event": event,
        "verb": run.verb,
        "environment": run.environment,
        "project": run.project,
        "by": run.by,
        "started": run.started,
        "at": at,
        "run": run.record,
        "text": text_of(run, event, told),
        **({"source": dict(run.source)} if run.source else {}),
        **told,
    }


def text_of(run: Run, event: str, facts: Mapping[str, Any]) -> str:
    """Return an event in one line, for people."""
    about = f"{run.verb.replace('_', '-')} on {run.environment} ({run.project}, by {run.by})"
    words = _WORDS.get(event, event.replace("_", " "))
    if event == "blocked":
        words = "blocked by " + ", ".join(map(_who, facts.get("blockers", ())))
    if event in ENDS and event not in ("unknown", _NOTHING):
        words = words.upper() if event not in _NOT_DONE.values() else words
    plan = f", plan {facts['plan_id']}" if event == "waiting_for_approval" and facts.get("plan_id") else ""
    why = facts.get("error", {}).get("lines", [""])[0]
    return f"{about}: {words}{plan}" + (f": {why}" if why else "")


def end_of(word: str, exit_code: int, error_lines: Sequence[str]) -> tuple[str, str]:
    """Return the event that ends a run with this word and code, and the plan's ID where it waits for its approval."""
    if exit_code == 1 and error_lines and (found := _NOT_YET_APPROVED.match(error_lines[0])):
        return "waiting_for_approval", found["plan"] or ""
    if exit_code:
        return _NOT_DONE.get(exit_code, "failed"), ""
    return (_NOTHING if word.startswith("NOTHING") else _DONE.get(word, "done")), ""


def _who(blocker: Mapping[str, Any]) -> str:
    words = f"pid {blocker['pid']}" + (f" {blocker['user']}" if blocker.get("user") else "")
    since, member = blocker.get("transaction_s"), blocker.get("blocks")
    how_long = f", {since:.0f} s" if since is not None else ""
    return f"{words} ({blocker.get('state') or 'state unknown'}{how_long}{f', on {member}' if member else ''})"
