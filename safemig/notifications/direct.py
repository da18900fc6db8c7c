"""Notify of acts that no run records: a script that calls `Project`, a runbook that papermill itself runs.

Where safemig records the run, the process that records tells of it, and this does nothing.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from safemig.errors import SafemigError, words_of_fault
from safemig.identity import who
from safemig.notifications.events import Run, end_of

if TYPE_CHECKING:
    from safemig.results import Live
    from safemig.settings import Settings

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Direct:
    """The events of one act in this process; `said` gets what could not be delivered, a line for each channel."""

    def __init__(self, settings: Settings, verb: str, environment: str, said: Callable[[str], None]) -> None:
        from safemig.notifications.notifier import notifier_of

        started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        run = Run(verb, environment, settings.folder.name, who(), started)
        self._notifier = notifier_of(settings, lambda: run)
        self._said = said
        self._is_over = False
        self._notifier.tell("started")

    @contextmanager
    def a_part(self) -> Iterator[None]:
        """Tell who blocks this part of the act and when it asks for an approval; and the end of the act where it fails."""
        from safemig import live

        try:
            with live.notified(self):
                yield
        except BaseException as error:
            code = error.exit_code if isinstance(error, SafemigError) else 5
            lines = error.lines if isinstance(error, SafemigError) else [words_of_fault(error)]
            self._end(*end_of("", code, lines), code, error={"name": type(error).__name__, "lines": lines})
            raise

    def hear(self, moment: Live | None) -> None:
        """Tell who blocks the running statement."""
        if moment is not None and moment.blockers:
            self._notifier.tell_blockers(moment.to_dict()["blockers"])

    def asked(self, plan_id: str) -> None:
        """Tell that the act waits for the approval of a plan."""
        self._notifier.tell("waiting_for_approval", plan_id=plan_id)

    def ended(self, result: Any) -> None:
        """Tell that the act is done, with `result`."""
        word = str(getattr(result, "verdict", "")).replace(" ", "-")
        if getattr(result, "kind", "") == "restore" and not word:
            word = "DROPPED" if result.dropped else "SWAPPED-IN" if result.swapped else "RESTORED"
        self._end(*end_of(word.replace(",", ""), 0, ()), 0, verdict=word, migrations=getattr(result, "migrations", ()))

    def _end(self, event: str, plan_id: str, code: int, **facts: Any) -> None:
        if not self._is_over:
            self._is_over = True
            self._notifier.tell(event, exit_code=code, plan_id=plan_id, **facts)
            for line in self._notifier.close():
                self._said(line)


def is_direct(settings: Settings) -> bool:
    """Tell whether it is this process that tells of an act."""
    from safemig.live import RECORD

    return bool(settings.notify) and RECORD not in os.environ


def told(environment: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Make a method of `Project` tell of its act, on the environment `target` or else this one. A decorator."""

    def decorate(method: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(method)
        def telling(*arguments: _P.args, **options: _P.kwargs) -> _R:
            settings: Settings = arguments[0].settings  # type: ignore[attr-defined]  # a Project's method
            if not is_direct(settings):
                return method(*arguments, **options)
            act = Direct(settings, method.__name__, str(options.get("target", environment)), _print)
            with act.a_part():
                result = method(*arguments, **options)
            act.ended(result)
            return result

        return telling

    return decorate


def follow(deployment: Any) -> None:
    """Have a deployment that is gone through step by step tell of itself, in place."""
    if not is_direct(deployment.settings):
        return
    act = Direct(deployment.settings, "migrate_prod", deployment.environment, _print)

    def followed(step: Callable[[], Any], name: str) -> Callable[[], Any]:
        @functools.wraps(step)
        def run() -> Any:
            with act.a_part():
                result = step()
            if name == deployment.steps[-1]:
                act.ended(deployment.result())
            return result

        return run

    for name in deployment.steps:
        setattr(deployment, name, followed(getattr(deployment, name), name))


def _print(line: str) -> None:
    import sys

    sys.stderr.write(f"{line}\n")
