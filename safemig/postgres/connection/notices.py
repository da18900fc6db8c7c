"""What the server says beside its answers: NOTICE and WARNING, counted by text, so that 200,000 of them are a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.errors import Diagnostic

from safemig.postgres.connection import Connection
from safemig.secrets import hide

_MOST_TEXTS = 10
_LONGEST_TEXT = 200


class Notices:
    """The notices of one statement; keeps the first texts, and counts the rest."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._further = 0

    def add(self, diagnostic: Diagnostic) -> None:
        """Count one; psycopg's hook. Never raises: the statement is still running."""
        text = f"{diagnostic.severity}: {' '.join((diagnostic.message_primary or '').split())}"[:_LONGEST_TEXT]
        if text in self._counts:
            self._counts[text] += 1
        elif len(self._counts) < _MOST_TEXTS:
            self._counts[text] = 1
        else:
            self._further += 1

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each text, with how often it was said where that is more than once; and one for the rest."""
        lines = [hide(text) + (f" ({times:,} times)" if times > 1 else "") for text, times in self._counts.items()]
        return (*lines, f"and {self._further:,} more, of other words") if self._further else tuple(lines)


@contextmanager
def heard(connection: Connection) -> Iterator[Notices]:
    """Listen to what the server says while the block runs."""
    notices = Notices()
    connection.add_notice_handler(notices.add)
    try:
        yield notices
    finally:
        connection.remove_notice_handler(notices.add)
