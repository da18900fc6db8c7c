"""Privileges: PostgreSQL's aclitem notation read, and written as GRANT and REVOKE.

What a missing ACL means differs by kind (manual, section 5.8, "Privileges", table 5.2); both forms compare equal here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from safemig.schema.model import OWNER_LACKS, Grant
from safemig.sql.identifiers import quote_identifier

PRIVILEGES = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "U": "USAGE",
    "C": "CREATE",
    "X": "EXECUTE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
}
# What the owner has where nothing else is said; MAINTAIN came with 17.
OWNER_DEFAULT = {
    "r": "arwdDxtm",
    "S": "rwU",
    "f": "X",
    "n": "UC",
    "T": "U",
    "l": "U",
    "F": "U",
    "s": "U",
    "c": "",
}
PUBLIC_DEFAULT: dict[str, str] = {"f": "X", "T": "U", "l": "U"}
_ORDER = {letter: position for position, letter in enumerate(PRIVILEGES)}


def builtin(object_type: str) -> frozenset[Grant]:
    """Return what an object of that type (the letter of `acldefault()`, c for a column) grants by itself."""
    return frozenset(("", letter, False) for letter in PUBLIC_DEFAULT.get(object_type, ""))


@lru_cache(maxsize=4096)
def read_acl(items: tuple[str, ...], owner: str, object_type: str, version: int) -> frozenset[Grant]:
    """Return the grants of an ACL given as aclitem texts; the owner's own are noted only where some are missing."""
    found: set[Grant] = set()
    owner_has: set[str] = set()
    for item in items:
        grantee, letters = _split(item)
        position = 0
        while position < len(letters):
            letter = letters[position]
            passes_on = position + 1 < len(letters) and letters[position + 1] == "*"
            position += 2 if passes_on else 1
            if grantee == owner:
                owner_has.add(letter)
            else:
                found.add((grantee, letter, passes_on))
    if object_type != "c":
        for letter in OWNER_DEFAULT[object_type]:
            if letter not in owner_has and not (letter == "m" and version < 170000):
                found.add((OWNER_LACKS, letter, False))
    else:
        found.update((owner, letter, False) for letter in owner_has)
    return frozenset(found)


def _split(item: str) -> tuple[str, str]:
    """Return grantee and letters of an aclitem such as `"odd name"=ar*w/postgres`."""
    if item.startswith('"'):
        end = 1
        while not (item[end] == '"' and item[end + 1] != '"'):
            end += 2 if item[end] == '"' else 1
        grantee, rest = item[1:end].replace('""', '"'), item[end + 1 :]
    else:
        grantee, _, rest = item.partition("=")
        rest = "=" + rest
    return grantee, rest[1 : _slash(rest)]


def _slash(rest: str) -> int:
    return rest.index("/") if "/" in rest else len(rest)


def changes(
    before: Iterable[Grant],
    after: Iterable[Grant],
    target: str,
    *,
    object_type: str,
    columns: str = "",
    owner: str = "",
) -> list[tuple[str, str]]:
    """Return (statement, why) pairs that turn the grants `before` into `after` on `target`, revocations first.

    `target` is what stands behind ON, `columns` the column list of a column privilege, `owner` the owner's name.
    """
    old, new = set(before), set(after)
    statements: list[tuple[str, str]] = []
    lost = old - new
    gained = new - old
    revoke: dict[tuple[str, bool], set[str]] = {}
    grant: dict[tuple[str, bool], set[str]] = {}
    for grantee, letter, passes_on in lost:
        if grantee == OWNER_LACKS:
            grant.setdefault((grantee, False), set()).add(letter)
        elif passes_on and (grantee, letter, False) in new:
            revoke.setdefault((grantee, True), set()).add(letter)
        elif (grantee, letter, True) not in new:
            revoke.setdefault((grantee, False), set()).add(letter)
    for grantee, letter, passes_on in gained:
        if grantee == OWNER_LACKS:
            revoke.setdefault((grantee, False), set()).add(letter)
        elif not passes_on and (grantee, letter, True) in old:
            continue  # only the right to pass it on was lost: revoked above
        else:
            grant.setdefault((grantee, passes_on), set()).add(letter)
    for (grantee, only_option), letters in sorted(revoke.items()):
        option = "GRANT OPTION FOR " if only_option else ""
        who = _role(grantee, owner)
        words = _words(letters, object_type, columns)
        statements.append((f"REVOKE {option}{words} ON {target} FROM {who}", f"{who} loses {words}"))
    for (grantee, passes_on), letters in sorted(grant.items()):
        option = " WITH GRANT OPTION" if passes_on else ""
        who = _role(grantee, owner)
        words = _words(letters, object_type, columns)
        statements.append((f"GRANT {words} ON {target} TO {who}{option}", f"{who} gets {words}"))
    return statements


def _role(grantee: str, owner: str) -> str:
    if grantee == OWNER_LACKS:
        return quote_identifier(owner) if owner else "CURRENT_USER"
    return quote_identifier(grantee) if grantee else "PUBLIC"


def _words(letters: Iterable[str], object_type: str, columns: str) -> str:
    chosen: Sequence[str] = sorted(set(letters), key=lambda letter: _ORDER[letter])
    everything = set(OWNER_DEFAULT.get(object_type, "?"))
    if (
        len(everything) > 1
        and (set(chosen) | {"m"}) == everything | {"m"}
        and not columns
        and ("m" in chosen or "m" not in everything)
    ):
        return "ALL"
    return ", ".join(PRIVILEGES[letter] + (f" ({columns})" if columns else "") for letter in chosen)
