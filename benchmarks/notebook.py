"""How quickly the notebook answers: loading the magics, a page of SQL, an archive of 1,000 records.

    python benchmarks/notebook.py

CPU seconds, the median of several runs. Beside each figure stands what it is held against: IPython's own start in the
same run, and the bars of the project (150 ms beyond IPython, 150 ms a page, 1 s an archive).
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RUNS = 7
START = "from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell.instance()"
LOAD = f"{START}; shell.run_line_magic('load_ext', 'safemig')"
RECORDS = 1_000


def cpu_of(code: str) -> float:
    """Return the CPU seconds of an interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu_here(work: Callable[[], object]) -> float:
    """Return the CPU seconds of `work` in this process, the median of several runs after a first one."""
    work()
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def write_archive(home: Path) -> None:
    """Write 1,000 records of 4 KB each, sealed in a ledger."""
    from safemig import chain
    from safemig.records import ledger

    home.mkdir(parents=True)
    previous, lines = chain.FIRST, []
    for i in range(RECORDS):
        name = f"20261122T{i // 3600:02}{i // 60 % 60:02}{i % 60:02}Z-production-migrate_prod-DEPLOYED"
        (home / f"{name}.ipynb").write_text("{}" * 2000)
        facts = {"record": name, "by": "dana", "ipynb_sha256": "", "html_sha256": "", "previous": previous}
        previous = facts["hash"] = chain.hash_of(facts)
        lines.append(json.dumps(facts))
    (home / ledger.FILE).write_text("\n".join(lines) + "\n")


def main() -> None:
    """Measure and print."""
    import safemig
    from safemig.records.archive import read_archive

    plain, loaded = [], []
    for _ in range(RUNS):  # in turn, so that a busy machine is busy for both
        plain.append(cpu_of(START))
        loaded.append(cpu_of(LOAD))
    beyond = statistics.median(loaded) - statistics.median(plain)
    print(
        f"%load_ext safemig      {beyond * 1000:6.0f} ms beyond IPython's {statistics.median(plain) * 1000:.0f} ms   (bar 150 ms)"
    )

    page = "\n".join(f"ALTER TABLE t{i} ADD COLUMN a{i} text NOT NULL;" for i in range(50))
    review = cpu_here(lambda: safemig.review_sql(page).render("html"))
    print(f"a page of SQL, 50 lines{review * 1000:6.0f} ms, reviewed and drawn              (bar 150 ms)")

    with tempfile.TemporaryDirectory() as folder:
        write_archive(Path(folder) / "records" / "production")
        archive = cpu_here(lambda: read_archive(Path(folder) / "records").render("html"))
    print(f"archive of {RECORDS:,}       {archive * 1000:6.0f} ms, read and drawn                  (bar 1,000 ms)")


if __name__ == "__main__":
    main()
