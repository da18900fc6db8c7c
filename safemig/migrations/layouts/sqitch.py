"""Sqitch: `sqitch.plan` with deploy/, revert/ and verify/; registry in schema sqitch, changes known by a hash of the plan."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg.sql import SQL

from safemig.errors import MigrationError
from safemig.migrations.files import Migration, hash_of, normalised, read_text
from safemig.migrations.layouts.base import Connection, Layout, exists, literals
from safemig.results import AppliedMigration
from safemig.sql.identifiers import quote_literal

PLAN = "sqitch.plan"
MAKE = """
CREATE SCHEMA IF NOT EXISTS {table};
CREATE TABLE IF NOT EXISTS {table}.releases (
    version real PRIMARY KEY, installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    installer_name text NOT NULL, installer_email text NOT NULL);
CREATE TABLE IF NOT EXISTS {table}.projects (
    project text PRIMARY KEY, uri text UNIQUE, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    creator_name text NOT NULL, creator_email text NOT NULL);
CREATE TABLE IF NOT EXISTS {table}.changes (
    change_id text PRIMARY KEY, script_hash text, change text NOT NULL,
    project text NOT NULL REFERENCES {table}.projects ON UPDATE CASCADE, note text NOT NULL DEFAULT '',
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(), committer_name text NOT NULL, committer_email text NOT NULL,
    planned_at timestamptz NOT NULL, planner_name text NOT NULL, planner_email text NOT NULL, UNIQUE (project, script_hash));
CREATE TABLE IF NOT EXISTS {table}.tags (
    tag_id text PRIMARY KEY, tag text NOT NULL, project text NOT NULL REFERENCES {table}.projects ON UPDATE CASCADE,
    change_id text NOT NULL REFERENCES {table}.changes ON UPDATE CASCADE, note text NOT NULL DEFAULT '',
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(), committer_name text NOT NULL, committer_email text NOT NULL,
    planned_at timestamptz NOT NULL, planner_name text NOT NULL, planner_email text NOT NULL, UNIQUE (project, tag));
CREATE TABLE IF NOT EXISTS {table}.dependencies (
    change_id text NOT NULL REFERENCES {table}.changes ON UPDATE CASCADE ON DELETE CASCADE, type text NOT NULL,
    dependency text NOT NULL,
    dependency_id text REFERENCES {table}.changes ON UPDATE CASCADE CONSTRAINT dependencies_check CHECK (
        (type = 'require' AND dependency_id IS NOT NULL) OR (type = 'conflict' AND dependency_id IS NULL)),
    PRIMARY KEY (change_id, dependency));
CREATE TABLE IF NOT EXISTS {table}.events (
    event text NOT NULL CONSTRAINT events_event_check CHECK (event IN ('deploy', 'revert', 'fail', 'merge')),
    change_id text NOT NULL, change text NOT NULL, project text NOT NULL REFERENCES {table}.projects ON UPDATE CASCADE,
    note text NOT NULL DEFAULT '', requires text[] NOT NULL DEFAULT '{{}}', conflicts text[] NOT NULL DEFAULT '{{}}',
    tags text[] NOT NULL DEFAULT '{{}}', committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    committer_name text NOT NULL, committer_email text NOT NULL,
    planned_at timestamptz NOT NULL, planner_name text NOT NULL, planner_email text NOT NULL,
    PRIMARY KEY (change_id, committed_at));
INSERT INTO {table}.releases (version, installer_name, installer_email)
SELECT 1.1, session_user, session_user || '@safemig' WHERE NOT EXISTS (SELECT FROM {table}.releases);
"""
APPLIED = "SELECT change_id, change, coalesce(script_hash, '') FROM {}.changes WHERE project = %s ORDER BY committed_at"
ADD_PROJECT = """
INSERT INTO {}.projects (project, uri, creator_name, creator_email)
VALUES (%s, %s, session_user, session_user || '@safemig') ON CONFLICT (project) DO NOTHING
"""
ADD = """
INSERT INTO {}.changes (change_id, script_hash, change, project, note, committer_name, committer_email, planned_at,
                        planner_name, planner_email)
VALUES (%s, %s, %s, %s, %s, session_user, session_user || '@safemig', %s, %s, %s)
"""
ADD_DEPENDENCY = "INSERT INTO {}.dependencies (change_id, type, dependency, dependency_id) VALUES (%s, %s, %s, %s)"
ADD_TAG = """
INSERT INTO {}.tags (tag_id, tag, project, change_id, note, committer_name, committer_email, planned_at, planner_name,
                     planner_email)
VALUES (%s, %s, %s, %s, %s, session_user, session_user || '@safemig', %s, %s, %s) ON CONFLICT DO NOTHING
"""
ADD_EVENT = """
INSERT INTO {}.events (event, change_id, change, project, note, requires, conflicts, tags, committer_name, committer_email,
                       planned_at, planner_name, planner_email)
VALUES ('deploy', %s, %s, %s, %s, %s, %s, %s, session_user, session_user || '@safemig', %s, %s, %s)
"""

_PRAGMA = re.compile(r"%(?P<name>[\w-]+)=(?P<value>.*)")
_LINE = re.compile(
    r"(?P<name>@?[^\s\[#]+)\s*(?:\[(?P<needs>[^\]]*)\])?\s+(?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\s+"
    r"(?P<planner>[^<]*?)\s*<(?P<email>[^>]*)>\s*(?:#\s?(?P<note>.*))?\Z"
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of the plan, on the change before it."""

    id: str
    name: str
    note: str
    date: str
    planner: str
    email: str


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the plan, as the registry knows it."""

    id: str
    name: str
    project: str
    uri: str
    note: str
    date: str
    planner: str
    email: str
    requires: tuple[tuple[str, str | None], ...]  # as written, and the id of the change
    conflicts: tuple[str, ...]
    tags: tuple[Tag, ...] = ()


def read(folder: Path) -> tuple[Migration, ...]:
    """Return the plan's changes in their order; one that was reworked has its older script under the tag's name."""
    changes = read_plan(folder / PLAN)
    return tuple(_migration(folder, at, changes) for at in range(len(changes)))


def _migration(folder: Path, at: int, changes: Sequence[Change]) -> Migration:
    change, script = changes[at], changes[at].name
    again = next((number for number in range(at + 1, len(changes)) if changes[number].name == change.name), None)
    if again is not None:
        tag = next((tag for between in changes[at:again] for tag in between.tags), None)
        script += tag.name if tag else ""
    path, back, verify = (folder / each / f"{script}.sql" for each in ("deploy", "revert", "verify"))
    content = read_text(path)
    text = normalised(content)
    return Migration(
        change.id,
        change.name,
        path,
        text,
        hash_of(text),
        down=normalised(read_text(back)) if back.is_file() else "",
        # Of a change that was reworked the older script no longer holds, and sqitch does not run it either.
        verify=normalised(read_text(verify)) if verify.is_file() and again is None else "",
        checksum=hashlib.sha1(content.encode()).hexdigest(),  # noqa: S324 - Sqitch's own
        shown=f"deploy/{script}.sql",
    )


def read_plan(path: Path) -> tuple[Change, ...]:
    """Read a plan's changes, with their identities.

    Raises:
        MigrationError: a line that is none of a plan's, or a dependency that the plan does not hold before it.
    """
    pragmas: dict[str, str] = {}
    changes: list[Change] = []
    for number, line in enumerate(normalised(read_text(path)).split("\n"), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if pragma := _PRAGMA.fullmatch(text):
            pragmas[pragma["name"]] = pragma["value"].strip()
            continue
        match = _LINE.fullmatch(text)
        if match is None or (match["name"].startswith("@") and not changes):
            raise MigrationError(
                "not a line of a plan: a change or a tag with its time and its planner",
                where=f"{path}, line {number}",
                next="write it as sqitch does: name [dependencies] 2026-01-31T12:00:00Z Name <email> # note",
            )
        if match["name"].startswith("@"):
            changes[-1] = replace(changes[-1], tags=(*changes[-1].tags, _tag(match, changes[-1], pragmas)))
        else:
            changes.append(_change(match, changes, pragmas, f"{path}, line {number}"))
    return tuple(changes)


def _change(match: re.Match[str], before: Sequence[Change], pragmas: dict[str, str], where: str) -> Change:
    needs = (match["needs"] or "").split()
    requires = tuple(need for need in needs if not need.startswith("!"))
    conflicts = tuple(need[1:] for need in needs if need.startswith("!"))
    lines = [
        *_head(pragmas),
        f"change {match['name']}",
        *([f"parent {before[-1].id}"] if before else []),
        *_planned(match),
        *(["requires", *(f"  + {each}" for each in requires)] if requires else []),
        *(["conflicts", *(f"  - {each}" for each in conflicts)] if conflicts else []),
        *_noted(match),
    ]
    return Change(
        id=_identity("change", lines),
        name=match["name"],
        project=pragmas.get("project", ""),
        uri=pragmas.get("uri", ""),
        note=_note(match),
        date=match["date"],
        planner=match["planner"],
        email=match["email"],
        requires=tuple((need, _id_of(need, before, where)) for need in requires),
        conflicts=conflicts,
    )


def _tag(match: re.Match[str], change: Change, pragmas: dict[str, str]) -> Tag:
    lines = [
        *_head(pragmas), f"tag {match['name']}", f"change {change.id}", *_planned(match), *_noted(match),
    ]  # fmt: skip
    return Tag(_identity("tag", lines), match["name"], _note(match), match["date"], match["planner"], match["email"])


def _head(pragmas: dict[str, str]) -> Iterator[str]:
    yield f"project {pragmas.get('project', '')}"
    if uri := pragmas.get("uri"):
        yield f"uri {uri}"


def _planned(match: re.Match[str]) -> Iterator[str]:
    yield f"planner {match['planner']} <{match['email']}>"
    yield f"date {match['date']}"


def _noted(match: re.Match[str]) -> Iterator[str]:
    if note := _note(match):
        yield ""
        yield note


def _note(match: re.Match[str]) -> str:
    return (match["note"] or "").strip().replace("\\n", "\n").replace("\\\\", "\\")


def _identity(kind: str, lines: Sequence[str]) -> str:
    content = "\n".join(lines).encode()
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()  # noqa: S324 - Sqitch's own


def _id_of(need: str, before: Sequence[Change], where: str) -> str | None:
    name, _, tag = need.partition("@")
    if ":" in name:
        raise MigrationError(
            f"{need} is of another project's plan, whose changes safemig does not follow",
            where=where,
            next="deploy that change with sqitch itself",
        )
    last = len(before)
    if tag:
        last = 1 + next((at for at, each in enumerate(before) if f"@{tag}" in [one.name for one in each.tags]), -1)
    found = next((each.id for each in reversed(before[:last]) if each.name == name or not name), None)
    if found is None:
        raise MigrationError(
            f"it requires {need}, which the plan does not hold before it", where=where, next="correct the plan"
        )
    return found


def _plan_of(migration: Migration) -> tuple[Change, ...]:
    home = next(parent for parent in migration.path.parents if (parent / PLAN).is_file())
    return read_plan(home / PLAN)


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied of this plan's project, in the order in which it was."""
    if not files or not exists(connection, f"{table}.changes"):
        return ()
    project = _plan_of(files[0])[0].project
    rows = connection.execute(SQL(APPLIED).format(SQL(table)), (project,)).fetchall()
    return tuple(AppliedMigration(change_id, name, checksum=checksum) for change_id, name, checksum in rows)


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a change with its dependencies, tags and event, within the caller's transaction."""
    del statements, milliseconds
    change = next(each for each in _plan_of(migration) if each.id == migration.version)
    planned = (change.date, change.planner, change.email)

    def run(question: str, *values: object) -> None:
        connection.execute(SQL(question).format(SQL(table)), values)

    run(ADD_PROJECT, change.project, change.uri or None)
    run(ADD, change.id, migration.checksum, change.name, change.project, change.note, *planned)
    for need, change_id in change.requires:
        run(ADD_DEPENDENCY, change.id, "require", need, change_id)
    for each in change.conflicts:
        run(ADD_DEPENDENCY, change.id, "conflict", each, None)
    for tag in change.tags:
        run(ADD_TAG, tag.id, tag.name, change.project, change.id, tag.note, tag.date, tag.planner, tag.email)
    names = ([need for need, _ in change.requires], list(change.conflicts), [tag.name for tag in change.tags])
    run(ADD_EVENT, change.id, change.name, change.project, change.note, *names, *planned)


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the changes count as not deployed; each leaves its event."""
    del left
    ids = literals(each.version for each in taken_back)
    of_these = f"WHERE change_id IN ({ids})"
    return [
        f"INSERT INTO {table}.events (event, change_id, change, project, note, requires, conflicts, tags, "  # noqa: S608
        f"committer_name, committer_email, planned_at, planner_name, planner_email) "
        f"SELECT {quote_literal('revert')}, c.change_id, c.change, c.project, c.note, "
        f"ARRAY(SELECT dependency FROM {table}.dependencies d WHERE d.change_id = c.change_id AND type = 'require'), "
        f"ARRAY(SELECT dependency FROM {table}.dependencies d WHERE d.change_id = c.change_id AND type = 'conflict'), "
        f"ARRAY(SELECT tag FROM {table}.tags t WHERE t.change_id = c.change_id), "
        f"session_user, session_user || '@safemig', c.planned_at, c.planner_name, c.planner_email "
        f"FROM {table}.changes c {of_these};",
        f"DELETE FROM {table}.tags {of_these};",  # noqa: S608
        f"DELETE FROM {table}.dependencies {of_these};",  # noqa: S608
        f"DELETE FROM {table}.changes {of_these};",  # noqa: S608
    ]


LAYOUT = Layout(
    name="sqitch",
    tool="Sqitch",
    folders=(".", "db", "sqitch", "migrations"),
    history="sqitch",
    recognises=lambda folder: (folder / PLAN).is_file(),
    read=read,
    make=MAKE,
    applied=applied,
    add=add,
    forget=forget,
)
