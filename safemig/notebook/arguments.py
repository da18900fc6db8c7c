"""Read a magic's line: quoted words, long options, and no variable that was never set."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from typing import Any

from IPython.core.error import UsageError

from safemig.errors import SettingsError
from safemig.notebook.onlooker import begin


def parse_line(magic: Any, line: str) -> Namespace:
    """Return the arguments of a magic's line; show that it was taken, where what it needs is not loaded yet.

    Raises:
        SettingsError: an unknown option, a missing argument, an open quote, a variable that is not defined. Not
            IPython's UsageError, which leaves no error in an executed notebook.
    """
    name = magic.__name__
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise SettingsError(f"%{name}: {error}", where=line, next="close the quotes") from None
    for word in words:
        value = word.partition("=")[2] if word.startswith("--") and "=" in word else word
        # IPython fills in $name and {name} where they are defined, and silently leaves them where they are not.
        if value.startswith(("$", "{")):
            raise SettingsError(
                f"%{name}: {value} is not filled in: there is no such variable",
                where=line,
                next="define it in a cell above, or write the value itself",
            )
    try:
        arguments: Namespace = magic.parser.parse_args(words)
    except UsageError as error:
        raise SettingsError(f"%{name}: {error}", where=line, next=f"%{name}? shows its arguments") from None
    if getattr(arguments, "out", None) and not arguments.out.isidentifier():
        raise SettingsError(f"%{name}: --out {arguments.out} is not a Python name", next="such as --out result")
    if "safemig.project" not in sys.modules:  # the first magic of a session waits for more than its database
        begin("loading safemig")
    return arguments


def pairs(renames: list[str] | None) -> dict[str, str]:
    """Return `["old=new"]` as a dictionary.

    Raises:
        SettingsError: one is not of that form.
    """
    found = {}
    for each in renames or []:
        old, sign, new = each.partition("=")
        if not (old and sign and new):
            raise SettingsError(f"--rename {each} is not OLD=NEW", next="such as --rename public.users.mail=email")
        found[old] = new
    return found
