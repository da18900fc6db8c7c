"""How the workflow takes a database of many tables: each stage's seconds beside one pg_dump and one restore of it.

    python benchmarks/many_tables.py [TABLES ...] [status] [generate] [deploy]      (1000, 3000 and 10000; all acts)

Each table has two indexes, a primary key's among them, and every tenth a foreign key. Bars: migrate_prod takes at most
four times what one pg_dump and one restore take in the same run, by processor time, which a busy machine does not
change; this process never takes more than 1 GB; nothing waits two seconds without progress. Linux only.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project
from safemig.result import use_listener
from safemig.results import Live

SIZES = (1_000, 3_000, 10_000)
TABLE = """
CREATE TABLE t_{n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now(),
  parent bigint{reference});
CREATE INDEX t_{n}_name_idx ON t_{n} (name);
"""
ROWS = "INSERT INTO t_{n} (name) VALUES ('a'), ('b')"
PENDING = "ALTER TABLE t_1 ADD COLUMN note text;\n"
HISTORY = """
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations VALUES ('20260101000000', NULL, 'first');
"""
ACTS = ("status", "generate", "deploy")
STAGES = ("preflight", "review", "plan", "backup", "rehearse", "approve", "deploy", "validate")


def main() -> None:
    """Measure every size in turn."""
    acts = [each for each in sys.argv[1:] if each in ACTS] or ACTS
    for tables in [int(each) for each in sys.argv[1:] if each not in ACTS] or SIZES:
        measure(tables, acts)


def measure(tables: int, acts: Sequence[str]) -> None:
    """Fill a production and a staging, run the workflow, and print what each stage took."""
    settings = {"max_locks_per_transaction": str(max(64, tables // 10))}
    with tempfile.TemporaryDirectory() as name, ThrowawayServer.start(settings=settings) as server:
        folder = Path(name)
        urls = {"production": server.create_database("production")}
        fill(urls["production"], tables)
        by_files = " STRATEGY file_copy" if server.major >= 15 else ""
        urls["staging"] = server.create_database("staging", options=sql.SQL("TEMPLATE production" + by_files))
        os.environ |= {f"{each.upper()}_DATABASE_URL": url for each, url in urls.items()}
        Project.init(folder)
        project = Project.open(folder)
        first = "".join(made(n) for n in range(1, tables + 1))
        (project.settings.path("migrations") / "20260101000000_first.sql").write_text(first)
        print(f"\n{tables:,} tables, {2 * tables:,} indexes, PostgreSQL {server.programs.version}")
        print(f"  {'':28}{'by the clock':>14}{'processor':>12}")
        if "status" in acts:
            timed("status, first", project.db_status)
            timed("status, again", project.db_status)
        with psycopg.connect(urls["staging"], autocommit=True) as connection:
            connection.execute(PENDING.encode())
        if "generate" in acts:
            timed("generate", lambda: project.generate("note"))
            timed("migrate_staging", project.migrate_staging)
        else:
            (project.settings.path("migrations") / "20260102000000_note.sql").write_text(PENDING)
        if "deploy" in acts:
            deploy(project, lambda: plain_tools(server, urls["production"], folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  {'peak memory of this process':28}{peak:8,.0f} MB (bar 1,000)")


def deploy(project: Project, plain: Callable[[], None]) -> None:
    """Deploy what is pending stage by stage, and take it back; the plain tools run before it and after it.

    Where other work shares the cores, the same work takes more processor time: by two runs their share counts in both.
    """
    run = project.deployment(approve=project.plan().id)
    theirs = [timed("pg_dump and one restore", plain)]
    stages = [timed(f"migrate_prod: {each}", getattr(run, each)) for each in STAGES]
    theirs.append(timed("pg_dump and restore, again", plain))
    whole = Spent(sum(each.seconds for each in stages), sum(each.processor_s for each in stages))
    times = whole.processor_s / (sum(each.processor_s for each in theirs) / len(theirs))
    print(f"  {'migrate_prod, whole':28}{whole}: {times:.2f} times pg_dump and restore (bar 4.00)")
    timed("rollback_prod", lambda: project.rollback_prod(ask=as_asked))
    timed("status, last", project.db_status)


def made(n: int) -> str:
    """Return the SQL of one table; every tenth refers to the one before it."""
    return TABLE.format(n=n, reference=f" REFERENCES t_{n - 1}" if n % 10 == 0 else "")


def as_asked(question: str) -> str:
    """Answer the question for an approval with what it asks to be typed."""
    return question.partition("Type  ")[2].partition("  to approve")[0]


def fill(url: str, tables: int) -> None:
    """Make the tables, some in each transaction, and the history that says so."""
    with psycopg.connect(url, autocommit=True) as connection:
        for first in range(1, tables + 1, 20):
            some = range(first, min(first + 20, tables + 1))
            connection.execute("".join(made(n) + ROWS.format(n=n) + ";" for n in some).encode())
        connection.execute(HISTORY)
        connection.execute("VACUUM ANALYZE")


@dataclass(frozen=True, slots=True)
class Spent:
    """What an act took: by the clock, and of the processor, with all programs and servers that worked for it."""

    seconds: float
    processor_s: float

    def __str__(self) -> str:
        return f"{self.seconds:12.1f} s{self.processor_s:10.1f} s"

    @classmethod
    def now(cls) -> Spent:
        """Return what this process and all its descendants took so far, those that have ended among them."""
        own = os.times()
        return cls(time.perf_counter(), sum(own[:4]) + sum(map(ticks_of, descendants(os.getpid()))) / TICKS_PER_SECOND)

    def since(self, before: Spent) -> Spent:
        """Return what was taken since an earlier moment."""
        return Spent(self.seconds - before.seconds, self.processor_s - before.processor_s)


TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have, as far as they still run."""
    children = [
        int(each)
        for tasks in Path(f"/proc/{pid}/task").glob("*/children")
        for each in (tasks.read_text().split() if tasks.exists() else ())
    ]
    return [one for child in children for one in (child, *descendants(child))]


def ticks_of(pid: int) -> int:
    """Return the ticks of the processor that a process took, with its children that have ended; 0 once it has itself."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, re.sub(r"^.*\) ", "", stat).split()[11:15]))  # utime, stime, cutime, cstime


def plain_tools(server: ThrowawayServer, url: str, folder: Path) -> None:
    """Run one pg_dump, and one restore of it by psql."""
    dump, copy = folder / "plain.sql", server.create_database("plain")
    with dump.open("wb") as file:
        subprocess.run([server.programs.path("pg_dump"), "--dbname", url], stdout=file, check=True)
    psql = [server.programs.path("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, "-f", dump, "-d", copy]
    subprocess.run(psql, check=True)
    server.drop_database("plain")


class Waits:
    """How long an act told of no stage and no statement that runs."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self.longest = 0.0

    def told(self, moment: Live | None) -> None:
        """Take note of a moment of an act, or of its end."""
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._since)
        runs = moment and any(each.state in ("running", "waiting") for each in (*moment.stages, *moment.steps))
        self._since = float("inf") if runs else now


def timed(name: str, act: Callable[[], object]) -> Spent:
    """Run `act`, print what it took and the longest wait in which it told nothing, and return what it took."""
    waits = Waits()
    use_listener(lambda: waits.told)
    begun = Spent.now()
    try:
        act()
    finally:
        use_listener(lambda: None)
    spent = Spent.now().since(begun)
    waits.told(None)
    silent = f", {waits.longest:.1f} s without progress" if waits.longest > 2 else ""
    print(f"  {name:28}{spent}{silent}", flush=True)
    return spent


if __name__ == "__main__":
    main()
