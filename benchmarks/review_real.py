"""Review the migrations and schemas of real applications; print how many can be read, and how often each rule finds something.

    SAFEMIG_REAL_SCHEMAS=FOLDER python benchmarks/review_real.py

The folder holds unpacked packages, each in a folder of its name; `.ci/run` makes one, tests/schema/real says which.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from safemig.review import review
from safemig.sql import SourceFile

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.schema.real import DEBIAN, PYPI, VARIABLE, folder, packages, scripts


def main() -> None:
    """Print how many files could be read, why others could not, and how often each rule found something."""
    unpacked = folder()
    if unpacked is None:
        raise SystemExit(f"{VARIABLE} names no folder")
    names = [*packages(DEBIAN), *packages(PYPI)]
    rules: Counter[str] = Counter()
    files_of: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    files = statements = 0
    for package in names:
        for name, sql in scripts(unpacked / package).items():
            made = review([SourceFile(name, sql)])
            files += 1
            statements += len(made.files[0].statements)
            verdicts[str(made.verdict)] += 1
            reasons.update(re.sub(r'".*"', '"…"', one.message) for one in made.findings if one.rule == "cannot-be-read")
            rules.update(one.rule for one in made.findings)
            files_of.update({one.rule for one in made.findings})
    print(f"{len(names)} packages, {files:,} files, {statements:,} statements; {sum(reasons.values())} files refused")
    for title, counted in (("verdict", verdicts), ("refused", reasons)):
        for word, number in counted.most_common(12):
            print(f"  {title}: {number:6,} {word}")
    for rule, number in rules.most_common():
        print(f"  {number:6,} findings in {files_of[rule]:5,} files: {rule}")


if __name__ == "__main__":
    main()
