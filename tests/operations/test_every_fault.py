"""Every point of a deployment, struck by every fault: production is exactly before, exactly after, or where it says.

The points and the faults are two tables; thoroughly (`-m thorough`) their whole product runs, by default every second
point meets one fault, and each fault at least one point. What must hold is the same for all of them: `test_struck`.
"""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from safemig.fault_points import FaultPoint
from safemig.postgres.catalog import read_schema
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.operations.conftest import SLOW, Shop, furnish
from tests.operations.outages import Network, Production, promote, socket_of, standby_of
from tests.operations.striking import Run, wait_for
from tests.places import short_folder
from tests.tables import part_of

# Of three parts, and nothing of it can run twice.
FILES = {
    "20260102000000_notes.sql": [
        "CREATE TABLE notes (id bigint PRIMARY KEY, body text)",
        "INSERT INTO notes SELECT id, 'x' FROM users WHERE slow(id)",
        "ALTER TABLE orders ADD COLUMN active boolean NOT NULL DEFAULT true",
    ],
    "20260103000000_indexes.sql": [
        "CREATE INDEX CONCURRENTLY users_legacy ON users (legacy)",
        "CREATE INDEX CONCURRENTLY notes_body ON notes (body)",
    ],
    "20260104000000_seen.sql": ["ALTER TABLE notes ADD COLUMN seen boolean"],
}
NAMES = list(FILES)
# The states that there are, in order; what is applied in each, by the history.
BEFORE, NOTES, ONE_INDEX, TWO_INDEXES, INDEXES, ALL = range(6)
APPLIED = [0, 1, 1, 1, 2, 3]


@dataclass(frozen=True)
class Point:
    """Where a deployment is struck, and the state that production is in then."""

    name: str
    state: int
    at: FaultPoint | None = None
    count: int = 1
    during: str = ""  # instead of a point: a statement that is at work in production


POINTS = [
    Point("before the review", BEFORE, FaultPoint.REVIEW_BEGINS),
    Point("in the dump", BEFORE, FaultPoint.TABLE_DATA_READ),
    Point("before the statements on the copy", BEFORE, FaultPoint.COPY_STATEMENTS_BEGIN),
    Point("before the rollback script is written", BEFORE, FaultPoint.ROLLBACK_SCRIPT_BEGINS),
    Point("before the approval", BEFORE, FaultPoint.APPROVAL_GIVEN),
    Point("before the history", BEFORE, FaultPoint.HISTORY_BEGINS),
    Point("before the locks", BEFORE, FaultPoint.LOCKS_BEGIN),
    Point("before the first statement", BEFORE, FaultPoint.STATEMENT_BEGINS),
    Point("in a statement", BEFORE, during="INSERT INTO notes%"),
    Point("between two statements", BEFORE, FaultPoint.STATEMENT_BEGINS, 3),
    Point("before it is recorded", BEFORE, FaultPoint.RUN_ROW_BEGINS),
    Point("before COMMIT", BEFORE, FaultPoint.COMMIT_BEGINS),
    Point("after COMMIT", NOTES, FaultPoint.COMMITTED),
    Point("between the parts", NOTES, FaultPoint.APART_BEGINS),
    Point("in an index build", NOTES, during="CREATE INDEX CONCURRENTLY users_legacy%"),
    Point("after an index, not noted yet", ONE_INDEX, FaultPoint.APART_STATEMENT_RAN),
    Point("between two indexes", ONE_INDEX, FaultPoint.APART_STATEMENT_NOTED),
    Point("before the indexes are recorded", TWO_INDEXES, FaultPoint.COMMIT_BEGINS, 2),
    Point("after the indexes are recorded", INDEXES, FaultPoint.COMMITTED, 2),
    Point("before the last COMMIT", INDEXES, FaultPoint.COMMIT_BEGINS, 3),
    Point("after the last COMMIT", ALL, FaultPoint.COMMITTED, 3),
    Point("in the validation", ALL, FaultPoint.VALIDATION_BEGINS),
]
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
STOPS = {"immediate": signal.SIGQUIT, "fast": signal.SIGINT}
FAULTS = [*SIGNALS, *STOPS, "terminated", "dropped", "swallowed", "promoted"]
EVERY = [(point, fault) for point in POINTS for fault in FAULTS]
SOME = [(point, FAULTS[2 * at % len(FAULTS)]) for at, point in enumerate(POINTS[::2])]
# What the whole product found.
SOME += [(point, "SIGINT") for point in POINTS if point.name in ("after an index, not noted yet", "in the validation")]


class Scene:
    """A production with a deployment of three parts pending, and the faults that may strike it."""

    def __init__(
        self, shop: Shop, server: ThrowawayServer, fault: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.shop, self.fault, self._stack = shop, fault, stack
        self.server: Production | None = None
        self.network: Network | None = None
        self._standby = ""
        self._monkeypatch = monkeypatch
        if fault in STOPS:
            self.server = Production(short_folder("safemig-crash-"))
            stack.callback(self.server.stop)
            shop.production = self.server.server.create_database("production_1")
            furnish(shop.production)
        shop.on(shop.production, SLOW)
        self.url = shop.production
        if fault == "promoted":
            folder = stack.enter_context(standby_of(server))
            self._standby = re.sub(r"host=[^&]+", f"host={folder}", shop.production)
        if fault in ("dropped", "swallowed", "promoted"):
            self.network = Network(shop.production)
            stack.callback(self.network.close)
            self.url = self.network.url
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", self.url)
        for name, statements in FILES.items():
            shop.write(name, ";\n".join(statements) + ";\n")
        findings = [f"{each.rule}:{each.object}: the test needs it" for each in shop.project.review().standing]
        (shop.folder / "safemig.toml").write_text(f"accept = {json.dumps(findings)}")

    def strike(self, deploying: Run) -> None:
        """Let the fault happen, now."""
        if self.fault in SIGNALS:
            deploying.process.send_signal(SIGNALS[self.fault])
        elif self.server:
            self.server.crash(STOPS[self.fault])
        elif self.fault == "terminated":
            ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name ~ '^(safemig|pg_dump)'"
            self.shop.on(self.shop.production, ours)
        elif self.network and self.fault == "swallowed":
            self.network.swallow()
        elif self.network:
            if self.fault == "promoted":
                promote(self._standby, self.shop.production)
                self.network.target = socket_of(self._standby)
                self.shop.production = self._standby
            self.network.drop()

    def lead_past_the_network(self) -> None:
        """From here on, production is reached without the network that was struck."""
        self._monkeypatch.setenv("PRODUCTION_DATABASE_URL", self.shop.production)

    def settle_down(self) -> None:
        """Wait until the server is there, and no one of the run that was struck."""
        if self.network:
            self.network.drop()  # a session that waits for a client which is gone hears of it, as by TCP's keepalive
        if self.server:
            self.server.wait()
        ours = "SELECT 1 FROM pg_stat_activity WHERE application_name ~ '^(safemig|pg_dump)'"
        # Sooner than a statement that is at work would end by itself: 20 s, see SLOW.
        wait_for(lambda: not self.shop.on(self.shop.production, ours), "the sessions of the run to end", 15)

    def content(self) -> tuple[str, list[object], int]:
        """The schema's fingerprint, the rows of all tables whatever their order, and how many migrations are applied."""
        with psycopg.connect(self.shop.production) as connection:
            return _content(connection)


def _content(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[str, list[object], int]:
    tables = connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
    ).fetchall()
    rows: list[object] = []
    for (table,) in tables:
        query = f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {table} t"
        rows += [table, connection.execute(query.encode()).fetchone()]
    applied = connection.execute("SELECT count(*) FROM supabase_migrations.schema_migrations").fetchone()
    return read_schema(connection).fingerprint, rows, int(str(applied[0])) - 1  # type: ignore[index]


@pytest.fixture(scope="session")
def states(server: ThrowawayServer, shop_templates: tuple[str, str]) -> list[tuple[str, list[object], int]]:
    """What production holds in each state, read from a database that went through them by hand."""
    url = server.create_database("states", template=shop_templates[1])
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SLOW.encode())
        first, indexes, last = FILES.values()
        for statements, versions in (
            ([], 0), (first, 1), (indexes[:1], 0), (indexes[1:], 0), ([], 1), (last, 1)
        ):  # fmt: skip
            for statement in statements:
                connection.execute(statement.encode())
            for _ in range(versions):
                version = "INSERT INTO supabase_migrations.schema_migrations (version) SELECT max(version)::bigint + 1 FROM supabase_migrations.schema_migrations"
                connection.execute(version.encode())
            found.append(_content(connection))
    server.drop_database("states")
    return found


@pytest.fixture
def scene_of(shop: Shop, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Scene]]:
    """A maker of the scene of a fault; production's URL is set to where the deployment shall go."""
    with ExitStack() as stack:

        def make(fault: str) -> Scene:
            return Scene(shop, server, fault, stack, monkeypatch)

        yield make


def _strike_at(scene: Scene, temporary: Path, point: Point) -> tuple[int, str]:
    shop = scene.shop
    with ExitStack() as stack:
        if point.during:
            holder = stack.enter_context(psycopg.connect(shop.production))
            if point.state == BEFORE:  # see SLOW
                holder.execute("SELECT pg_advisory_lock(4711)")
                holder.commit()
            else:  # a writer, for whom an index build waits
                holder.execute("UPDATE users SET legacy = legacy WHERE id = 1")
        deploying = Run(shop, temporary, at=point.at, count=point.count)
        if point.during:
            at_work = f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{point.during}' AND state = 'active' AND datname = current_database()"
            wait_for(lambda: shop.on(shop.production, at_work), point.during, 120)
        else:
            deploying.wait_until_there()
        scene.strike(deploying)
        if point.during:
            if scene.fault in ("SIGKILL", "SIGTERM"):
                scene.settle_down()  # the server notices that no one is there, and stops what the statement did
            release = threading.Timer(1.5, holder.close)
            release.start()
            stack.callback(release.join)
        deploying.go_on()
        code, said = deploying.ended()
    return code, said


@pytest.mark.parametrize(("point", "fault"), part_of(EVERY, SOME, lambda case: f"{case[1]} {case[0].name}"))
def test_struck(
    scene_of: Callable[[str], Scene],
    temporary: Path,
    states: list[tuple[str, list[object], int]],
    point: Point,
    fault: str,
) -> None:
    scene = scene_of(fault)
    shop = scene.shop
    databases = "SELECT datname FROM pg_database ORDER BY 1"
    were_there = shop.on(shop.production, databases)
    code, said = _strike_at(scene, temporary, point)
    scene.settle_down()
    is_killed = code in (-signal.SIGKILL, -signal.SIGTERM)
    found = scene.content()
    invalid = shop.on(shop.production, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' OR relation IN ('users'::regclass, 'orders'::regclass, to_regclass('notes'))"

    # Exactly one of the states, rows and history with it.
    if invalid:
        assert (point.name, is_killed or bool(scene.server)) == ("in an index build", True), said
        assert found[1:] == states[NOTES][1:]
        state = NOTES
    else:
        assert found in states, said
        state = states.index(found)
    # The verdict is the truth.
    if is_killed:
        assert fault in SIGNALS
        assert state == point.state
    elif code == 130:
        assert (fault, state, point.state) == ("SIGINT", BEFORE, BEFORE)
    else:
        assert code in {BEFORE: (1, 2, 3, 5)}.get(state, (0, 4, 5) if state == ALL else (4, 5)), said
        if code == 4:
            told = re.search(r"applied: ([^;(\n]*)", said)
            names = told[1].strip().split(", ") if told else []
            assert [each for each in names if each in NAMES] == NAMES[: APPLIED[state]], said
            assert state == ALL or re.search(r"safemig migrate-prod --resume \w+", said), said
    # Nothing is left.
    assert shop.on(shop.production, left) == [(0,)]
    assert shop.on(shop.production, databases) == were_there
    wait_for(lambda: not list(temporary.glob("safemig-*/data")), "the copy's server to end", 10)

    # A second run ends well, a third does nothing.
    scene.lead_past_the_network()
    problems = " ".join(shop.project.db_status().problems)
    stopped = re.findall(r"safemig migrate-prod --resume (\w+)", problems)
    assert bool(stopped) == (NOTES <= state < ALL), problems
    project = shop.project
    resume = stopped[0] if stopped else ""
    done = project.migrate_prod(approve=project.plan(resume=resume).id if state != ALL else "", resume=resume)
    assert done.verdict == ("DEPLOYED" if state != ALL else "NOTHING TO DEPLOY")
    assert scene.content() == states[ALL]
    assert project.migrate_prod().verdict == "NOTHING TO DEPLOY"
    assert scene.content() == states[ALL]
    assert shop.on(shop.production, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert not [each for each in project.db_status().problems if "cut off" in each or "part-way" in each]
    files = [each.name for folder in ("backups", "records") for each in (shop.folder / folder).rglob("*")]
    assert [each for each in files if "partial" in each or each.endswith(".tmp")] == []
