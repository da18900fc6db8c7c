"""The walk does not believe the verbs: it looks for itself. (That it goes well is shown by tests/test_packaging.py.)"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import psycopg
import pytest

from safemig.demo import workflow
from safemig.demo.shop import Shop, Sizes
from safemig.records import RecordRun
from safemig.settings import Settings
from tests.tables import part_of

HARM = [
    ("DELETE FROM sales.shipments WHERE order_id = 1", "sales.shipments:"),
    ("ALTER TABLE users DROP COLUMN fax_number", "public.users: gone with all it held: fax_number"),
    ("DROP INDEX sales.orders_user_id_idx", "+CREATE INDEX orders_user_id_idx"),
]


@pytest.mark.parametrize(("damage", "told"), part_of(HARM, HARM[1:2], lambda case: case[0]))
def test_a_verb_that_did_harm_and_said_nothing_is_found_out(
    damage: str, told: str, tmp_path: Path, small: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verbs here do nothing but harm, and all say that all is well."""

    def harm(verb: str, settings: Settings, parameters: object, **_: object) -> RecordRun:
        if verb == "db_status":
            with psycopg.connect(settings.conninfo("production"), autocommit=True) as connection:
                connection.execute(damage)  # type: ignore[arg-type]
        path = settings.folder.resolve() / f"{verb}.ipynb"
        return RecordRun(verb, "production", path, path.with_suffix(".html"), "DEPLOYED", 0, None, ())

    def apply_by_hand(shop: Shop) -> None:
        text = (Path(workflow.__file__).parent / "sql/staging_by_hand.sql").read_text()
        for url, sql in ((shop.staging, text), (shop.production, text.split("-- Nobody has a fax")[0])):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(sql)  # type: ignore[arg-type]

    monkeypatch.setattr(workflow, "run_runbook", harm)
    monkeypatch.setattr(Shop, "change_staging_by_hand", apply_by_hand)
    lines: list[str] = []
    assert workflow.walk(partial(Shop.start, tmp_path / "shop", production=small), lines.append) == 1
    assert any("NOT EQUAL" in line for line in lines)
    assert any(told in line for line in lines), "\n".join(lines)


def test_a_verb_that_refuses_ends_the_walk_with_its_exit_code(
    tmp_path: Path, small: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def refuse(verb: str, settings: Settings, parameters: object, **_: object) -> RecordRun:
        ran.append(verb)
        path = settings.folder.resolve() / f"{verb}.ipynb"
        return RecordRun(
            verb, "production", path, path.with_suffix(".html"), "REFUSED", 1 if verb == "review" else 0, None, ()
        )

    monkeypatch.setattr(workflow, "run_runbook", refuse)
    lines: list[str] = []
    assert workflow.walk(partial(Shop.start, tmp_path / "shop", production=small), lines.append) == 1
    assert ran == ["generate", "review"]
    assert any("review.ipynb" in line for line in lines)
