"""What goes on right now, told to anyone who looks on: the stage of an act, each statement, who keeps it waiting.

Operations tell it, by a line each; where no one looks on, that line does nothing. Who looks on is found by what
`safemig/__init__.py` hangs in (`result.use_listener`): a notebook's live table, a log's lines, or no one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from safemig.result import find_listener
from safemig.results import Blocker, Live, Stage, Step

# Told of each moment of an act, and of its end by None.
Listener = Callable[[Live | None], None]

# The environment variables that tell the kernel of a recorded run which record that is, and the ledger's last hash.
RECORD, LEDGER = "SAFEMIG_RECORD", "SAFEMIG_LEDGER"
# How a moment travels from such a kernel to the run that records it.
MOMENT = "application/vnd.safemig.live+json"
GATE = "application/vnd.safemig.gate+json"  # what a question is about

_PAUSE_S = 0.25  # between two moments that are told
_HEARTBEAT_S = 1.0  # as long as nothing changes, only the time does

_act: _Act | None = None
_notifies: Notifies | None = None


class Notifies(Protocol):
    """Who tells a team of an act, beside anyone who looks on."""

    def hear(self, moment: Live | None) -> None:
        """Take a moment of the act, or its end."""

    def asked(self, plan_id: str) -> None:
        """Take that a person is asked to approve a plan now."""


class _Act:
    """The act that is under way. It is changed by who acts and who watches, and told of by a thread of its own.

    So whatever becomes of the telling, the act goes on, and a thousand quick steps are a few moments.
    """

    def __init__(self, name: str, listener: Listener) -> None:
        self.name = name
        self.stages: list[tuple[Stage, float]] = []  # with the moment of their beginning
        self.steps: dict[int, Step] = {}
        self.blockers: tuple[Blocker, ...] = ()
        self.note = ""
        self.has_changed = True
        self._listener = listener
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True, name="safemig-live")
        self._teller.start()

    def change_stage(self, place: int, **changes: Any) -> None:
        stage, began = self.stages[place]
        self.stages[place] = (replace(stage, seconds=time.monotonic() - began, **changes), began)
        self.has_changed = True

    def running_stage(self) -> int | None:
        return next((i for i in range(len(self.stages) - 1, -1, -1) if self.stages[i][0].state == "running"), None)

    def end(self) -> None:
        self._ended.set()
        self._teller.join(timeout=2)

    def _tell(self) -> None:
        told = 0.0
        while not self._ended.wait(_PAUSE_S):
            if self.has_changed or time.monotonic() - told > _HEARTBEAT_S:
                told = time.monotonic()
                self._listener(self._moment())
        if self.has_changed:
            self._listener(self._moment())
        self._listener(None)

    def _moment(self) -> Live:
        self.has_changed = False
        now = time.monotonic()
        stages = tuple(
            replace(each, seconds=now - began) if each.state == "running" else each for each, began in list(self.stages)
        )
        steps = dict(self.steps)
        return Live(
            self.name,
            stages,
            tuple(steps[number] for number in sorted(steps)),
            self.blockers,
            self.note,
            now - self._began,
        )


@contextmanager
def act(name: str) -> Iterator[None]:
    """Tell that an act begins, and ends; one within another is a part of that. Also a decorator."""
    global _act
    listeners: list[Listener] = []
    if _act is None:
        listeners = [each for each in (find_listener(), _notifies and _notifies.hear) if each]
    if not listeners:
        yield
        return

    def listener(moment: Live | None) -> None:
        for each in listeners:
            each(moment)

    _act = begun = _Act(name, listener)
    try:
        yield
    finally:
        _act = None
        begun.end()


@contextmanager
def notified(by: Notifies) -> Iterator[None]:
    """Have the acts within this told to `by`, too."""
    global _notifies
    before, _notifies = _notifies, by
    try:
        yield
    finally:
        _notifies = before


def asked(plan_id: str) -> None:
    """Tell that a person is asked to approve a plan."""
    if _notifies is not None:
        _notifies.asked(plan_id)


def is_watched() -> bool:
    """Tell whether anyone looks on; if not, nothing needs to be found out for them."""
    return _act is not None


@contextmanager
def stage(name: str, total: int | None = None, unit: str = "row") -> Iterator[None]:
    """Tell that a part of the act begins, and ends; `total` is about how many rows, or what `unit` says, it goes through."""
    current = _act
    if current is None:
        yield
        return
    place = len(current.stages)
    current.stages.append((Stage(name, "running", 0.0, None, total or None, unit), time.monotonic()))
    current.has_changed = True
    try:
        yield
    except BaseException:
        current.change_stage(place, state="stopped")
        raise
    current.change_stage(place, state="done")


def advance(rows: int) -> None:
    """Tell that the running stage has gone through so many rows more."""
    current = _act
    if current is not None and (place := current.running_stage()) is not None:
        current.change_stage(place, done=(current.stages[place][0].done or 0) + rows)


def reached(rows: int) -> None:
    """Tell that the running stage has gone through so many rows in all."""
    current = _act
    if current is not None and (place := current.running_stage()) is not None:
        current.change_stage(place, done=rows)


def planned(steps: Sequence[Step]) -> None:
    """Tell which steps are to come; those that were told of before start over."""
    current = _act
    if current is not None:
        current.steps |= {each.number: each for each in steps}
        current.has_changed = True


def became(step: Step) -> None:
    """Tell what has become of a step that was planned: it runs, waits for a lock, or ran.

    Those of migrations that are replayed to see what they make were not; their stage is told, no more.
    """
    current = _act
    if current is not None and step.number in current.steps:
        if step.state == "ran":
            current.blockers, current.note = (), ""
        current.steps[step.number] = step
        current.has_changed = True


def blocked(blockers: Sequence[Blocker], note: str = "") -> None:
    """Tell who keeps the running statement waiting, and what the server says of it; no one, and nothing, ends both."""
    current = _act  # the act may end meanwhile: anyone who watches it does so from a thread of its own
    if current is not None and (tuple(blockers), note) != (current.blockers, current.note):
        current.blockers, current.note = tuple(blockers), note
        current.has_changed = True
