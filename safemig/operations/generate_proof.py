"""The proof of generated migration files: run on copies, the schema that they make must dump as staging does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import psycopg

from safemig.copies.shadow import Shadow
from safemig.errors import MigrationError
from safemig.execution.layout import layout_for
from safemig.operations.generate_cut import Parts
from safemig.postgres.connection.connect import words_of
from safemig.postgres.dump.plain import dump_schema
from safemig.postgres.pretences import real_dump
from safemig.results import Target
from safemig.schema import Schema, SchemaDiff, compare
from safemig.schema.comparison import own_beside_parents
from safemig.schema.dumps import differences
from safemig.schema.model import Id
from safemig.settings import Settings
from safemig.sql.identifiers import quote_identifier

UNCHECKED = "SET check_function_bodies = off"


@dataclass(frozen=True, slots=True)
class Compared:
    """What the local migrations make, on the shadow, and what the environment has become."""

    source: Target
    staging: str  # the connection string of the environment, or of a copy of its schema
    base_name: str  # of the shadow's database that the migrations made
    base: Schema
    wanted: Schema
    diff: SchemaDiff
    owners: str = ""  # what of the owners is not compared, in words
    theirs: frozenset[Id] = frozenset()  # the objects of which that is so
    not_compared: str = ""  # for want of an extension, in words


@dataclass(frozen=True, slots=True)
class Proof:
    words: str
    remaining: tuple[str, ...]
    down: str  # what takes the file back; "" where there are several, or a change is disabled
    reached: Schema  # what the live statements make
    notes: tuple[str, ...] = ()  # what no statement can make equal, and does not have to be

    def stopped(self, statement: str) -> Proof:
        """Return the proof of files that did not run to their end on a copy with rows."""
        words = f"NOT PROVEN: the files stop on a copy at {statement}; statement by statement: {self.words}"
        return replace(self, words=words, remaining=(*self.remaining, f"stops: {statement}"))


def prove(settings: Settings, shadow: Shadow, compared: Compared, parts: Parts) -> Proof:
    """Run the files on one copy of the base, and on another with every change enabled: that one must dump as staging does."""
    wanted = compared.wanted
    safe, complete = (shadow.make(template=compared.base_name) for _ in range(2))
    unproven = _run_parts(shadow, parts, safe, complete)
    reached = replace(shadow.schema(safe), with_ownership=wanted.with_ownership)
    made = replace(shadow.schema(complete), with_ownership=wanted.with_ownership)
    disabled = {each.number for held in parts.values() for each, _ in held if each.disabled is not None}
    own = own_beside_parents(made, wanted)
    remaining, order = _remaining(settings, shadow, compared, complete, own)
    # The dumps are without owners and rows.
    if wanted.with_ownership or settings.configuration_rows:
        kinds = {"owner": "owner of", "configuration row": "configuration row"}
        changes = [each for each in compare(made, wanted).changes if each.kind in kinds]
        remaining += [f"{kinds[each.kind]} {each.name}: {each.detail}" for each in changes]
    if remaining:
        lacking = f"; this machine lacks the extension {', '.join(shadow.lacks)}" if shadow.lacks else ""
        words = f"NOT EQUAL: {len(remaining)} differences to staging remain{lacking}"
        if unproven:
            numbers = ", ".join(map(str, sorted(unproven)))
            words += f"; change {numbers} does not run as it stands: first answer whether it is a rename"
    elif disabled:
        words = f"proven equal with all changes enabled; {counted(len(disabled), 'change')} disabled"
    else:
        words = "proven equal"
    words += f"; {compared.owners}" if compared.owners else ""
    words += f"; {counted(order, 'table')} with columns in another order" if order else ""
    words += f"; {counted(len(own), 'note')} on child tables" if own else ""
    down = ""
    if not disabled and len(parts) == 1:
        down = compare(reached, replace(shadow.schema(compared.base_name), with_ownership=wanted.with_ownership)).sql
    return Proof(words, tuple(remaining), down, reached, tuple(own.values()))


def _run_parts(shadow: Shadow, parts: Parts, safe: str, complete: str) -> set[int]:
    """Run the live changes on one copy and all on the other; return the numbers of those that wait for an answer."""
    unproven: set[int] = set()
    for held in parts.values():
        for name in (safe, complete):
            _run(shadow, name, UNCHECKED)
        for each, statements in held:
            if each.number in unproven:
                continue
            try:
                for statement in statements:
                    _run(shadow, complete, statement.sql)
                    if each.disabled is None:
                        _run(shadow, safe, statement.sql)
            except MigrationError:
                if not each.is_doubtful:
                    raise
                unproven.add(each.number)  # the answer to the question makes another change of it
    return unproven


def _remaining(
    settings: Settings, shadow: Shadow, compared: Compared, complete: str, own: Mapping[Id, str]
) -> tuple[list[str], int]:
    """Return what differs between the dumps, and how many tables only have their columns in another order.

    own: what in child tables no statement makes equal.
    """
    # One pg_dump for both, for each version writes in a form of its own.
    version = max(compared.source.server_version_num, shadow.server.programs.version_num)
    dumps = (_dump(settings, shadow.server.url(complete), version), _dump(settings, compared.staging, version))
    found = differences(*dumps, shadow.base.brings_entry)
    others = [line for line in found if not line.startswith("in another order")]
    role = compared.wanted.current_user
    remaining = [line for line in others if not (_is_of(own, line) or _is_of_owner(compared.theirs, role, line))]
    return remaining, len(found) - len(others)


def _is_of(own: Iterable[Id], difference: str) -> bool:
    """Tell whether two dumps of a table differ only in lines of these columns and constraints."""
    title, *lines = difference.split("\n")
    gone, fresh = (
        {line[4:].strip().rstrip(",") for line in lines if line.startswith(sign)} for sign in ("  - ", "  + ")
    )
    heads = tuple(
        f"CONSTRAINT {quote_identifier(item.sub)} " if item.kind == "constraint" else f"{quote_identifier(item.sub)} "
        for item in own
        if title == f"different: TABLE {item.schema}.{item.name}"
    )
    return bool(heads) and all(line.startswith(heads) for line in gone ^ fresh)


def _is_of_owner(theirs: Collection[Id], role: str, difference: str) -> bool:
    """Tell whether privileges differ only in what `role` has by a grant there, and here as the owner."""
    title, *lines = difference.split("\n")
    ends = (f" TO {quote_identifier(role)};", f" FROM {quote_identifier(role)};")
    return (
        any(f": ACL {item.schema}." in title and f" {item.name}" in title for item in theirs)
        and bool(lines)
        and all(line.endswith(ends) for line in lines)
    )


def _run(shadow: Shadow, name: str, sql: str) -> None:
    try:
        shadow.run(name, sql)
    except psycopg.Error as error:
        raise MigrationError(
            f"the generated SQL does not run on a copy of the base: {words_of(error)}",
            where=" ".join(sql.split())[:300],
            next="nothing was written; please report this statement, and write this change by hand",
        ) from None


def _dump(settings: Settings, conninfo: str, version_num: int) -> str:
    return real_dump(
        dump_schema(conninfo, version_num, only=settings.schemas, without=layout_for(settings).hidden_tables)
    )


def counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
