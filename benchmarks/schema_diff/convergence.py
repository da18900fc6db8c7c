"""Count how often safemig and migra (PyPI) turn one schema into another, on the same pairs in one run.

    python benchmarks/schema_diff/convergence.py [MAJOR] [EVERY]    PostgreSQL 17 and every pair where none is said

The pairs are those of `tests/schema/pairs`. A tool's script is applied to a copy of the first schema, and converges
when `pg_dump --schema-only` of the copy then says what it says of the second, whatever the order; the round trip goes back by a
second script. The pairs are safemig's own: they show where migra stops, and not that safemig never does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


from peers import installed_migra  # noqa: E402

from safemig.postgres.server.throwaway import ThrowawayServer  # noqa: E402
from safemig.schema import compare  # noqa: E402
from safemig.schema.dumps import differences  # noqa: E402
from tests.schema.pairs import PAIRS  # noqa: E402
from tests.schema.proof import Pair, dump, load, read  # noqa: E402

Script = Callable[[str, str], str]  # two databases' URLs -> SQL


class ToolError(Exception):
    """The tool gave no script."""


def by_safemig(base: str, target: str) -> str:
    return compare(read(base), read(target)).sql


def by_migra(migra: Path) -> Script:
    def script(base: str, target: str) -> str:
        command = [str(migra), "--unsafe", "--with-privileges", base, target]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if answer.returncode not in (0, 2):  # 2: there are differences
            raise ToolError(answer.stderr.strip().split("\n")[-1])
        return answer.stdout

    return script


def main() -> None:
    """Run every pair through both, and print one table."""
    major, every = (int(sys.argv[1]) if len(sys.argv) > 1 else 17), (int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as folder, ThrowawayServer.start(major=major) as server:
        tools = {"safemig": by_safemig, "migra": by_migra(installed_migra(Path(folder)))}
        counts = {name: Counter[str]() for name in tools}
        pairs = [pair for pair in PAIRS if pair.since <= major and not pair.ownership][::every]
        for pair in pairs:
            for name, script in tools.items():
                counts[name][outcome(server, pair, script)] += 1
    total = len(pairs)
    print(f"PostgreSQL {server.programs.version}, {total} pairs\n")
    print(f"{'':10} {'converged':>12} {'round trip':>12} {'differs':>9} {'fails to apply':>15} {'tool error':>11}")
    for name, found in counts.items():
        there = found["round trip"] + found["converged"]
        print(
            f"{name:10} {there / total:>11.1%} {found['round trip'] / total:>11.1%} {found['differs']:>9}"
            f" {found['fails to apply']:>15} {found['tool error']:>11}"
        )


def outcome(server: ThrowawayServer, pair: Pair, script: Script) -> str:
    names = ("convergence_base", "convergence_target", "convergence_start")
    try:
        base, target, start = (server.create_database(name) for name in names)
        for url, sql in ((base, pair.base), (target, pair.target), (start, pair.base)):
            load(url, pair.common, sql)
        found = "differs"
        for wanted in (target, start):
            try:
                sql = script(base, wanted)
            except (ToolError, subprocess.TimeoutExpired):
                return "tool error" if wanted == target else found
            try:
                load(base, sql)
            except psycopg.Error:
                return "fails to apply" if wanted == target else found
            left = differences(dump(server, base), dump(server, wanted))
            if any(not line.startswith("in another order") for line in left):
                return found
            found = "converged" if wanted == target else "round trip"
        return found
    finally:
        for name in names:
            server.drop_database(name)


if __name__ == "__main__":
    main()
