"""Every point of a rollback, struck by every fault: production is exactly as before, or exactly as the script promises.

As in test_every_fault, thoroughly the whole product of points and faults runs.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from safemig.errors import RefusedError
from safemig.fault_points import FaultPoint
from tests.operations.conftest import Shop, approval_of
from tests.operations.outages import Network
from tests.operations.striking import Run, wait_for
from tests.tables import part_of

FILE = "20260102000000_second.sql"
SQL = "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY); ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean;"
OURS = "application_name ~ '^(safemig|pg_dump)' AND pid <> pg_backend_pid()"


@dataclass(frozen=True)
class Point:
    """Where a rollback is struck, and whether it is done then."""

    name: str
    is_done: bool
    at: FaultPoint


POINTS = [
    Point("before the backup", False, FaultPoint.BACKUP_BEGINS),
    Point("before the rehearsal", False, FaultPoint.ROLLBACK_REHEARSAL_BEGINS),
    Point("approved", False, FaultPoint.APPROVED),
    Point("before the statements", False, FaultPoint.STATEMENT_BEGINS),
    Point("before COMMIT", False, FaultPoint.COMMIT_BEGINS),
    Point("after COMMIT", True, FaultPoint.COMMITTED),
    Point("in the validation", True, FaultPoint.VALIDATION_BEGINS),
]
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
FAULTS = [*SIGNALS, "terminated", "dropped", "swallowed"]
EVERY = [(point, fault) for point in POINTS for fault in FAULTS]
SOME = [*zip(POINTS[1:5], ("SIGKILL", "SIGTERM", "terminated", "swallowed"), strict=True)]
# What the first runs found.
SOME += [(POINTS[-1], "SIGINT"), (POINTS[-1], "dropped"), (POINTS[-2], "SIGINT")]


@pytest.mark.parametrize(("point", "fault"), part_of(EVERY, SOME, lambda case: f"{case[1]} {case[0].name}"))
def test_struck(shop: Shop, temporary: Path, monkeypatch: pytest.MonkeyPatch, point: Point, fault: str) -> None:
    before = shop.state()
    shop.write(FILE, SQL)
    shop.deploy()
    deployed = shop.state()
    action = f"project.rollback_prod(approve={approval_of(shop.project.rollback_prod)!r})"
    network = Network(shop.production)
    try:
        if fault in ("dropped", "swallowed"):
            monkeypatch.setenv("PRODUCTION_DATABASE_URL", network.url)
        rolling = Run(shop, temporary, action, point.at)
        rolling.wait_until_there()
        if fault in SIGNALS:
            rolling.process.send_signal(SIGNALS[fault])
        elif fault == "terminated":
            shop.on(shop.production, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
        elif fault == "dropped":
            network.drop()
        else:
            network.swallow()
        rolling.go_on()
        code, said = rolling.ended()
    finally:
        network.close()
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    left = f"SELECT 1 FROM pg_stat_activity WHERE {OURS}"
    wait_for(lambda: not shop.on(shop.staging, left), "the sessions of the run to end", 20)

    # Exactly one or the other, and the verdict is the truth.
    found = shop.state()
    is_done = (found[0], found[2]) == (before[0], before[2])
    assert is_done or found == deployed, said
    if code in (-signal.SIGKILL, -signal.SIGTERM):
        assert is_done is point.is_done
    elif code == 130:
        assert (fault, is_done) == ("SIGINT", False), said
    else:
        assert code in ((0, 4) if is_done else (1, 2, 3)), (code, said)
    assert shop.on(shop.production, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    wait_for(lambda: not list(temporary.glob("safemig-*/data")), "the copy's server to end", 10)

    # A second run ends well, a third changes nothing.
    if not is_done:
        assert shop.project.rollback_prod(approve=approval_of(shop.project.rollback_prod)).verdict == "ROLLED BACK"
    after = shop.state()
    assert (after[0], after[2]) == (before[0], before[2])
    with pytest.raises(RefusedError):
        shop.project.rollback_prod()
    assert shop.state() == after
