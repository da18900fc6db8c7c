"""Prove that fixed migrations make what the originals make: both are run on a throwaway server, and pg_dump is the judge."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import psycopg

from safemig import live
from safemig.copies.database_copy import CopyServer, copy_schema, open_server_like
from safemig.errors import SafemigError, SettingsError, UnreachableError
from safemig.postgres.connection.connect import words_of
from safemig.postgres.dump.plain import dump_schema
from safemig.postgres.server.programs import find_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.review import Proof, Review
from safemig.schema.dumps import differences
from safemig.sql import SourceFile, parse

if TYPE_CHECKING:
    from safemig.settings import Settings

Base = tuple["Settings", str]  # the settings, and the environment whose schema the migrations meet


def can_prove() -> bool:
    """Tell whether this machine has a PostgreSQL to run both forms on."""
    return any(one.has_server and one.has_clients for one in find_programs())


@live.act("prove")
def prove_fixes(made: Review, originals: Sequence[SourceFile], base: Base | None) -> tuple[Review, tuple[Proof, ...]]:
    """Run each original and its fixed form, in order, and compare the schemas.

    Both start from the schema of the `base` environment where that can be read, else from an empty database. Returns
    the review without the fixes that proved different, and what was proven.

    Raises:
        ToolError: no PostgreSQL on this machine.
    """
    parts = _parts(made, originals)
    if all(fixed == [original] for original, fixed in zip(originals, parts, strict=True)):
        return made, ()
    with ExitStack() as servers:
        with live.stage("start a throwaway PostgreSQL"):
            bench = _Bench(*_server_with_base(servers, base))
        proofs: list[Proof] = []
        kept: list[SourceFile] = []
        for original, fixed in zip(originals, parts, strict=True):
            with live.stage(f"prove {original.name}"):
                proof = bench.compare(original, fixed)
            if fixed != [original]:
                proofs.append(proof)
            kept.extend([original] if proof.outcome == "different" else fixed)
    return replace(made, fixed_files=tuple(kept)), tuple(proofs)


def _parts(made: Review, originals: Sequence[SourceFile]) -> list[list[SourceFile]]:
    """Return the parts of each original: the first keeps its name, the others follow it."""
    names = {file.name for file in originals}
    found: list[list[SourceFile]] = []
    for file in made.fixed_files:
        if file.name in names:
            found.append([])
        found[-1].append(file)
    return found


def _server_with_base(servers: ExitStack, base: Base | None) -> tuple[CopyServer, str, str]:
    """Return a server with a database `base` to start from, its name, and what it is in words."""
    if base is not None:
        from safemig.execution.environment import open_environment

        settings, environment = base
        with suppress(UnreachableError, SettingsError), open_environment(settings, environment) as source:
            copies = open_server_like(source, settings.scratch)
            servers.callback(copies.stop)
            copy_schema(source, settings.conninfo(environment), copies, "base")
            return copies, "base", f"the schema of {environment}"
    server = servers.enter_context(ThrowawayServer.start())
    server.create_database("base")
    return server, "base", "an empty database"


@dataclass
class _Bench:
    """Two databases that are alike, on which the originals and their fixed forms run side by side."""

    server: CopyServer
    at: str
    start: str

    def __post_init__(self) -> None:
        self._numbers = count(1)

    def compare(self, original: SourceFile, fixed: Sequence[SourceFile]) -> Proof:
        """Run both on copies of where the files before them led, and go on from what the original made."""
        number = next(self._numbers)
        before, self_made, other_made = self.at, f"original_{number}", f"fixed_{number}"
        self.server.create_database(self_made, template=before)
        if problem := self._run(self_made, [original]):
            self.server.drop_database(self_made)
            return Proof(original.name, "not proven", f"the original does not run on {self.start}: {problem}")
        proof = Proof(original.name, "proven equal", self._words())
        if list(fixed) != [original]:
            self.server.create_database(other_made, template=before)
            if problem := self._run(other_made, fixed):
                proof = Proof(original.name, "different", f"the fixed form does not run: {problem}")
            elif found := differences(_timeless(self._dump(self_made)), _timeless(self._dump(other_made))):
                proof = Proof(original.name, "different", f"pg_dump differs: {'; '.join(found[:3])}")
            self.server.drop_database(other_made)
        if before != "base":
            self.server.drop_database(before)
        self.at = self_made
        return proof

    def _words(self) -> str:
        return f"both ran on PostgreSQL {self.server.programs.version}, on {self.start}; their pg_dump is the same"

    def _run(self, database: str, files: Sequence[SourceFile]) -> str:
        """Run files one after the other, each in a transaction where it can; return why one does not run, or nothing."""
        for file in files:
            try:
                statements = [one for one in parse(file.sql) if not one.is_transaction_control]
                together = all(one.transactional for one in statements)
                with psycopg.connect(self.server.url(database), autocommit=not together) as connection:
                    for statement in statements:
                        connection.execute(statement.sql.encode())
            except psycopg.Error as error:
                return words_of(error)
            except SafemigError as error:
                return error.what
        return ""

    def _dump(self, database: str) -> str:
        return dump_schema(self.server.url(database), self.server.programs.version_num)


# A default such as 'now'::timestamptz holds the time at which it was made, which differs between any two runs.
_OF_THIS_RUN = "'{day} [0-9:.]+(?:\\+00)?'"


def _timeless(dump: str) -> str:
    """Return a dump without the times of the last day that stand in it as literals."""
    now = datetime.now(UTC)
    for day in (now, now - timedelta(days=1)):
        dump = re.sub(_OF_THIS_RUN.format(day=day.date().isoformat()), "'now'", dump)
    return dump
