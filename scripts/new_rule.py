"""Write the stub of a review rule, and the reference page with it.

    python scripts/new_rule.py notify-sent "NOTIFY changed" "SELECT 1"

The first SQL is what the rule must find, the second what it must be silent on: both are the rule's tests, and its page's
examples. What stands in angle brackets is yours to write; no file is overwritten.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from safemig.sql.tree import read_trees

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "safemig" / "review" / "rules"
STUB = '''"""{title}."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity


@rule(
    "{name}", Severity.CAUTION, "{title}",
    on="{node}",
    why="<what goes wrong, for whom, and from which PostgreSQL version on>.",
    instead="<the safer SQL>",
    err={err},
    ok={ok},
)  # fmt: skip
def {function}(scene: Scene) -> Iterator[Hit]:
    yield Hit(str(scene.table), "<what is found, of which object>")
'''


def node_of(sql: str) -> str:
    """Return the parse node of the last statement, or the command of an ALTER TABLE that has one."""
    ((kind, tree),) = read_trees(sql)[-1]["stmt"].items()
    commands: list[Any] = tree.get("cmds", [])
    return str(commands[0]["AlterTableCmd"]["subtype"]) if len(commands) == 1 else str(kind)


def stub(name: str, err: str, ok: str) -> str:
    """Return the module of a new rule."""
    words = name.replace("-", " ")
    return STUB.format(
        name=name,
        title=words[0].upper() + words[1:],
        node=node_of(err),
        err=json.dumps(err, ensure_ascii=False),
        ok=json.dumps(ok, ensure_ascii=False),
        function=name.replace("-", "_"),
    )


def main() -> None:
    """Write the module, and the reference of rules."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="lower case with hyphens: what is found, such as column-dropped")
    parser.add_argument("err", help="SQL that the rule must find")
    parser.add_argument("ok", help="SQL that the rule must be silent on")
    given = parser.parse_args()
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", given.name):
        parser.error(f"{given.name} is not lower case with hyphens")
    path = RULES / f"{given.name.replace('-', '_')}.py"
    if path.exists():
        parser.error(f"{path.relative_to(ROOT)} exists")
    path.write_text(stub(given.name, given.err, given.ok), encoding="utf-8")
    from safemig.review.reference import reference_page

    page = ROOT / "notebooks" / "reference" / "rules.md"
    page.write_text(reference_page(), encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}: write what stands in angle brackets, then scripts/check\n")


if __name__ == "__main__":
    main()
