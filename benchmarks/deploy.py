"""Measure what the care of a deployment costs; print seconds and ratios of one run on one machine.

    python benchmarks/deploy.py [MEGABYTES]

A throwaway PostgreSQL with that much data (512 by default) is production. Each pair is timed in turn, the plain tool
first; the best of three counts, for both. Bars: a deployment without backup and rehearsal adds less than 1 s to
`psql -1 -f` of the same migration; a backup, its hashes included, takes at most 1.15 times as long as `pg_dump`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from safemig.operations.backup_prod import backup_prod
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project

RUNS = 3
FIRST = """
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, profile jsonb);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL REFERENCES users,
  total numeric(10,2), note text, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON orders (user_id);
"""
# About 1 MB with its indexes; text that does not compress to nothing.
ROWS_PER_MB = """
INSERT INTO users SELECT n, md5(n::text) || '@example.com', jsonb_build_object('name', md5(n::text), 'age', n % 90)
FROM generate_series({first}, {last_user}) n;
INSERT INTO orders (user_id, total, note) SELECT {first} + n % {users}, n, md5(n::text) || md5((n * 7)::text)
FROM generate_series(1, {orders}) n;
"""
USERS, ORDERS = 1_200, 4_400
_numbers = itertools.count(2)


def main() -> None:
    """Fill a production, and measure."""
    megabytes = int(sys.argv[1]) if sys.argv[1:] else 512
    with tempfile.TemporaryDirectory() as name, ThrowawayServer.start(settings={"fsync": "on"}) as server:
        folder = Path(name)
        url = server.create_database("production")
        os.environ |= {"PRODUCTION_DATABASE_URL": url, "STAGING_DATABASE_URL": url}
        Project.init(folder)
        project = Project.open(folder)
        (project.settings.path("migrations") / "20260101000000_first.sql").write_text(FIRST)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FIRST.encode())
            for megabyte in range(megabytes):
                first = 1 + megabyte * USERS
                values = {"first": first, "last_user": first + USERS - 1, "users": USERS, "orders": ORDERS}
                connection.execute(ROWS_PER_MB.format(**values).encode())
            connection.execute(
                "CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations "
                "(version text PRIMARY KEY, statements text[], name text);"
                "INSERT INTO supabase_migrations.schema_migrations VALUES ('20260101000000', NULL, 'first')"
            )
            connection.execute("VACUUM ANALYZE")
            ((size,),) = connection.execute("SELECT pg_database_size(current_database())").fetchall()
        print(f"production: {size / 1e6:,.0f} MB, PostgreSQL {server.programs.version}\n")
        measure_backup(project, server, url, folder)
        measure_deployment(project, server, url, folder, size)


def measure_backup(project: Project, server: ThrowawayServer, url: str, folder: Path) -> None:
    """Time a backup without reading it back beside pg_dump of the same."""

    def plain() -> None:
        with (folder / "plain.sql").open("wb") as file:
            subprocess.run([server.programs.path("pg_dump"), "--dbname", url], stdout=file, check=True)
            os.fsync(file.fileno())

    ours = folder / "ours"
    theirs_s, ours_s = pair(plain, lambda: backup_prod(project.settings, folder=ours, read=False))
    print(
        f"pg_dump {theirs_s:.2f} s, backup with rows and sha256 of each table {ours_s:.2f} s: {ours_s / theirs_s:.2f} times"
    )
    for form, compression in (("plain", "zstd"), ("directory", "none"), ("directory", "zstd")):
        settings = project.settings.model_copy(update={"backup_format": form, "compression": compression})
        backups = [backup_prod(settings, folder=ours, read=False) for _ in range(RUNS)]
        best = min(backups, key=lambda each: each.seconds)
        told = "".join(f"; {note}" for note in best.notes)
        print(f"  as {form}, {compression}: {best.seconds:.2f} s, {best.full.size_bytes / 1e6:,.0f} MB{told}")


def measure_deployment(project: Project, server: ThrowawayServer, url: str, folder: Path, size: int) -> None:
    """Time the steps of deployments beside psql -1 of the same migration."""
    theirs: list[float] = []
    steps: list[dict[str, float]] = []
    for _ in range(RUNS):
        number = next(_numbers)
        sql = f"ALTER TABLE orders ADD COLUMN IF NOT EXISTS extra_{number} text;\n"
        by_hand = folder / "by_hand.sql"
        by_hand.write_text(sql.replace("extra_", "by_hand_"))
        psql = [server.programs.path("psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", by_hand, "-d", url]
        theirs.append(timed(lambda: subprocess.run(psql, check=True)))  # noqa: B023 - called at once
        with psycopg.connect(url, autocommit=True) as connection:  # else it were drift
            connection.execute(f"ALTER TABLE orders DROP COLUMN by_hand_{number}".encode())
        (project.settings.path("migrations") / f"202601{number:02}000000_step.sql").write_text(sql)
        run = project.deployment(approve=project.plan().id)
        names = ("preflight", "review", "plan", "backup", "rehearse", "approve", "deploy", "validate")
        steps.append({name: timed(getattr(run, name)) for name in names})
    best = {name: min(each[name] for each in steps) for name in steps[0]}
    print("\n" + "  ".join(f"{name} {seconds:.2f} s" for name, seconds in best.items()))
    print(f"preflight before the first deployment, where drift is measured: {steps[0]['preflight']:.2f} s")
    added = best["deploy"] - min(theirs)
    print(
        f"psql -1 {min(theirs):.2f} s, deploy {best['deploy']:.2f} s: {added:.2f} s added by lock, journal, validation, history"
    )
    others = sum(best[name] for name in best if name not in ("backup", "rehearse", "deploy"))
    print(f"all that is before and after it but backup and rehearsal: {others:.2f} s")
    whole = best["backup"] + best["rehearse"]
    print(f"backup, restored and dumped again, rehearsal and rollback: {whole:.2f} s, {whole / size * 1e9:.1f} s a GB")


def pair(theirs: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float]:
    """Return the best times of two that are run in turn."""
    times = [(timed(theirs), timed(ours)) for _ in range(RUNS)]
    return min(each[0] for each in times), min(each[1] for each in times)


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
