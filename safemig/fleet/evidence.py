"""What a cohort's members are deployed by: its rehearsal, in a form that travels to workers. It holds no secret."""

from __future__ import annotations

import functools
import pickle
import zlib
from dataclasses import dataclass, replace
from typing import Any, cast

from safemig.fleet.schema_names import portable, renamed
from safemig.operations.rehearse import Rehearsed
from safemig.schema import Schema


@dataclass(frozen=True, slots=True)
class Evidence:
    """A cohort's rehearsal, and what a member must be like to be deployed by it."""

    cohort: str
    fingerprint: str  # of the cohort, without the schema's name where members are schemas
    server_major: int
    pending: tuple[tuple[str, str], ...]  # versions and hashes
    ran: tuple[str, ...]  # what a deployment that stopped part-way had run
    schema: str  # the rehearsed member's, where members are schemas
    rehearsed: Rehearsed
    found: Schema  # the rehearsed member's own, which a copy on another version may write in another form

    def packed(self) -> bytes:
        """Return it as bytes for a worker."""
        start, *reached = (portable(each) for each in (self.rehearsed.start, *self.rehearsed.reached))
        # The difference holds both schemas once more, and no deployment asks for it.
        result = replace(self.rehearsed.result, diff=cast(Any, None), workload=None, load=None)
        light = replace(self.rehearsed, result=result, start=start, reached=tuple(reached))
        found = start if start == self.found else portable(self.found)
        return zlib.compress(pickle.dumps(replace(self, rehearsed=light, found=found)), 1)

    def for_schema(self, schema: str) -> tuple[Schema, Rehearsed]:
        """Return what the member's schema must be, and the rehearsal, as if it had been of that schema."""
        if not self.schema or schema == self.schema:
            return self.found, self.rehearsed
        found = self.rehearsed
        result = replace(
            found.result,
            steps=renamed(found.result.steps, self.schema, schema),
            rows=renamed(found.result.rows, self.schema, schema),
        )
        start: Schema = renamed(found.start, self.schema, schema)
        rehearsed = replace(found, result=result, start=start, reached=renamed(found.reached, self.schema, schema))
        return renamed(self.found, self.schema, schema), rehearsed


@functools.lru_cache(maxsize=16)
def unpacked(packed: bytes) -> Evidence:
    """Return evidence from bytes that `packed` made; a worker asks for the same many times."""
    found: Evidence = pickle.loads(zlib.decompress(packed))  # noqa: S301 - our own, from the runner that this worker serves
    return found
