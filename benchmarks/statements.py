"""Time the application's statements: 5,000 collected from pg_stat_statements, 1,000 tried before, after and rolled back.

    python benchmarks/statements.py

The bounds that they are held to: 2 s to collect, 10 s to try, on 2 cores.
"""

from __future__ import annotations

import time

import psycopg

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import Step
from safemig.workload.check import WorkloadTrial
from safemig.workload.counted import read_counted
from safemig.workload.merge import merged
from safemig.workload.statement import SeenWorkload

TABLES = 61  # a prime, as are the numbers of columns below: so that few statements are alike
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "10000",
    "pg_stat_statements.track": "top",
}


def statements(number: int) -> str:
    """Return one of many statements as ORMs write them."""
    table, other, width = number % TABLES, (number * 7 + 1) % TABLES, 3 + number % 17
    columns = ", ".join(f"t.c{place}" for place in range(width))
    match number % 5:
        case 0:
            return f"SELECT {columns} FROM t{table} t JOIN t{other} o ON o.id = t.id WHERE t.c{width} = 'x{number}' LIMIT {number}"
        case 1:
            return f"INSERT INTO t{table} (id, c{width}, c{(width + number) % 19}x) VALUES ({number}, 'x', 'y') RETURNING id"
        case 2:
            return f"UPDATE t{table} SET c{width} = 'x', c{number % 19}x = 'y' WHERE id = {number}"
        case 3:
            return f"SELECT count(*), t.c{number % 19} FROM t{table} t WHERE t.c{width} IN ('a', 'b') GROUP BY 2 ORDER BY {1 + number % 2}"
        case _:
            return f"DELETE FROM t{table} WHERE c{width} = 'x' AND c{number // 5 % 19}x = '{number}'"


def main() -> None:
    """Run both, and print what they took."""
    with ThrowawayServer.start(settings=SETTINGS) as server:
        url = server.create_database("app")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            for table in range(TABLES):
                columns = ", ".join(f"c{place} text, c{place}x text" for place in range(21))
                connection.execute(f"CREATE TABLE t{table} (id bigint PRIMARY KEY, {columns})".encode())
            for number in range(7200):
                connection.execute(statements(number).encode(), prepare=False)
            row = connection.execute("SELECT count(*) FROM pg_stat_statements").fetchone()
            assert row is not None
            began = time.monotonic()
            reading = read_counted(connection, "app")
            seen = merged(SeenWorkload("app"), reading)
            print(f"collected {len(seen.statements):,} of {row[0]:,} entries in {time.monotonic() - began:.2f} s")
            some = SeenWorkload("app", tuple(each for each in seen.statements if " t" in each.text)[:1000])
            step = Step(1, "m.sql", 1, "ALTER TABLE", "ALTER TABLE t1 DROP COLUMN c3")
            began = time.monotonic()
            with WorkloadTrial(url, some) as trial:
                trial.before((step,))
                before = time.monotonic() - began
                connection.execute("ALTER TABLE t1 DROP COLUMN c3")
                trial.after()
                after = time.monotonic() - began - before
                connection.execute("ALTER TABLE t1 ADD COLUMN c3 text")
                trial.after_rollback()
                result = trial.result((step,))
            took = time.monotonic() - began
            print(
                f"tried {len(some.statements):,} before ({before:.2f} s), after ({after:.2f} s) and rolled back: {took:.2f} s in all, "
                f"{result.checked:,} checked, {len(result.findings)} findings"
            )


if __name__ == "__main__":
    main()
