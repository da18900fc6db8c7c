"""What the word of a record means to anyone who looks over many: how it is coloured, whether it is counted as failed. Pure."""

from __future__ import annotations

from safemig.views.document import Tone

_BADLY = frozenset({"CUT-OFF", "CUT-OFF-APPLIED", "ERROR", "FAILED", "INCOMPLETE", "NOT-VALID", "STOPPED", "UNKNOWN"})
_TO_LOOK_AT = frozenset({"DRIFTED", "PROBLEMS"})
_CHANGED_NOTHING = ("NOTHING", "REFUSED", "DO-NOT", "NEEDS", "PENDING")
RUNNING = "RUNNING"


def ended_badly(word: str) -> bool:
    """Tell whether a record is counted as failed. One that is RUNNING has not ended, or no one knows yet how."""
    return word in _BADLY


def changed_nothing(word: str) -> bool:
    """Tell whether a check said no, or there was nothing to do."""
    return word.startswith(_CHANGED_NOTHING)


def tone_of(word: str) -> Tone:
    """Return the tone of a record's word, the same in its page's header, in its body and in the archive."""
    if ended_badly(word):
        return "error"
    if word in _TO_LOOK_AT:
        return "warning"
    return "waiting" if word == RUNNING or changed_nothing(word) else "ok"
