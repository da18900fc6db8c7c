"""The rollback script: made from what the rehearsal changed, run on the copy, its promise written into its head."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safemig.errors import BackupError, NoSuchFileError
from safemig.postgres.platforms import Platform
from safemig.results import RollbackProof
from safemig.schema import Schema, SchemaDiff
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name

_CALLS = re.compile(r"EXECUTE (?:FUNCTION|PROCEDURE) (.+?)\(")
_DROPS = re.compile(r"DROP (?:FUNCTION|ROUTINE) (?:IF EXISTS )?")
_MARK = "-- safemig rollback: "


@dataclass(frozen=True, slots=True)
class RollbackScript:
    """A rollback script on disk: from which schema to which, and which migrations it takes back."""

    path: Path
    sql: str
    sha256: str
    from_fingerprint: str
    to_fingerprint: str
    versions: tuple[str, ...]
    files: tuple[str, ...]
    plan_id: str
    is_proven: bool
    cannot_bring_back: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What a rollback script takes back: migrations of a plan that lead `database` from one schema to another.

    It runs under `role`, where one is given; the history, by the statements `forget`, is written as who connected.
    """

    after: str  # fingerprint of the schema after the deployment
    before: str
    files: Sequence[tuple[str, str]]  # version and name
    plan_id: str
    database: str
    role: str
    timestamp: str
    forget: Sequence[str]


def compose(sql: str, of: TakenBack, proof: RollbackProof | None = None) -> str:
    """Return the script's text: `sql`, with what it takes back, and what the proof found, in its head."""
    is_proven, gone = (proof.is_proven, proof.cannot_bring_back) if proof else (False, ())
    facts = {
        "from": of.after,
        "to": of.before,
        "versions": [version for version, _ in of.files],
        "files": [file for _, file in of.files],
        "plan": of.plan_id,
        "proven": is_proven,
        "cannot_bring_back": list(gone),
    }
    remaining = "; ".join(_one_line(each) for each in proof.remaining) if proof else "not run yet"
    source = (proof.source or proof.not_used) if proof else ""
    head = [
        f"-- Rollback of {', '.join(file for _, file in of.files)}",
        f"-- on {of.database}, made {of.timestamp} (UTC), before the deployment of plan {of.plan_id}.",
        "-- Proven: run on a copy after the deployment's rehearsal, it brought the schema back exactly."
        if is_proven
        else f"-- NOT PROVEN: run on a copy, it left: {remaining}",
        *([f"-- {_one_line(source)}"] if source else []),
        *(f"-- Cannot bring back: {_one_line(each)}" for each in gone),
        "-- Run it with: safemig rollback-prod (which checks, backs up and validates),",
        "-- or by hand: psql PRODUCTION_URL -1 -v ON_ERROR_STOP=1 -f THIS_FILE",
        _MARK + json.dumps(facts, separators=(",", ":"), sort_keys=True),
        "",
    ]
    versions = ", ".join(quote_literal(version).strip() for version, _ in of.files)
    history = [
        "-- The history, so that the migrations count as pending again",
        *of.forget,
        f"DELETE FROM safemig.migrations WHERE version IN ({versions});",  # noqa: S608 - quoted
        "",
    ]
    act = [f"SET ROLE {quote_name(of.role)};"] if of.role else []
    return "\n".join([*head, *act, sql.rstrip("\n"), *(["RESET ROLE;"] if of.role else []), "", *history])


def with_their_functions(back: SchemaDiff, reached: Schema, platform: Platform) -> SchemaDiff:
    """Let triggers on the platform's tables go with their functions, by CASCADE: only the table's owner may drop them.

    A trigger whose function stays takes another road (see `platform_triggers`).
    """
    sql = [statement.sql for statement in back.statements]
    gone: set[str] = set()
    changed: dict[str, str] = {}
    for item, fact in reached.facts.items():
        if item.kind != "trigger" or item.schema not in platform.schemas:
            continue
        place = f"{quote_identifier(item.sub)} ON {quote_name(item.schema, item.name)}"
        drop = next((each for each in sql if each.startswith("DROP TRIGGER") and each.endswith(f" {place}")), None)
        called = _CALLS.search(fact.definition)
        function = next((each for each in sql if called and _DROPS.sub("", each).startswith(f"{called[1]}(")), None)
        if drop and function:
            gone.add(drop)
            changed[function] = f"{function.removesuffix(' CASCADE')} CASCADE"
    if not gone:
        return back
    return replace(
        back,
        statements=tuple(
            replace(each, sql=changed.get(each.sql, each.sql)) for each in back.statements if each.sql not in gone
        ),
    )


def read_script(path: Path) -> RollbackScript:
    """Read a rollback script and the promise in its head.

    Raises:
        NoSuchFileError: it is missing.
        BackupError: it cannot be read, or was not made by safemig.
    """
    try:
        sql = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoSuchFileError(
            "there is no such rollback script", where=str(path), next="name an existing one"
        ) from None
    except OSError as error:
        raise BackupError(
            f"the rollback script cannot be read: {error.strerror}", where=str(path), next="name an existing one"
        ) from None
    for line in sql.splitlines():
        if line.startswith(_MARK):
            facts = json.loads(line.removeprefix(_MARK))
            return RollbackScript(
                path=path,
                sql=sql,
                sha256=hashlib.sha256(sql.encode()).hexdigest(),
                from_fingerprint=facts["from"],
                to_fingerprint=facts["to"],
                versions=tuple(facts["versions"]),
                files=tuple(facts["files"]),
                plan_id=facts["plan"],
                is_proven=facts["proven"],
                cannot_bring_back=tuple(facts["cannot_bring_back"]),
            )
    raise BackupError(
        "not a rollback script of safemig: the line that says what it leads from and to is missing",
        where=str(path),
        next="name a rollback_[timestamp].sql from the backups folder",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
