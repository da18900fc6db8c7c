"""Say how many small faults in a folder the tests find: python scripts/mutation_score.py FOLDER SAMPLE [pytest options].

Cosmic Ray (pip install cosmic-ray) makes the faults in a copy of the last commit; a sample of them, always the same one,
is tried. Annotations are left out: nothing runs them. Each fault that the tests pass is printed: a test is missing, or the
code is not needed, or the fault changes nothing.
"""

from __future__ import annotations

import random
import shlex
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

CONFIG = """
[cosmic-ray]
module-path = ["{folder}"]
timeout = 600.0
excluded-modules = []
test-command = {command!r}
distributor.name = "local"
"""
SURVIVORS = """
SELECT module_path, start_pos_row, operator_name, diff FROM work_results JOIN mutation_specs USING (job_id)
WHERE test_outcome = 'SURVIVED' ORDER BY module_path, start_pos_row
"""


def keep_a_sample(database: sqlite3.Connection, size: int) -> int:
    """Keep a sample of the faults that are to be tried, and return its size."""
    asked = "SELECT job_id, operator_name FROM mutation_specs ORDER BY module_path, start_pos_row, start_pos_col, operator_name, occurrence"
    jobs = [job for job, operator in database.execute(asked) if "BitOr" not in operator]  # int | None
    kept = set(random.Random(0).sample(jobs, min(size, len(jobs))))
    everything = [(job,) for (job,) in database.execute("SELECT job_id FROM work_items") if job not in kept]
    for table in ("mutation_specs", "work_items"):
        database.executemany(f"DELETE FROM {table} WHERE job_id = ?", everything)
    database.commit()
    return len(kept)


def main(folder: str, size: int, options: list[str]) -> None:
    """Try a sample of faults and print the score."""
    tests = ["python", "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *options]
    with tempfile.TemporaryDirectory() as made:
        tree, config, results = Path(made) / "tree", Path(made) / "mutants.toml", Path(made) / "mutants.sqlite"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree], check=True)
        try:
            subprocess.run(tests, cwd=tree, check=True)  # without a fault they must pass
            config.write_text(CONFIG.format(folder=folder, command=shlex.join(tests)))
            subprocess.run(["cosmic-ray", "init", config, results], cwd=tree, check=True)
            with sqlite3.connect(results) as database:
                count = keep_a_sample(database, size)
            subprocess.run(["cosmic-ray", "exec", config, results], cwd=tree, check=True)
            with sqlite3.connect(results) as database:
                survivors = database.execute(SURVIVORS).fetchall()
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], check=True)
    for module, line, operator, diff in survivors:
        sys.stdout.write(f"\n{module}:{line} {operator}\n{diff}\n")
    sys.stdout.write(f"\n{count - len(survivors)} of {count} faults in {folder} were found\n")


if __name__ == "__main__":
    if len(sys.argv) < 3 or not sys.argv[2].isdigit():
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
