"""Every point of a restore and its swap, struck by every fault: production is exactly as before, or exactly the backup.

As in test_every_fault, thoroughly the whole product of points and faults runs; by default every second point meets one
fault, and each fault at least one point.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from safemig.fault_points import FaultPoint
from tests.operations.conftest import SLOW, Shop, approval_of, furnish
from tests.operations.outages import Network, Production
from tests.operations.striking import Run, wait_for
from tests.places import short_folder
from tests.tables import part_of

SLOWLY = f"""
{SLOW}
CREATE TABLE slowly (id bigint CHECK (public.slow(id)));
INSERT INTO slowly SELECT generate_series(1, 300);
"""
DAMAGE = "DROP VIEW big_orders; DELETE FROM orders"
UNTOUCHED, SWAPPED = "untouched", "swapped"


@dataclass(frozen=True)
class Point:
    """Where a restore is struck, and what production is then."""

    name: str
    content: str
    at: FaultPoint | None = None
    during: str = ""


POINTS = [
    Point("in the check of the backup", UNTOUCHED, FaultPoint.BACKUP_CHECK_BEGINS),
    Point("after the check of the backup", UNTOUCHED, FaultPoint.BACKUP_CHECKED),
    Point("before the database is made", UNTOUCHED, FaultPoint.DATABASE_BEGINS),
    Point("before it is told what it is", UNTOUCHED, FaultPoint.DATABASE_CREATED),
    Point("told what it is", UNTOUCHED, FaultPoint.DATABASE_MARKED),
    Point("before it is filled", UNTOUCHED, FaultPoint.FILL_BEGINS),
    Point("while it is filled", UNTOUCHED, during="COPY public.slowly%"),
    Point("filled, not compared", UNTOUCHED, FaultPoint.FILLED),
    Point("compared, not told", UNTOUCHED, FaultPoint.COMPARED),
    Point("before the approval", UNTOUCHED, FaultPoint.RESTORED_MARKED),
    Point("approved", UNTOUCHED, FaultPoint.APPROVED),
    Point("before the swap", UNTOUCHED, FaultPoint.SWAP_BEGINS),
    Point("before the sessions end", UNTOUCHED, FaultPoint.SESSIONS_END),
    Point("renamed, not committed", UNTOUCHED, FaultPoint.RENAMED),
    Point("the former told what it is", UNTOUCHED, FaultPoint.FORMER_MARKED),
    Point("before COMMIT", UNTOUCHED, FaultPoint.SWAP_COMMIT_BEGINS),
    Point("after COMMIT", SWAPPED, FaultPoint.SWAP_COMMITTED),
    Point("after the swap", SWAPPED, FaultPoint.SWAPPED),
]
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
STOPS = {"immediate": signal.SIGQUIT, "fast": signal.SIGINT}
FAULTS = [*SIGNALS, *STOPS, "terminated", "dropped", "swallowed"]
EVERY = [(point, fault) for point in POINTS for fault in FAULTS]
SOME = [(point, FAULTS[(5 * at + 2) % len(FAULTS)]) for at, point in enumerate(POINTS[::2])]
# What the whole product found.
SOME += [
    (point, fault)
    for point in POINTS
    for fault in ("SIGINT", "swallowed")
    if (point.name, fault)
    in {("while it is filled", "swallowed"), ("before COMMIT", "swallowed"), ("after COMMIT", "SIGINT")}
]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be ended after the test."""
    with ExitStack() as made:
        yield made


@pytest.mark.parametrize(("point", "fault"), part_of(EVERY, SOME, lambda case: f"{case[1]} {case[0].name}"))
def test_struck(
    shop: Shop,
    temporary: Path,
    stack: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    point: Point,
    fault: str,
) -> None:
    production: Production | None = None
    network: Network | None = None
    if fault in STOPS:
        production = Production(short_folder("safemig-crash-"))
        stack.callback(production.stop)
        shop.production = production.server.create_database("production_1")
        furnish(shop.production)
    shop.on(shop.production, SLOWLY)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    were_there = _databases(shop)
    stack.callback(_drop_all_but, shop, were_there)
    good = shop.state()
    shop.project.backup_prod()
    shop.on(shop.production, DAMAGE)
    damaged = shop.state()
    approval = approval_of(lambda: shop.project.restore_prod(swap=True))
    _drop_all_but(shop, were_there)
    if fault in ("dropped", "swallowed"):
        network = Network(shop.production)
        stack.callback(network.close)
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", network.url)

    code, said = _strike_at(shop, temporary, point, fault, approval, production, network)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    if network:
        network.drop()
    if production:
        production.wait()
    ours = "SELECT 1 FROM pg_stat_activity WHERE application_name ~ '^(safemig|pg_dump|pg_restore|psql)'"
    elsewhere = shop.staging if not production else production.server.url("postgres")
    wait_for(lambda: not shop.on(elsewhere, ours), "the sessions of the run to end", 20)

    # Exactly one or the other, anyone who comes is let in, and the verdict is the truth.
    found = shop.state()
    assert found in (damaged, good), said
    if code in (-signal.SIGKILL, -signal.SIGTERM):
        assert found == (damaged if point.content == UNTOUCHED else good)
    elif code == 130:
        assert (fault, found) == ("SIGINT", damaged), said
    elif code in (0, 1, 2, 3, 4):
        assert found == (good if code in (0, 4) else damaged), said
    else:
        assert (code, "psql -l" in said) == (5, True), (code, said)
    assert shop.on(elsewhere, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    assert shop.on(elsewhere, "SELECT count(*) FROM pg_database WHERE datconnlimit = 0 OR datconnlimit = -2") == [(0,)]

    # A second run ends well, a third does nothing.
    second = shop.project.restore_prod(swap=True, approve=approval)
    assert second.swapped
    assert shop.state() == good
    (former,) = _databases(shop) - were_there
    assert former == second.kept_as
    assert shop.on(shop.production.replace(_name(shop), former), "SELECT count(*) FROM orders") == [(0,)]
    third = shop.project.restore_prod(swap=True, approve=approval)
    assert (third.kept_as, shop.state()) == (former, good)
    assert "already" in third.checks[0].found
    assert _databases(shop) - were_there == {former}


def _strike_at(
    shop: Shop,
    temporary: Path,
    point: Point,
    fault: str,
    approval: str,
    production: Production | None,
    network: Network | None,
) -> tuple[int, str]:
    action = f"project.restore_prod(swap=True, approve={approval!r})"
    with ExitStack() as stack:
        if point.during:
            holder = stack.enter_context(psycopg.connect(shop.staging if not production else shop.production))
            holder.execute("SELECT pg_advisory_lock(4711)")
            holder.commit()
        restoring = Run(shop, temporary, action, point.at)
        if point.during:
            at_work = f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{point.during}' AND state = 'active' AND datname ~ '_restored_'"
            wait_for(lambda: shop.on(shop.production, at_work), point.during, 60)
        else:
            restoring.wait_until_there()
        if fault in SIGNALS:
            restoring.process.send_signal(SIGNALS[fault])
        elif production:
            production.crash(STOPS[fault])
        elif network and fault == "swallowed":
            network.swallow()
        elif network:
            network.drop()
        else:
            theirs = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name ~ '^(safemig|pg_dump|pg_restore|psql)'"
            shop.on(shop.staging, theirs)
        if point.during and (network or fault in ("SIGKILL", "SIGTERM")):
            # What is at work may take as long as it needs (else 30 s, see SLOWLY); and in the end no one hears that it is done.
            release = threading.Timer(1.5, holder.close)
            release.start()
            stack.callback(release.join)
        restoring.go_on()
        return restoring.ended()


def _name(shop: Shop) -> str:
    return shop.production.split("/")[3].split("?")[0]


def _databases(shop: Shop) -> set[str]:
    return {str(name) for (name,) in shop.on(shop.production, "SELECT datname FROM pg_database")}


def _drop_all_but(shop: Shop, these: set[str]) -> None:
    for each in _databases(shop) - these:
        shop.on(shop.production, f'DROP DATABASE "{each}" WITH (FORCE)')
