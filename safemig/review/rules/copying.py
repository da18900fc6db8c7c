"""COPY: what it runs, reads and writes on the server, and the data that it needs."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene, place, shortened
from safemig.review.severity import Severity


@rule(
    "copy-program", Severity.DANGEROUS, "COPY runs a program or touches a file on the server",
    on="CopyStmt",
    why="PROGRAM runs a shell command as the server's user; a file name reads or overwrites a file of the server's machine.",
    instead="INSERT INTO countries (code) VALUES ('no'), ('se');",
    err=("COPY users TO PROGRAM 'sh -c x'", "COPY users TO '/var/lib/postgresql/users.csv'"), ok="SELECT 'COPY x TO PROGRAM'",
)  # fmt: skip
def copy_program(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("is_program"):
        yield Hit(
            str(scene.table) or place(scene),
            f"runs a program on the server: {shortened(str(scene.tree.get('filename', '')))}",
        )
    elif scene.tree.get("filename") and not scene.tree.get("is_from"):
        yield Hit(str(scene.table) or place(scene), f"overwrites {scene.tree['filename']} on the server's machine")


@rule(
    "copy-from", Severity.CAUTION, "COPY needs data that the migration does not carry",
    on="CopyStmt",
    why="FROM stdin waits for data, which must follow it in the file as pg_dump writes it; "
    "FROM a file reads what happens to lie on the server's machine.",
    instead="INSERT INTO countries (code) VALUES ('no'), ('se');",
    err=("COPY users FROM '/tmp/users.csv'", "COPY users FROM stdin", "COPY users TO stdout"),
    ok=("INSERT INTO countries (code) VALUES ('no')", "COPY countries (code) FROM stdin;\nno\nse\n\\.\n"),
)  # fmt: skip
def copy_from(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("is_program") or (scene.tree.get("filename") and not scene.tree.get("is_from")):
        return
    if scene.statement.has_rows and not scene.origin:
        return  # the runner feeds the rows that follow it
    where = scene.tree.get("filename") or ("stdin" if scene.tree.get("is_from") else "stdout")
    yield Hit(str(scene.table) or place(scene), f"COPY with {where} cannot run as a migration")
