"""From the parser's byte offsets to characters, lines and columns, as an editor counts them."""

from __future__ import annotations

from bisect import bisect_right


class Positions:
    """The lines of one text; offsets count characters from 0, lines and columns from 1."""

    __slots__ = ("_extra", "_starts", "_wide")

    def __init__(self, text: str) -> None:
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)
        self._wide: list[int] = []
        self._extra: list[int] = []
        if not text.isascii():
            total = 0
            for index, character in enumerate(text):
                code = ord(character)
                if code > 0x7F:
                    total += 1 if code < 0x800 else 2 if code < 0x10000 else 3
                    self._wide.append(index + total)  # the byte offset of this character's last byte
                    self._extra.append(total)

    def character(self, byte: int) -> int:
        """Return the character offset of a UTF-8 byte offset (libpg_query counts bytes)."""
        if not self._wide:
            return byte
        at = bisect_right(self._wide, byte)
        return byte - (self._extra[at - 1] if at else 0)

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Return where the character at `offset` stands."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
