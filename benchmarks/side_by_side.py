"""Measure safemig beside the tool that people know for the same job, in one run on one machine; print ratios.

    python benchmarks/side_by_side.py review [STATEMENTS]      against squawk (PyPI: squawk-cli)

Whole commands are timed, start-up included, in turn, the other tool first; the best of five counts, for both. The
other tool is installed into a temporary virtual environment of its own. No test, and no claim about what the two find.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

RUNS = 5
SAFEMIG = Path(sys.executable).with_name("safemig")
# What a migration usually holds; {n} makes the names differ.
STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS app.t{n} (id bigint PRIMARY KEY, name text NOT NULL, made_at timestamptz DEFAULT now());",
    "ALTER TABLE app.orders ADD COLUMN IF NOT EXISTS extra_{n} text;",
    "CREATE INDEX orders_extra_{n} ON app.orders (extra_{n});",
    "ALTER TABLE app.orders ALTER COLUMN extra_{n} SET NOT NULL;",
    "ALTER TABLE app.orders DROP COLUMN legacy_{n};",
    "ALTER TABLE app.items ADD CONSTRAINT items_order_{n} FOREIGN KEY (order_id) REFERENCES app.orders (id);",
    "COMMENT ON TABLE app.t{n} IS 'made by the benchmark';",
    "UPDATE app.orders SET name = lower(name) WHERE id = {n};",
    "CREATE OR REPLACE FUNCTION app.f{n}(a int) RETURNS int LANGUAGE sql AS $$ SELECT a + {n} $$;",
    "GRANT SELECT ON app.t{n} TO CURRENT_USER;",
)


def main() -> None:
    """Run the benchmark that was asked for."""
    what, *size = sys.argv[1:] or [""]
    if what == "review":
        review(int(size[0]) if size else 1_000)
    else:
        sys.exit(__doc__)


def review(count: int) -> None:
    """Review `count` statements in files of ten, with no database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = []
        for start in range(0, count, len(STATEMENTS)):
            path = folder / f"{20250101000000 + start}_step.sql"
            path.write_text("\n".join(each.format(n=start) for each in STATEMENTS) + "\n", encoding="utf-8")
            files.append(str(path))
        squawk = installed(folder / "venv", "squawk-cli") / "squawk"
        print(f"review of {count:,} statements in {len(files)} files")
        compare(
            "squawk", [squawk, *files],
            "safemig", [SAFEMIG, "review", "--format", "json", *files],
            folder,
        )  # fmt: skip


def installed(folder: Path, *packages: str) -> Path:
    """Return the folder of programs of a new virtual environment with `packages` in it."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/pip", "install", "--quiet", *packages], check=True, stderr=subprocess.DEVNULL)
    return folder / "bin"


def compare(
    other: str, other_command: Sequence[str | Path], ours: str, our_command: Sequence[str | Path], folder: Path
) -> None:
    """Time both commands in turn; print each one's best seconds, and the ratio."""
    best = {other: float("inf"), ours: float("inf")}
    for _ in range(RUNS):
        for name, command in ((other, other_command), (ours, our_command)):
            started = time.perf_counter()
            answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - started
            # Linters and differs say by exit codes that they found something; silence would mean that they did not run.
            if not answer.stdout.strip():
                sys.exit(f"{name} said nothing (exit code {answer.returncode}): {answer.stderr[-2000:]}")
            best[name] = min(best[name], seconds)
    for name, seconds in best.items():
        print(f"  {name:10} {seconds:7.2f} s")
    print(f"  {ours} takes {best[ours] / best[other]:.2f} times what {other} takes")


if __name__ == "__main__":
    main()
