"""Measure the schema diff beside migra (PyPI), in one run on the same databases; print seconds, memory and ratios.

    python benchmarks/schema_diff [TABLES ...]            beside migra; 20, 1,000 and 10,000 tables where none are said
    python benchmarks/schema_diff --scaling [SHAPE ...]   safemig alone, at sizes that double: none may grow faster
    python benchmarks/schema_diff --reading [TABLES ...]  safemig's reading beside its catalog queries alone

The shapes are tables, partitions (of one table) and columns (1,600 a table).

Whole commands are timed, start-up included, in turn, the other tool first; the best counts, for both. migra is
installed into a temporary virtual environment of its own. No test, and no claim about what the two find.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import synthetic
from peers import installed_migra

import safemig
from safemig.postgres.catalog import read_schema
from safemig.postgres.catalog.snapshot import Snapshot
from safemig.postgres.server.throwaway import ThrowawayServer

SAFEMIG = Path(sys.executable).with_name("safemig")
SIZES = (20, 1_000, 10_000)
SHAPES: dict[str, tuple[Callable[[int], Iterable[str]], Callable[[int], Iterable[str]], tuple[int, ...]]] = {
    "tables": (synthetic.tables, synthetic.changes, (1_000, 2_000, 4_000, 8_000)),
    "partitions": (synthetic.partitions, synthetic.partition_changes, (250, 500, 1_000, 2_000)),
    "columns": (synthetic.wide, synthetic.wide_changes, (5, 10, 20, 40)),
}
# Many tables are made in one transaction here, and each takes locks until its end.
SETTINGS = {"autovacuum": "off", "max_locks_per_transaction": "1024", "shared_buffers": "512MB"}
STATEMENTS_A_TRANSACTION = 1_000
RUNS_OF_READING = 15


def main() -> None:
    """Run the benchmark that was asked for."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as pip leaves both: compiled
    if sys.argv[1:2] == ["--scaling"]:
        scaling(sys.argv[2:] or list(SHAPES))
    elif sys.argv[1:2] == ["--reading"]:
        reading([int(size) for size in sys.argv[2:]] or SIZES)
    else:
        side_by_side([int(size) for size in sys.argv[1:]] or SIZES)


def side_by_side(sizes: Sequence[int]) -> None:
    """Compare two databases of which one in a hundred tables differs, then equal ones, then an empty one with both."""
    with tempfile.TemporaryDirectory() as folder, ThrowawayServer.start(settings=SETTINGS) as server:
        migra = installed_migra(Path(folder))
        print(
            f"PostgreSQL {server.programs.version}, {os.cpu_count()} processors; seconds, and peak memory of the client"
        )
        for size in sizes:
            runs = 10 if size < 500 else 5 if size < 5_000 else 2
            with databases(server, synthetic.tables, synthetic.changes, size) as (base, same, changed, empty):
                print(
                    f"\n{size:,} tables{'':14} {'migra':>16} {'safemig':>16} {'ratio':>8} {'safemig.diff() in Python':>26}"
                )
                for words, one, other in (
                    ("1 in 100 differs", base, changed),
                    ("equal", base, same),
                    ("from an empty one", empty, base),
                    ("to an empty one", base, empty),
                ):
                    theirs, ours = fastest(
                        runs, [[migra, "--unsafe", one, other], [SAFEMIG, "diff", "--from", one, "--to", other]]
                    )
                    within = warm(one, other, runs)
                    print(
                        f"  {words:22} {told(*theirs):>16} {told(*ours):>16} {theirs[0] / ours[0]:>7.1f}x {within:>24.2f} s"
                    )


def scaling(shapes: Sequence[str]) -> None:
    """Time safemig on its own at sizes that double; print seconds, and by how much each is above the one before."""
    with ThrowawayServer.start(settings=SETTINGS) as server:
        print(f"PostgreSQL {server.programs.version}; seconds of safemig.diff(), and times the size before")
        for shape in shapes:
            make, change, sizes = SHAPES[shape]
            print(f"\n{shape:24}" + "".join(f"{words:>22}" for words in ("changed", "equal", "from empty", "to empty")))
            before: list[float] = []
            for size in sizes:
                with databases(server, make, change, size) as (base, same, changed, empty):
                    pairs = (base, changed), (base, same), (empty, base), (base, empty)
                    seconds = [warm(one, other, 2) for one, other in pairs]
                factors = [f"(x {now / then:.1f})" for now, then in zip(seconds, before, strict=False)] or [""] * len(
                    seconds
                )
                print(
                    f"  {size:>20,}  "
                    + "".join(f"{now:>13.2f} {factor:>8}" for now, factor in zip(seconds, factors, strict=True))
                )
                before = seconds


def reading(sizes: Sequence[int]) -> None:
    """Time `read_schema` beside the same queries by psycopg alone, whose rows are fetched and thrown away."""
    with ThrowawayServer.start(settings=SETTINGS) as server:
        print(f"PostgreSQL {server.programs.version}; seconds, and of them the processor time of this process")
        for size in sizes:
            with (
                databases(server, synthetic.tables, synthetic.changes, size) as (base, *_),
                connect(base) as connection,
            ):
                queries = queries_of_reading(connection)
                best = [(float("inf"), float("inf"))] * 2
                for _ in range(RUNS_OF_READING):
                    for at, act in enumerate(
                        (partial(queries_alone, connection, queries), partial(read_schema, connection))
                    ):
                        started, spent = time.perf_counter(), time.process_time()
                        act()
                        taken = time.perf_counter() - started, time.process_time() - spent
                        best[at] = min(best[at], taken)
            (alone, alone_here), (ours, ours_here) = best
            print(
                f"{size:>8,} tables   queries alone {alone:.3f} ({alone_here:.3f})   read_schema {ours:.3f} ({ours_here:.3f})"
                f"   {ours / alone - 1:+.0%}"
            )


def connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(url, autocommit=True)


def queries_of_reading(connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[str, dict[str, Any]]]:
    """Return the queries that one reading sends, with their parameters."""
    found: list[tuple[str, dict[str, Any]]] = []
    send = Snapshot.send

    def note(self: Snapshot, queries: Iterable[str], **parameters: Any) -> None:
        sent = list(queries)
        found.extend((query, {"namespaces": self.namespaces, **parameters}) for query in sent)
        send(self, sent, **parameters)

    with patch.object(Snapshot, "send", note):
        read_schema(connection)
    return found


def queries_alone(
    connection: psycopg.Connection[tuple[Any, ...]], queries: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    with connection.transaction(), connection.pipeline():
        cursors = [connection.cursor().execute(query, parameters, prepare=False) for query, parameters in queries]
        for cursor in cursors:
            cursor.fetchall()


@contextmanager
def databases(
    server: ThrowawayServer,
    make: Callable[[int], Iterable[str]],
    change: Callable[[int], Iterable[str]],
    size: int,
) -> Iterator[tuple[str, str, str, str]]:
    """Make four databases: the schema, the same again, the changed one, an empty one; drop them at the end."""
    names = ("base", "same", "changed", "empty")
    base = server.create_database("base")
    execute(base, make(size))
    same = server.create_database("same", template="base")
    changed = server.create_database("changed", template="base")
    execute(changed, change(size))
    try:
        yield base, same, changed, server.create_database("empty")
    finally:
        for name in names:
            server.drop_database(name)


def execute(url: str, statements: Iterable[str]) -> None:
    """Run statements, then ANALYZE, as autovacuum would have done to the catalogs by the next morning."""
    waiting = list(statements)
    with psycopg.connect(url, autocommit=True) as connection:
        for start in range(0, len(waiting), STATEMENTS_A_TRANSACTION):
            connection.execute(";\n".join(waiting[start : start + STATEMENTS_A_TRANSACTION]).encode())
        connection.execute("ANALYZE")


def fastest(runs: int, commands: Sequence[Sequence[str | Path]]) -> list[tuple[float, int]]:
    """Run the commands in turn, `runs` times; return each one's least (seconds, bytes of memory)."""
    best = [(float("inf"), 0)] * len(commands)
    for _ in range(runs):
        for number, command in enumerate(commands):
            best[number] = min(best[number], timed(command))
    return best


def timed(command: Sequence[str | Path]) -> tuple[float, int]:
    """Run a command; return its seconds and its peak memory in bytes."""
    with tempfile.TemporaryFile() as complaints, tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=complaints)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        complaints.seek(0)
        # migra says by exit code 2 that it found something.
        if process.returncode not in (0, 2) or b"Traceback" in (words := complaints.read()):
            sys.exit(f"{command[0]} failed ({process.returncode}): {words.decode()[-2000:]}")
    return seconds, usage.ru_maxrss * 1024


def warm(one: str, other: str, runs: int) -> float:
    """Return the least seconds that `safemig.diff` and its script take in this process."""
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        _ = safemig.diff(one, other).safe_sql
        best = min(best, time.perf_counter() - started)
    return best


def told(seconds: float, size_bytes: int) -> str:
    """Return `0.21 s, 45 MB`."""
    return f"{seconds:.2f} s, {size_bytes / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
