"""How much a command prints and in which form: what was asked for, and what the terminal can show."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from safemig.result import Result

# How a terminal's form of a result travels from a recorded run's kernel to the command; the record does not hold it.
VARIABLE = "SAFEMIG_TERMINAL"
DRAWN = "application/vnd.safemig.terminal"
_LOG_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Output:
    """What was asked for: `form` is text or json, `quiet` the verdict and errors alone, `verbose` statements and times too."""

    form: str = "text"
    quiet: bool = False
    verbose: bool = False
    no_colour: bool = False

    @property
    def is_json(self) -> bool:
        """True where standard output is for a program."""
        return self.form == "json"

    def style(self, stream: TextIO | None = None) -> Style | None:
        """Return how results are laid out, None for the plain text of logs."""
        chosen = sys.stdout if stream is None else stream
        is_terminal = chosen is not None and chosen.isatty()
        forced = bool(os.environ.get("FORCE_COLOR")) and not self.no_colour
        if self.is_json or self.quiet or not (is_terminal or forced or self.verbose):
            return None
        import shutil

        is_dumb = os.environ.get("TERM") == "dumb"
        plain = self.no_colour or bool(os.environ.get("NO_COLOR")) or (is_dumb and not forced)
        width = shutil.get_terminal_size((_LOG_WIDTH, 24)).columns if is_terminal else _LOG_WIDTH
        return Style(max(width, 40), (is_terminal or forced) and not plain, self.verbose)


@dataclass(frozen=True, slots=True)
class Style:
    """How a terminal's form is drawn."""

    width: int
    colour: bool
    verbose: bool

    def to_variable(self) -> dict[str, str]:
        """Return the environment variable that tells a kernel."""
        return {VARIABLE: f"{self.width} {int(self.colour)} {int(self.verbose)}"}

    @classmethod
    def from_variable(cls, variables: Mapping[str, str]) -> Style | None:
        """Return what a kernel was told, None where it was told nothing."""
        words = variables.get(VARIABLE, "").split()
        if len(words) != 3 or not all(word.isdigit() for word in words):
            return None
        return cls(int(words[0]), words[1] == "1", words[2] == "1")


def pieces_of(result: Result, style: Style) -> Iterator[str]:
    """Yield a result's first line at once, then the rest, drawn for a terminal, without passwords."""
    from safemig.secrets import hide_in
    from safemig.views import document
    from safemig.views.in_terminal import draw_headline, draw_rest

    drawn = document(result)
    yield str(hide_in(draw_headline(drawn, colour=style.colour)))
    if rest := draw_rest(drawn, width=style.width, colour=style.colour, verbose=style.verbose):
        yield "\n" + str(hide_in(rest))


def forms_for_a_terminal(result: Result) -> dict[str, str]:
    """Return the terminal's form of a result that a recorded run's kernel shows, where its command asked for one."""
    style = Style.from_variable(os.environ)
    return {DRAWN: "\n".join(pieces_of(result, style))} if style else {}
