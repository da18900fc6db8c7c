"""What a run over a fleet is doing right now: members done, failed and waiting, the slowest, and who blocks them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from safemig import live
from safemig.execution.lock_watch import watched_server
from safemig.fleet.members import Member, environment_of, members_of, settings_of
from safemig.fleet_facts import MemberOutcome
from safemig.results import Blocker
from safemig.settings import Settings
from safemig.views import numbers

_SLOW_S = 1.0  # of a member that takes longer, it is asked who blocks it
_MOST_SERVERS = 4
_MOST_BLOCKERS = 5
_GONE_AFTER_S = 2.0  # between two attempts no one is seen to block


class Progress:
    """Tells whoever looks on; asks nothing, and opens no connection, where no one does."""

    def __init__(self, settings: Settings, fleet: str, done: Mapping[str, MemberOutcome]) -> None:
        self._settings, self._fleet, self._done = settings, fleet, done
        self._members: dict[str, Member] = {}
        self._watched: set[str] = set()  # servers
        self._blockers: dict[tuple[str, int], tuple[Blocker, float]] = {}  # by member and pid, and when seen last
        self._watchers = ExitStack()

    def __enter__(self) -> Progress:
        if live.is_watched():
            self._members = {each.name: each for each in members_of(self._settings, self._fleet)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live.blocked(())
        self._watchers.close()

    def look(self, under_way: Mapping[str, float], waiting: int) -> None:
        """Tell how far it is: `under_way` are members whose jobs are with a worker, and since when by the monotonic clock."""
        if not live.is_watched():
            return
        now = time.monotonic()
        counts = Counter("failed" if each.is_failure else "done" for each in self._done.values())
        words = [
            f"{counts['done']:,} done",
            f"{counts['failed']:,} failed",
            f"{len(under_way):,} under way",
            f"{waiting:,} waiting",
        ]
        if under_way:
            slowest, since = min(under_way.items(), key=lambda item: item[1])
            words.append(f"slowest: {slowest}, {numbers.seconds(now - since)} so far")
            if now - since > _SLOW_S:
                self._watch(self._members.get(slowest))
        seen = [
            each
            for each, when in list(self._blockers.values())
            if now - when < _GONE_AFTER_S and each.blocks in under_way
        ]
        live.blocked(sorted(seen, key=lambda each: each.blocks)[:_MOST_BLOCKERS], ", ".join(words))

    def _watch(self, member: Member | None) -> None:
        """Ask its server from now on who blocks sessions of ours there: one connection a server."""
        if member is None or member.server in self._watched or len(self._watched) >= _MOST_SERVERS:
            return
        self._watched.add(member.server)
        called = {each.database: each.name for each in self._members.values() if each.server == member.server}

        def see(database: str, blocker: Blocker) -> None:
            name = called.get(database, "") if not member.schema else member.name
            self._blockers[name, blocker.pid] = replace(blocker, blocks=name), time.monotonic()

        conninfo = settings_of(self._settings, self._fleet, member).conninfo(environment_of(self._fleet, member.name))
        self._watchers.enter_context(watched_server(conninfo, self._fleet, see))
