"""One change to many databases, with everything going wrong: what is killed, who is drifted, locked or gone.

    python benchmarks/fleet.py [MEMBERS] [--schemas] [--calm]     (200 members by default)

A throwaway PostgreSQL has that many small databases (or schemas of one database): 5 are drifted, 3 have violating rows,
1 is locked all the time, 1 is unreachable (schemas: is not there). The runner is killed twice (SIGKILL) and workers five
times. After each kill the matrix must say of every member what the member itself says, and no member may be half
migrated (after a worker's kill others go on: what it says must have been true between two looks); the run stops at the
locked member, `--resume` converges once that is let go, and a third run does nothing.
Bars: the matrix of 1,000 databases in 90 s, 1.5 s a member deployed, 1 GB of memory in total: the proportional set
sizes of the runner and all of its processes, without PostgreSQL's own. With --calm only these are measured: no one is
killed or locked. Processor time is that of safemig and of the server; on two idle cores half of it passes by the clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from safemig.errors import SafemigError
from safemig.migrations.layouts.member_schema import MAKE, TABLE
from safemig.postgres.history import make_history, record_applied
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project

FIRST_FILE, SECOND_FILE = "20260101000000_first.sql", "20260102000000_second.sql"
FIRST = """
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, name text NOT NULL DEFAULT '');
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint, total numeric, note text);
"""
ROWS = """
INSERT INTO {in_}customers (email, name) SELECT 'c' || n || '@example.com', 'n' || n FROM generate_series(1, 50) n;
INSERT INTO {in_}orders (customer_id, total, note) SELECT 1 + n % 50, n, n::text FROM generate_series(1, 100) n;
"""
SECOND = """
ALTER TABLE customers ADD COLUMN vip boolean NOT NULL DEFAULT false;
ALTER TABLE orders ADD CONSTRAINT orders_total_positive CHECK (total > 0);
"""
SETTINGS = """
accept = ["add-check-validates:orders.orders_total_positive: small tables"]
lock_attempts = 2
lock_timeout_ms = 100
[environments.control]
url = "env:CONTROL_URL"
[fleets.tenants]
waves = ["label:canary", "1%", "10%", "rest"]
max_failures = 1
max_parallel = {parallel}
max_parallel_per_server = {parallel}
unfit = "set_aside"
backup = "none"
"""
RUN = """
import sys, safemig
from safemig.errors import SafemigError
try:
    done = safemig.Project.open(sys.argv[1]).fleet_migrate(resume=sys.argv[2])
    print(done.verdict, len(done.members), flush=True)
except SafemigError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""
HAS_IT = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(%(customers)s) AND attname = 'vip'),
       EXISTS (SELECT FROM pg_constraint WHERE conname = 'orders_total_positive' AND connamespace = %(schema)s::regnamespace)
"""
OUR_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'safemig%'"


@dataclass
class Show:
    """A fleet with its faults, and what was seen of it."""

    server: ThrowawayServer
    folder: Path
    count: int
    schemas: bool
    names: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.names = [f"t{number:05}" for number in range(self.count)]
        self.drifted, self.violating = self.names[10:15], self.names[20:23]
        behind = self.count // 2 + 4  # where the runner is no longer killed
        self.locked, self.unreachable = self.names[behind : behind + 2]

    @property
    def project(self) -> Project:
        """The project, opened again."""
        return Project.open(self.folder)

    def url(self, name: str) -> str:
        """Return where a member is."""
        return self.server.url("tenants" if self.schemas else name)

    def on(self, name: str, sql: str) -> None:
        """Run SQL on one member."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            if self.schemas:
                connection.execute(f"SET search_path = {name}".encode())
            connection.execute(sql.encode())

    def make(self) -> None:
        """Make the members, their faults, the control database and the project."""
        (self.folder / "supabase" / "migrations").mkdir(parents=True)
        for name, text in ((FIRST_FILE, FIRST), (SECOND_FILE, SECOND)):
            (self.folder / "supabase" / "migrations" / name).write_text(text)
        self._make_schemas() if self.schemas else self._make_databases()
        for name in self.drifted:
            self.on(name, "ALTER TABLE orders ADD COLUMN by_hand text")
        for name in self.violating:
            self.on(name, "UPDATE orders SET total = -1 WHERE id < 4")
        control = self.server.create_database("control")
        with psycopg.connect(control, autocommit=True) as connection:
            connection.execute("CREATE TABLE tenants (name text, url text, canary boolean)")
            for name in self.names:
                url = (
                    make_conninfo(self.server.url("nowhere"), port="1") if name == self.unreachable else self.url(name)
                )
                connection.execute("INSERT INTO tenants VALUES (%s, %s, %s)", (name, url, name in self.names[:2]))
        os.environ["CONTROL_URL"] = self.server.url("tenants") if self.schemas else control
        if self.schemas:
            with psycopg.connect(self.server.url("tenants"), autocommit=True) as connection:
                connection.execute("CREATE TABLE public.tenants (schema text, canary boolean)")
                for name in self.names:
                    called = "no_such_schema" if name == self.unreachable else name
                    connection.execute("INSERT INTO public.tenants VALUES (%s, %s)", (called, name in self.names[:2]))
        source = (
            'schemas = "sql: select schema, canary from public.tenants order by 1 on control"'
            if self.schemas
            else 'members = "sql: select name, url, canary from tenants order by name on control"'
        )
        parallel = "8" if self.count >= 150 else "2"  # so that there is time to kill something
        (self.folder / "safemig.toml").write_text(f"{SETTINGS.replace('{parallel}', parallel)}{source}\n")

    def _make_databases(self) -> None:
        with psycopg.connect(self.server.create_database("template_tenant"), autocommit=True) as connection:
            connection.execute(FIRST.encode())
            connection.execute(ROWS.format(in_="").encode())
            make_history(connection)
            sha256 = hashlib.sha256(FIRST.encode()).hexdigest()
            record_applied(connection, FIRST_FILE[:14], "first", [FIRST], sha256, "made")
        for name in self.names:
            if name != self.unreachable:
                self.server.create_database(name, template="template_tenant")

    def _make_schemas(self) -> None:
        sha256 = hashlib.sha256(FIRST.encode()).hexdigest()
        with psycopg.connect(self.server.create_database("tenants"), autocommit=True) as connection:
            for name in self.names:
                if name == self.unreachable:
                    continue
                connection.execute(f"CREATE SCHEMA {name}; SET search_path = {name}; {FIRST}".encode())
                connection.execute(ROWS.format(in_="").encode())
                connection.execute(MAKE.format(table=f"{name}.{TABLE}").encode())
                connection.execute(
                    f"INSERT INTO {name}.{TABLE} (version, name, sha256, statements) VALUES (%s, 'first', %s, '{{}}')".encode(),
                    (FIRST_FILE[:14], sha256),
                )

    # What is true -----------------------------------------------------------------------------------------------------

    def truth(self) -> dict[str, str]:
        """Return each member's newest version, asked without safemig; fails where a member is half migrated."""

        def ask(name: str) -> tuple[str, str]:
            if name == self.unreachable:
                return ("no_such_schema" if self.schemas else name), ""
            history = f"{name}.{TABLE}" if self.schemas else "supabase_migrations.schema_migrations"
            schema = name if self.schemas else "public"
            with psycopg.connect(self.url(name)) as connection:
                connection.execute(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )  # others may commit now
                ((version,),) = connection.execute(f"SELECT max(version) FROM {history}".encode()).fetchall()
                asked = {"customers": f"{schema}.customers", "schema": schema}
                ((column, check),) = connection.execute(HAS_IT.encode(), asked).fetchall()
            assert column == check == (version == SECOND_FILE[:14]), (
                f"{name} is half migrated: {column} {check} {version}"
            )
            return name, version

        with ThreadPoolExecutor(8) as pool:
            return dict(pool.map(ask, self.names))

    def require_true_matrix(self) -> Counter[str]:
        """Hold the matrix against the truth; return how many members have which version."""
        deadline = time.monotonic() + 30
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            while connection.execute(OUR_SESSIONS).fetchone() != (0,):
                assert time.monotonic() < deadline, "sessions of a killed run stay"
                time.sleep(0.1)
        started, processor_s = time.monotonic(), self.processor_s()
        matrix = self.matrix()
        self.figures["matrix_s"] = time.monotonic() - started
        self.figures["matrix_processor_s"] = self.processor_s() - processor_s
        truth = self.truth()
        assert matrix == truth, {name: (matrix[name], truth[name]) for name in truth if matrix[name] != truth[name]}
        return Counter(truth.values())

    def matrix(self) -> dict[str, str]:
        """Return each member's version as the matrix has it; fails where the state does not go with it."""
        found = {}
        for each in self.project.fleet_status(drift=False).members:
            expected = "current" if each.version == SECOND_FILE[:14] else "pending" if each.version else "unreachable"
            assert each.state == expected, each
            found[each.name] = each.version
        return found

    def require_true_matrix_meanwhile(self) -> None:
        """Hold the matrix against the truth while a run goes on: no member is behind what it was, or ahead of what it is."""
        before, matrix, after = self.truth(), self.matrix(), self.truth()
        assert before.keys() == matrix.keys()
        wrong = {name: matrix[name] for name in matrix if not before[name] <= matrix[name] <= after[name]}
        assert not wrong, wrong

    def processor_s(self) -> float:
        """Return the processor time until now of this process, of those that it started, and of the server with its sessions."""
        postmaster = psutil.Process(int((self.server.folder / "data" / "postmaster.pid").read_text().split()[0]))
        times = [sum(psutil.Process().cpu_times()[:4]), sum(postmaster.cpu_times()[:4])]
        for session in postmaster.children():
            with suppress(psutil.Error):
                times.append(sum(session.cpu_times()[:2]))
        return float(sum(times))

    # What goes wrong --------------------------------------------------------------------------------------------------

    def run(self, plan_id: str, until: Callable[[subprocess.Popen[str]], None] | None = None) -> tuple[int, str]:
        """Run the deployment in a process of its own; `until` may kill something of it. Return exit code and answer."""
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(self.folder), plan_id],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        measured = threading.Thread(target=self._measure_memory, args=[process])
        measured.start()
        if until:
            until(process)
        answer = process.communicate(timeout=7200)[0]
        measured.join()
        return process.returncode, answer

    def _measure_memory(self, process: subprocess.Popen[str]) -> None:
        """Keep the largest sum of what the runner and all of its processes have in memory, pages shared counted once."""
        while process.poll() is None:
            total = processes = 0
            with suppress(psutil.Error):
                for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                    with suppress(psutil.Error, OSError):
                        if each.name() != "postgres":  # the rehearsal's throwaway server
                            total += each.memory_full_info().pss
                            processes += 1
            if total / 2**20 > self.figures.get("memory_mb", 0):
                self.figures |= {"memory_mb": total / 2**20, "processes": processes}
            time.sleep(0.5)

    def done(self) -> int:
        """Return how many members have the change."""
        return sum(version == SECOND_FILE[:14] for version in self.truth().values())

    def told(self) -> int:
        """Return how many members have the change by the runner's journal: only when to strike, for to ask all takes long."""
        journal = self.folder / "records" / "tenants" / "journal.jsonl"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return len({line["member"] for line in map(json.loads, lines) if line.get("outcome") == "deployed"})

    def wait_for(self, process: subprocess.Popen[str], count: int) -> bool:
        """Wait until so many members have the change; False where the run ended before."""
        while process.poll() is None:
            if self.told() >= count:
                return True
            time.sleep(0.2)
        return False

    def kill_runner_at(self, count: int) -> Callable[[subprocess.Popen[str]], None]:
        """Return what kills the runner once so many members have the change."""

        def kill(process: subprocess.Popen[str]) -> None:
            if self.wait_for(process, count):
                os.kill(process.pid, signal.SIGKILL)
                self.kills["runner"] += 1

        return kill

    def kill_workers(self, at: list[int]) -> Callable[[subprocess.Popen[str]], None]:
        """Return what kills a worker each time that so many members have the change, and looks at the matrix."""

        def kill(process: subprocess.Popen[str]) -> None:
            for count in at:
                if not self.wait_for(process, count):
                    return
                ours = [
                    each for each in psutil.Process(process.pid).children() if "spawn_main" in " ".join(each.cmdline())
                ]
                if ours:
                    random.choice(ours).kill()
                    self.kills["worker"] += 1
                    self.require_true_matrix_meanwhile()

        return kill


def show(
    server: ThrowawayServer,
    folder: Path,
    count: int,
    *,
    schemas: bool = False,
    calm: bool = False,
    tell: Callable[[str], None] = print,
) -> Show:
    """Play the whole of it, and return what was measured; an assertion fails where something is not as it must be."""
    made = Show(server, folder, count, schemas)
    started = time.monotonic()
    made.make()
    tell(f"{count} members made in {time.monotonic() - started:.0f} s")
    assert made.require_true_matrix()[FIRST_FILE[:14]] == count - 1
    tell(
        f"matrix of {count}: {made.figures['matrix_s']:.1f} s, {made.figures['matrix_processor_s']:.1f} s of the processor, true"
    )
    begun, processor_s = time.monotonic(), made.processor_s()
    plan = made.project.fleet_plan()
    tell(
        f"plan: {time.monotonic() - begun:.1f} s, {made.processor_s() - processor_s:.1f} s of the processor, {len(plan.members)} members, "
        f"{len(plan.cohorts)} cohorts, {plan.checks_made} checks of rows, {len(plan.set_aside)} set aside"
    )
    gone = "no_such_schema" if schemas else made.unreachable
    assert {each.member for each in plan.set_aside} == {*made.drifted, *made.violating, gone}
    assert all("total" in each.why for each in plan.set_aside if each.member in made.violating)
    assert all("by_hand" in each.why for each in plan.set_aside if each.member in made.drifted)
    fit = len(plan.members)
    if not calm:
        fault(made, plan.id, fit, tell)
    first = made.done()
    wanted = [first + max(1, int((fit - first) * share)) for share in (0.05, 0.2, 0.35, 0.5, 0.65)]
    begun, processor_s = time.monotonic(), made.processor_s()
    code, answer = made.run(plan.id, None if calm else made.kill_workers(wanted))
    seconds, processor_s = time.monotonic() - begun, made.processor_s() - processor_s
    tell(f"workers killed {made.kills['worker']} times; exit code {code}: {answer.strip()}")
    assert code == 0, answer
    counts = made.require_true_matrix()
    assert counts[SECOND_FILE[:14]] == fit, counts
    made.figures["member_s"] = seconds / max(1, fit - first)
    made.figures["member_processor_s"] = processor_s / max(1, fit - first)
    tell(f"{fit - first} members in {seconds:.0f} s with rehearsal{'' if calm else ' and kills'}: {made.figures['member_s']:.2f} s each, "
         f"{made.figures['member_processor_s']:.2f} s of the processor")  # fmt: skip
    begun = time.monotonic()
    code, answer = made.run(plan.id)
    tell(f"a third run: exit code {code}, {answer.strip()}, {time.monotonic() - begun:.1f} s")
    assert code == 0, answer
    assert answer.startswith("NOTHING TO DEPLOY")
    assert made.require_true_matrix() == counts
    tell(f"memory: at most {made.figures['memory_mb']:.0f} MB in {made.figures['processes']:.0f} processes together; "
         f"matrix {made.figures['matrix_s']:.1f} s, {made.figures['matrix_processor_s']:.1f} s of the processor")  # fmt: skip
    return made


def fault(made: Show, plan_id: str, fit: int, tell: Callable[[str], None]) -> None:
    """Kill the runner twice, then let it stop at the locked member."""
    with psycopg.connect(made.url(made.locked)) as holder:  # an idle transaction that never ends
        lock = f"LOCK TABLE {made.locked + '.' if made.schemas else ''}customers".encode()
        if not made.schemas:  # of one database the copy would wait for the lock: see below
            holder.execute(lock)
        for share in (0.1, 0.25):
            made.run(plan_id, made.kill_runner_at(max(1, int(fit * share))))
            tell(f"runner killed; matrix true: {dict(made.require_true_matrix())}")
        holder.execute(lock)
        code, answer = made.run(plan_id)
        stopped = made.require_true_matrix()[SECOND_FILE[:14]]
        tell(
            f"stopped by the locked member with exit code {code} at {stopped}: {answer.splitlines()[0] if answer else ''}"
        )
        assert code == (1 if made.schemas else 4), answer
        assert made.locked in answer
        holder.rollback()


def main() -> None:
    """Play it and print what is seen."""
    numbers = [each for each in sys.argv[1:] if each.isdigit()]
    count = int(numbers[0]) if numbers else 200
    limits = {"autovacuum": "off", "max_connections": "200", "max_wal_size": "8GB"}
    with ThrowawayServer.start(settings=limits) as server, tempfile.TemporaryDirectory() as folder:
        try:
            made = show(
                server, Path(folder) / "fleet", count, schemas="--schemas" in sys.argv, calm="--calm" in sys.argv
            )
        except SafemigError as error:
            sys.exit(str(error))
        assert "--calm" in sys.argv or made.kills == {"runner": 2, "worker": 5}, made.kills


if __name__ == "__main__":
    main()
