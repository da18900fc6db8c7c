"""What each migration of a run does, for the certificate: in words where that is sure, else by its statements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safemig.records.outcome import Outcome, RecordedResult
from safemig.sql.locks import LockMode
from safemig.views import numbers

MOST_FILES = 6
_LONGEST_STATEMENT = 110
_MOST_STATEMENTS = 2
_MOST_WORDS = 6
_PART = re.compile(r"_part_\d+$")  # how a generated migration that must be cut in parts is named
_ON_ROWS = ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "COPY", "SELECT", "WITH", "DO", "CALL", "EXECUTE")
_ORDER = {"remove": 0, "change": 2}
_VERBS = {"add": "new ", "remove": "drops ", "change": "changes "}
_FIRST = ("table", "column", "view")
_STRENGTH = {mode.value: mode.strength for mode in LockMode}


@dataclass(frozen=True, slots=True)
class Change:
    """One migration: what it does, and the strongest lock that its statements took. `is_sql`: told by statements."""

    file: str
    does: str
    lock: str
    is_sql: bool = False


def files_of(outcome: Outcome) -> list[str]:
    """Return the files that were deployed or recorded, else those that were planned."""
    act = _data(outcome.last("deployment"))
    planned = [each["file"] for each in _data(outcome.last("plan")).get("migrations", ())]
    return [*act.get("migrations", ()), *act.get("recorded_only", ())] or planned


def named(files: Sequence[str]) -> list[str]:
    """Return the names of migrations in words; the later parts of one migration have its name."""
    stems = [file.removesuffix(".sql").partition("_")[2] or file for file in files]
    whole = [_PART.sub("", stem) if _PART.sub("", stem) in stems else stem for stem in stems]
    return [name.replace("_", " ") for name in dict.fromkeys(whole)]


def changes_of(outcome: Outcome) -> tuple[Change, ...]:
    """Return what each file did, or would have done."""
    act, rehearsal = _data(outcome.last("deployment")), _data(outcome.last("rehearsal"))
    steps: Sequence[Mapping[str, Any]] = (
        act.get("steps") or rehearsal.get("steps") or _data(outcome.last("plan")).get("steps") or ()
    )
    files = list(dict.fromkeys([*files_of(outcome), *(step["file"] for step in steps)]))
    of = {file: [step for step in steps if step["file"] == file] for file in files}
    words = _in_words((act.get("diff") or rehearsal.get("diff") or {}).get("changes", ()), of)
    found = [_change(file, of[file], words.get(file, ())) for file in files]
    if len(found) > MOST_FILES:
        rest = len(found) - MOST_FILES
        found = [*found[:MOST_FILES], Change(f"and {rest} more", "listed in the plan below", "")]
    return tuple(found)


def _in_words(
    changes: Sequence[Mapping[str, str]], steps: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[str]]:
    """Return each file's changes of the schema; none at all where one cannot be said to be of one file alone."""
    found: dict[str, list[tuple[tuple[Any, ...], str]]] = {}
    for each in changes:
        name = each["name"].partition("(")[0].rpartition(".")[2]
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        owners = [
            file
            for file, of_file in steps.items()
            if len(steps) == 1 or any(word.search(step["sql"]) for step in of_file)
        ]
        if len(owners) != 1:
            return {}
        place = (_ORDER.get(each["action"], 1), _FIRST.index(each["kind"]) if each["kind"] in _FIRST else len(_FIRST))
        detail = each["detail"] if each["detail"] not in ("created", "dropped") else ""
        words = f"{_VERBS[each['action']]}{each['kind']} {each['name']}" + (f": {detail}" if detail else "")
        found.setdefault(owners[0], []).append((place, words))
    return {file: [words for _, words in sorted(of_file)] for file, of_file in found.items()}


def _change(file: str, steps: Sequence[Mapping[str, Any]], words: Sequence[str]) -> Change:
    # A setting such as check_function_bodies is not what a file is for; a change of rows is in no comparison of schemas.
    rest = [step for step in steps if step["kind"].split()[0] in _ON_ROWS] if words else steps
    telling = [step for step in rest if step["kind"] != "SET"] or rest
    said = [numbers.shortened(" ".join(step["sql"].split()), _LONGEST_STATEMENT) for step in telling[:_MOST_STATEMENTS]]
    more = len(telling) - len(said)
    said = [*_first(words), *said, *([f"and {numbers.counted(more, 'statement')} more"] if more > 0 else [])]
    locks = [lock for step in steps for lock in step["locks"]]
    worst = max(locks, key=lambda each: (_STRENGTH.get(each["mode"], 0), each.get("held_s") or 0), default=None)
    lock = ""
    if worst:
        held = f", {numbers.seconds(worst['held_s'])}" if worst.get("held_s") is not None else ""
        lock = f"{worst['mode']} on {worst['object']}{held}"
    return Change(file, "; ".join(said) or "recorded, not run", lock or "none seen", is_sql=not words and bool(said))


def _first(words: Sequence[str]) -> list[str]:
    if len(words) <= _MOST_WORDS:
        return list(words)
    return [*words[: _MOST_WORDS - 1], f"{numbers.counted(len(words) - _MOST_WORDS + 1, 'more change')}"]


def _data(result: RecordedResult | None) -> dict[str, Any]:
    return result.data if result else {}
