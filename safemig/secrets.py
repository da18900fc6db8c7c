"""Every way a password could be printed, in one place: what every message, view, record and child process passes.

Known passwords are those that this process has read, wherever they came from; they are hidden in any text, in each
form that HTML, JSON and URLs give them. Unknown ones are hidden where a text has the shape of a connection string. The
literals after the word PASSWORD in whole statements of SQL are hidden by `safemig.sql.passwords`, which reads tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "***"
_SHORTEST = 4  # a shorter password stands in the middle of words; hiding it there would hide no secret
_KEYS = ("password", "sslpassword")
# user:password@, up to the last @ of the word: a password that is not percent-encoded may hold one.
_IN_URL = re.compile(r"""((?:\w+:)?/{1,2}[^\s:/@"'<>]*):[^\s"'<>]*@""")
_IN_KEYS = re.compile(  # also misspelled: passwd=, pwd=
    r"(?i)((?<![a-z])(?:ssl|pg)?(?:pass(?!file)[a-z]*|pwd)\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)"
)
_IN_SQL = re.compile(r"(\bpassword\s+)E?('|&#39;)(?:\2\2|(?!\2).)*\2", re.IGNORECASE | re.DOTALL)
_SUSPECT = re.compile(r"//[^:/@]*:(?P<password>.+)@", re.DOTALL)
_BETWEEN = re.compile(r"[^\w.$!*+~^-]+")

_known: set[str] = set()


def parts_of(conninfo: str) -> dict[str, str]:
    """Return the parts of a connection string, in either of libpq's two forms.

    Raises:
        ValueError: libpq cannot read it, or would take a piece of its password for something else, as for a host.
            The message holds nothing of it.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    if "://" in conninfo:
        authority, _, path = conninfo.partition("://")[2].partition("/")
        # libpq ends user and password at the first @ or /, so that the rest would become a host or a database's name.
        if authority.count("@") > 1 or "@" in path.partition("?")[0] or len(conninfo.split()) > 1:
            raise ValueError("a special character is not percent-encoded")
    try:
        return {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    except (ProgrammingError, UnicodeError):
        raise ValueError("not a connection string") from None


def secrets_of(conninfo: str) -> tuple[str, ...]:
    """Return the passwords in a connection string; of one that cannot be read, all that may be a password."""
    try:
        parts = parts_of(conninfo)
    except ValueError:
        return (conninfo, *_suspects(conninfo))
    return tuple(parts[key] for key in _KEYS if parts.get(key))


def holds_password(text: str) -> bool:
    """Tell whether a text carries a password as a connection string does, also one that cannot be read."""
    try:
        return any(parts_of(text).get(key) for key in _KEYS)
    except ValueError:
        return any(pattern.search(text) for pattern in (_IN_URL, _SUSPECT, _IN_KEYS))


def remember(passwords: Iterable[str | None], names: Iterable[str | None] = ()) -> None:
    """Hide these from now on, but those that are also `names`: such a one stands in every message as that name."""
    spared = set(names)
    _known.update(each for each in passwords if each and len(each) >= _SHORTEST and each not in spared)


def remember_conninfo(conninfo: str) -> None:
    """Hide the passwords of a connection string from now on."""
    try:
        parts = parts_of(conninfo)
    except ValueError:
        remember(secrets_of(conninfo))
        return
    remember((parts.get(key) for key in _KEYS), (parts.get(key) for key in ("user", "dbname", "host")))


def remember_typed(words: Iterable[str]) -> None:
    """Hide what may be a password in what a person typed: a URL where none belongs, or one that cannot be read."""
    for word in words:
        if ("//" in word and "@" in word) or ("password" in word.lower() and "=" in word):
            remember_conninfo(word)


def hide_known(text: str, *secrets: str) -> str:
    """Return `text` without the passwords that are known, and without `secrets`."""
    if not _known and not secrets:
        return text
    import json
    from urllib.parse import quote

    from markupsafe import escape

    for secret in sorted({*_known, *secrets}, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            forms = {secret, str(escape(secret)), json.dumps(secret)[1:-1], quote(secret, safe="")}
            for form in sorted(forms, key=len, reverse=True):
                text = text.replace(form, HIDDEN)
    return text


def hide(text: str, *conninfos: str) -> str:
    """Return `text` without known passwords, those of `conninfos`, and whatever has the shape of one."""
    text = hide_known(text, *(secret for each in conninfos for secret in secrets_of(each)))
    if "@" in text:
        text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
    lowered = text.lower()
    if "pass" in lowered or "pwd" in lowered:
        text = _IN_SQL.sub(rf"\1\2{HIDDEN}\2", text)
        text = _IN_KEYS.sub(rf"\1{HIDDEN}", text)
    return text


def hide_in(value: Any) -> Any:
    """Return a text, or JSON-ready values, without the passwords that are known."""
    if not _known:
        return value
    if isinstance(value, str):
        return hide_known(value)
    if isinstance(value, Mapping):
        return {key: hide_in(each) for key, each in value.items()}
    return [hide_in(each) for each in value] if isinstance(value, list | tuple) else value


def _suspects(text: str) -> tuple[str, ...]:
    """Return what may be a password in a URL that cannot be read: all up to its last @, and each piece of that."""
    found = _SUSPECT.search(text)
    if found is None:
        return ()
    whole = found["password"]
    return (whole, *(piece for piece in _BETWEEN.split(whole) if len(piece) >= _SHORTEST))
