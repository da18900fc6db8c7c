"""Review a folder of migrations with safemig and with squawk, in one run on one machine; print the ratio.

    python benchmarks/review [FILES] [STATEMENTS]      1,500 files and 12,000 statements unless said

Two mixes: the statements of 65,000 in the migrations of 22 open projects, in their shares; and files of eight statements
of other shapes in each file, so that nothing is seen twice. Whole commands are timed, start-up included, in turn,
squawk first; the best of five counts, for both; safemig's cache is off, but for the line that says so.
squawk (PyPI: squawk-cli) is installed
into a temporary virtual environment of its own. No test, and no claim about what the two find.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

RUNS = 5
SAFEMIG = Path(sys.executable).with_name("safemig")
# How many of each there are in a hundred; {n} makes the names differ, {t} is one of a few tables.
MIX = (
    (24, "INSERT INTO app.settings (key, value) VALUES ('theme_{n}', 'dark'), ('lang_{n}', 'en');"),
    (14, "INSERT INTO app.roles_{t} (role_id, name) SELECT {n}, name FROM app.names WHERE name = 'r{n}' ON CONFLICT DO NOTHING;"),
    (14, "UPDATE app.orders_{t} SET note = 'n{n}' WHERE id = {n};"),
    (2, "UPDATE app.orders_{t} SET total = quantity * price;"),
    (7, "CREATE TABLE IF NOT EXISTS app.t{n} (id bigint PRIMARY KEY, owner_id bigint NOT NULL, name text NOT NULL, "
        "total numeric(12, 2) DEFAULT 0, made_at timestamptz NOT NULL DEFAULT now());"),
    (8, "ALTER TABLE app.orders_{t} ADD COLUMN IF NOT EXISTS extra_{n} text;"),
    (3, "ALTER TABLE app.orders_{t} DROP COLUMN legacy_{n};"),
    (6, "CREATE INDEX orders_{t}_extra_{n} ON app.orders_{t} (extra_{n});"),
    (1, "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_{t}_more_{n} ON app.orders_{t} (more_{n});"),
    (4, "ALTER TABLE app.items_{t} ADD CONSTRAINT items_order_{n} FOREIGN KEY (order_id) REFERENCES app.orders_{t} (id);"),
    (2, "ALTER TABLE app.items_{t} DROP CONSTRAINT items_order_{n};"),
    (2, "ALTER TABLE app.items_{t} ALTER COLUMN amount TYPE bigint;"),
    (1, "ALTER TABLE app.items_{t} ALTER COLUMN amount SET NOT NULL;"),
    (2, "DROP TABLE IF EXISTS app.old_{n};"),
    (1, "DELETE FROM app.settings WHERE key = 'theme_{n}';"),
    (3, "CREATE OR REPLACE FUNCTION app.f{n}(a int) RETURNS int LANGUAGE sql AS $$ SELECT a + {n} $$;"),
    (3, "COMMENT ON TABLE app.t{n} IS 'made by the benchmark';"),
    (3, "GRANT SELECT ON app.t{n} TO reader;"),
)  # fmt: skip


def main() -> None:
    """Write the folder, install squawk, and time both."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as pip leaves both: compiled
    files, statements = (*map(int, sys.argv[1:]), *(1_500, 12_000)[len(sys.argv) - 1 :])
    squawk: list[str | Path] = []
    paths: list[Path] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mixes = {
            "the mix of 22 projects": written(folder, files, statements),
            "eight shapes a file": shapes(folder, files),
        }
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        subprocess.run([folder / "venv/bin/pip", "install", "--quiet", "squawk-cli"], check=True, capture_output=True)
        squawk: list[str | Path] = [folder / "venv/bin/squawk", *paths]
        for name, paths in mixes.items():
            squawk = [folder / "venv/bin/squawk", *paths]
            ours: list[str | Path] = [SAFEMIG, "review", "--no-cache", "--format"]
            print(f"{name}: {files:,} files")
            for form in ("text", "json"):
                compare(squawk, [*ours, form, *paths], folder, form)
        print("the same files again, from the cache")
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        compare(squawk, [SAFEMIG, "review", *paths], folder, "text")
        print("one file")
        compare([*squawk[:2]], [SAFEMIG, "review", paths[0]], folder, "text")
    print("one page of SQL in a notebook's kernel")
    warm()


def warm() -> None:
    """Review a page of SQL in this process, as a notebook does; print the first time and the best of the next."""
    began = time.perf_counter()
    from safemig import review_sql

    loaded = time.perf_counter()
    page = "\n".join(text.format(n=n, t=n % 40) for n, (_, text) in enumerate(MIX * 3))
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        review_sql(page).render("html")
        took.append(time.perf_counter() - started)
    print(
        f"  {len(MIX) * 3} statements: {took[0] * 1000:.0f} ms at first, {min(took[1:]) * 1000:.0f} ms afterwards, drawn as HTML; "
        f"import safemig {(loaded - began) * 1000:.0f} ms"
    )


def written(folder: Path, files: int, statements: int) -> list[Path]:
    """Write the migrations, the same each time, and return their paths."""
    mix = [text for share, text in MIX for _ in range(share)]
    paths = []
    for number in range(files):
        path = folder / f"{20250101000000 + number}_step.sql"
        numbers = range(number * statements // files, (number + 1) * statements // files)
        # 37 has no factor in common with 100, so that the kinds come mixed and each as often as it should
        lines = [mix[n * 37 % len(mix)].format(n=n, t=n % 40) for n in numbers]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


TYPES = (
    "int",
    "bigint",
    "text",
    "varchar(80)",
    "numeric(12, 2)",
    "timestamptz",
    "date",
    "uuid",
    "jsonb",
    "boolean",
    "text[]",
    "inet",
)
CLAUSES = ("", " NOT NULL", " DEFAULT NULL", " NOT NULL DEFAULT now()::text", " CHECK (true)", " UNIQUE")


def shapes(folder: Path, files: int) -> list[Path]:
    """Write files of eight statements, no two of one shape, the same each time; return their paths."""
    chance = random.Random(8)
    paths = []
    for number in range(files):
        path = folder / f"{20260101000000 + number}_shapes.sql"
        path.write_text("\n".join(_shapes(chance, number)) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _shapes(chance: random.Random, n: int) -> list[str]:
    def columns(least: int, most: int, *, whole: bool = True) -> str:
        number = chance.randint(least, most)
        return ", ".join(
            f"c{i}" + (f" {chance.choice(TYPES)}{chance.choice(CLAUSES)}" if whole else "") for i in range(number)
        )

    def condition() -> str:
        tests = (
            f"c{i} {chance.choice(('=', '<', '>=', '<>'))} {chance.choice((str(i), f'$${i}$$', 'now()', 'c1 + 1'))}"
            for i in range(chance.randint(1, 5))
        )
        return chance.choice((" AND ", " OR ")).join(tests)

    added = ", ".join(
        f"ADD COLUMN a{i} {chance.choice(TYPES)}{chance.choice(CLAUSES[:3])}" for i in range(chance.randint(1, 4))
    )
    altered = chance.choice(
        ("SET NOT NULL", "DROP NOT NULL", "SET DEFAULT 1", f"TYPE {chance.choice(TYPES)}", "DROP DEFAULT")
    )
    unique, how = chance.choice(("", "UNIQUE ")), chance.choice(("", "CONCURRENTLY "))
    return [
        f"CREATE TABLE IF NOT EXISTS app.t{n} (id bigint PRIMARY KEY, {columns(2, 9)});",
        f"ALTER TABLE app.old{n % 40} {added};",
        f"ALTER TABLE app.old{n % 40} ALTER COLUMN c{n % 9} {altered}, DROP COLUMN IF EXISTS d{n};",
        f"CREATE {unique}INDEX {how}i{n} ON app.old{n % 40} ({columns(1, 4, whole=False)});",
        f"INSERT INTO app.t{n} ({columns(1, 6, whole=False)}) SELECT {columns(1, 6, whole=False)} FROM app.old{n % 40} "
        f"WHERE {condition()};",
        f"UPDATE app.old{n % 40} SET c{n % 5} = c{n % 3} || 'x' WHERE {condition()};",
        f"CREATE OR REPLACE VIEW app.v{n} AS SELECT {columns(1, 8, whole=False)} FROM app.old{n % 40} WHERE {condition()};",
        f"GRANT {', '.join(chance.sample(('SELECT', 'INSERT', 'UPDATE', 'DELETE'), chance.randint(1, 4)))} ON app.t{n} TO reader;",
    ]


def compare(other: Sequence[str | Path], ours: Sequence[str | Path], folder: Path, form: str) -> None:
    """Time both commands in turn; print each one's best, and the ratios of wall clock and of processor time."""
    best = {"squawk": (float("inf"), float("inf")), "safemig": (float("inf"), float("inf"))}
    for _ in range(RUNS):
        for name, command in (("squawk", other), ("safemig", ours)):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            wall = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            # Both say by exit codes that they found something; silence would mean that they did not run.
            if not answer.stdout.strip():
                sys.exit(f"{name} said nothing (exit code {answer.returncode}): {answer.stderr[-2000:]}")
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            best[name] = (min(best[name][0], wall), min(best[name][1], spent))
    for name, (wall, spent) in best.items():
        print(f"  {name:10} {wall:6.3f} s, {spent:6.3f} s of processor time{f' ({form})' if name == 'safemig' else ''}")
    wall, spent = (best["safemig"][index] / best["squawk"][index] for index in (0, 1))
    print(f"  safemig takes {wall:.2f} times what squawk takes ({spent:.2f} times the processor time)")


if __name__ == "__main__":
    main()
