"""Send the events of one act, in order, without ever keeping the act waiting."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from safemig.notifications.channels import PATIENCE_S, Channel, Undelivered, channel_of
from safemig.notifications.events import Run, event_of
from safemig.secrets import hide, hide_in
from safemig.settings import Settings

_LAST_WAIT_S = PATIENCE_S + 1.0  # at the end of an act, when nothing is locked any more


class Notifier:
    """The channels of one act, each with a thread and a queue of its own: a slow one delays no other, and no act."""

    def __init__(self, channels: list[Channel], run: Run) -> None:
        self._run = run
        self._posts = [_Post(each) for each in channels]
        self._blockers: frozenset[int] = frozenset()

    def tell(self, event: str, **facts: Any) -> None:
        """Say that something happened. Returns at once; passwords that are known are not in what is sent."""
        if self._posts:
            at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            said: dict[str, Any] = _without_secrets(event_of(self._run, event, at, **facts))
            for post in self._posts:
                post.put(said)

    def tell_blockers(self, blockers: list[Mapping[str, Any]]) -> None:
        """Say who blocks the running statement, once for each session."""
        pids = frozenset(each["pid"] for each in blockers)
        if pids - self._blockers:
            self.tell("blocked", blockers=blockers)
        self._blockers |= pids

    def close(self) -> tuple[str, ...]:
        """Wait a few seconds for what is still to be sent, and return a line for each channel that did not take all."""
        deadline = time.monotonic() + _LAST_WAIT_S
        return tuple(line for post in self._posts if (line := post.close(deadline)))


class _Post:
    """One channel's thread: sends what is in its queue, one after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._lost = 0
        self._why = ""
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"safemig-notify-{channel.name}")
        try:
            self._thread.start()
        except RuntimeError:  # no room for a thread
            self._lost, self._why = 1, "no thread could be started"

    def put(self, event: dict[str, Any]) -> None:
        self._queue.put(event)

    def close(self, deadline: float) -> str:
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._channel.stop()
            self._lost += 1
            self._why = self._why or f"took longer than {PATIENCE_S:g} s"
        if not self._lost:
            return ""
        events = "1 event" if self._lost == 1 else f"{self._lost} events"
        return hide(f"notification failed: {self._channel.name}: {self._why}; {events} not delivered")

    def _work(self) -> None:
        is_over = False
        while (event := self._queue.get()) is not None:
            if is_over:
                self._lost += 1
                continue
            try:
                self._channel.send(event)
            except Undelivered as fault:
                self._lost, self._why, is_over = self._lost + 1, str(fault), fault.is_final
            except Exception as fault:  # noqa: BLE001  whatever a channel does, the act goes on; it is told by its class
                self._lost, self._why = self._lost + 1, type(fault).__name__


def notifier_of(settings: Settings, run: Callable[[], Run]) -> Notifier:
    """Return the notifier of the settings' channels; without any, one that does nothing."""
    if not settings.notify:
        return Notifier([], Run("", "", "", "", ""))
    private = frozenset(
        url.removeprefix("env:")
        for each in settings.environments.values()
        if (url := each.url or "").startswith("env:")
    ) | {"PGPASSWORD"}
    return Notifier([channel_of(each, settings.folder, private) for each in settings.notify], run())


def _without_secrets(value: Any) -> Any:
    known = hide_in(value)
    if isinstance(known, str):
        return hide(known)
    if isinstance(known, Mapping):
        return {key: _without_secrets(each) for key, each in known.items()}
    return [_without_secrets(each) for each in known] if isinstance(known, list | tuple) else known
