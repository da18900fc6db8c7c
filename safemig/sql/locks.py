"""PostgreSQL's table-level lock modes and what each blocks (manual, section 13.3.1, "Table-Level Locks")."""

from __future__ import annotations

from enum import Enum


class LockMode(Enum):
    """A table-level lock mode, weakest first; the value is PostgreSQL's own spelling."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    def __init__(self, _: str) -> None:
        self.strength: int = len(type(self).__members__)  # 0 for the weakest to 7 for the strongest
        self.blocks_writes: bool = self.strength >= 4  # from SHARE on, INSERT, UPDATE, DELETE and MERGE have to wait
        self.blocks_reads: bool = self.strength == 7  # a SELECT has to wait too

    @classmethod
    def from_pg_locks(cls, mode: str) -> LockMode:
        """Return the mode that `pg_locks.mode` spells as `AccessExclusiveLock`."""
        return _BY_CATALOG_NAME[mode]

    @property
    def blocks(self) -> str:
        """What waits, in words."""
        if self.blocks_reads:
            return "reads and writes"
        return "writes" if self.blocks_writes else "nothing but other schema changes"

    @property
    def kept_waiting(self) -> tuple[str, ...]:
        """The kinds of statements that wait for as long as it is held: those whose own lock conflicts (manual, table 13.2)."""
        kinds = [kind for kind, least in _KEPT_WAITING if self.strength >= LockMode[least].strength]
        # The one exception to the order of strength: SHARE and SHARE go together.
        return tuple(kind for kind in kinds if not (self is LockMode.SHARE and kind == "CREATE INDEX"))


# Kinds of statements, with the weakest mode that conflicts with the lock that they take; every stronger one does too.
_KEPT_WAITING = (
    ("reads", "ACCESS_EXCLUSIVE"),
    ("SELECT FOR UPDATE", "EXCLUSIVE"),
    ("writes", "SHARE"),
    ("VACUUM and ANALYZE", "SHARE_UPDATE_EXCLUSIVE"),
    ("CREATE INDEX", "ROW_EXCLUSIVE"),
    ("most other DDL", "ACCESS_SHARE"),
)
_BY_CATALOG_NAME = {"".join(word.title() for word in mode.value.split()) + "Lock": mode for mode in LockMode}
