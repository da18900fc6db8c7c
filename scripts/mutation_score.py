"""Say how many small faults in a folder the tests find: python scripts/mutation_score.py [--seed N] FOLDER SAMPLE [pytest options].

Cosmic Ray (pip install cosmic-ray coverage) makes the faults in a copy of the last commit; a random sample of them is tried,
the same one for the same seed. Annotations are left out: nothing runs them. One run without faults notes which test runs
which line; a fault is then tried with the tests that run its line, the quickest first, and with those that start a Python
process, until one fails. Each fault that the tests pass is printed: a test is missing, or the code is not needed, or the
fault changes nothing. As a plugin of pytest, this file notes the lines and picks the tests.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

CONFIG = """
[cosmic-ray]
module-path = ["{folder}"]
timeout = 1.0
excluded-modules = []
test-command = "true"
distributor.name = "local"
"""
FAULTS = """
SELECT module_path, operator_name, operator_args, occurrence, start_pos_row, end_pos_row FROM mutation_specs
WHERE operator_name NOT LIKE '%BitOr%' ORDER BY module_path, start_pos_row, start_pos_col, operator_name, occurrence
"""  # BitOr: int | None
NOTES, CHOSEN, FOLDER = "MUTATION_NOTES", "MUTATION_CHOSEN", "MUTATION_FOLDER"
LIMIT_S = 400
seconds: dict[str, float] = defaultdict(float)
starts_python: set[str] = set()
running = ""

if NOTES in os.environ:
    from coverage import Coverage

    watch = Coverage(data_file=None, include=[f"{os.environ[FOLDER]}/*"])
    watch.start()

    def notice(event: str, arguments: tuple[Any, ...]) -> None:
        """Note that a test starts a Python process, whose lines are not seen."""
        if event == "subprocess.Popen" and any(
            "python" in str(word) or "safemig" in str(word) for word in list(arguments[1])[:2]
        ):
            starts_python.add(running)

    sys.addaudithook(notice)

    def pytest_runtest_logstart(nodeid: str) -> None:
        """Count the lines that run from now on as this test's."""
        global running
        running = nodeid
        watch.switch_context(nodeid)

    def pytest_runtest_logreport(report: Any) -> None:
        """Add up what a test takes."""
        seconds[report.nodeid] += report.duration

    def pytest_unconfigure() -> None:
        """Write which tests run which lines."""
        watch.stop()
        data = watch.get_data()
        lines = {str(Path(file).resolve()): data.contexts_by_lineno(file) for file in data.measured_files()}
        Path(os.environ[NOTES]).write_text(
            json.dumps({"lines": lines, "seconds": seconds, "starts_python": sorted(starts_python)})
        )


if CHOSEN in os.environ:
    import pytest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(items: list[Any]) -> None:
        """Run what is chosen, in this order."""
        place = {nodeid: number for number, nodeid in enumerate(json.loads(Path(os.environ[CHOSEN]).read_text()))}
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])


def tests_for(notes: dict[str, Any], file: str, first: int, last: int) -> list[str]:
    """Return the tests that can see a fault in these lines, the quickest first."""
    lines = {int(line): set(contexts) for line, contexts in notes["lines"].get(file, {}).items()}
    start = max((line for line in lines if line <= first), default=first)  # of a statement of several lines
    near = set[str]().union(*(lines.get(line, set()) for line in range(start, last + 1)))
    if near <= {""}:  # runs at import only, or in another process
        near = set[str]().union(*lines.values()) if "" in near else set()
    took = notes["seconds"].__getitem__
    return sorted(near - {""}, key=took) + sorted(set(notes["starts_python"]) - near - {""}, key=took)


def run(tree: Path, arguments: list[str], environment: dict[str, str]) -> int:
    """Run pytest in the copy, and the processes that it starts too; return its exit code, or 1 where it does not end."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-p",
        "mutation_score",
        *arguments,
    ]
    paths = f"{tree}{os.pathsep}{Path(__file__).parent.resolve()}"
    try:
        return subprocess.run(
            command, cwd=tree, env={**os.environ, **environment, "PYTHONPATH": paths}, timeout=LIMIT_S if CHOSEN in environment else None,
            stdout=subprocess.DEVNULL if CHOSEN in environment else None, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1


def read_arguments(text: str | None) -> dict[str, Any]:
    """Return an operator's arguments, which Cosmic Ray writes as JSON in JSON."""
    read = json.loads(text or "{}")
    return dict(json.loads(read) if isinstance(read, str) else read)


def is_found(tree: Path, fault: tuple[Any, ...], notes: dict[str, Any], chosen: Path) -> tuple[bool, str]:
    """Try one fault; return whether a test fails, and the fault as a difference."""
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    module, operator, arguments, occurrence, first, last = fault
    tests = tests_for(notes, str((tree / module).resolve()), first, last)
    made = get_operator(operator)(**read_arguments(arguments))
    with use_mutation(tree / module, made, occurrence) as (before, after):
        shown = "\n".join(
            difflib.unified_diff(
                before.splitlines(), (after or before).splitlines(), module, operator, lineterm="", n=1
            )
        )
        chosen.write_text(json.dumps(tests))
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        return bool(tests) and run(tree, files, {CHOSEN: str(chosen)}) not in {0, 5}, f"{shown}\n({len(tests)} tests)"


def main(folder: str, size: int, seed: int, options: list[str]) -> None:
    """Try a sample of faults and print the score."""
    with tempfile.TemporaryDirectory() as made:
        tree, config, results, noted = (
            Path(made) / name for name in ("tree", "mutants.toml", "mutants.sqlite", "notes.json")
        )
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree], check=True)
        try:
            if run(tree, options, {NOTES: str(noted), FOLDER: str(tree / folder)}):
                sys.exit("the tests must pass without a fault")
            notes = json.loads(noted.read_text())
            config.write_text(CONFIG.format(folder=folder))
            subprocess.run(["cosmic-ray", "init", config, results], cwd=tree, check=True)
            with sqlite3.connect(results) as database:
                faults = database.execute(FAULTS).fetchall()
            sample = random.Random(seed).sample(faults, min(size, len(faults)))
            missed = 0
            for number, fault in enumerate(sample, start=1):
                began = time.monotonic()
                found, shown = is_found(tree, fault, notes, Path(made) / "chosen.json")
                missed += not found
                verdict = "found" if found else "NOT FOUND"
                sys.stdout.write(
                    f"{number}/{len(sample)} {fault[0]}:{fault[4]} {fault[1]}: {verdict} ({time.monotonic() - began:.0f} s)\n"
                )
                sys.stdout.write("" if found else f"{shown}\n")
                sys.stdout.flush()
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], check=True)
    sys.stdout.write(f"\n{len(sample) - missed} of {len(sample)} faults in {folder} were found\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("size", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given, others = parser.parse_known_args()
    main(given.folder, given.size, given.seed, others)
