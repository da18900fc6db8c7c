"""The explorer over a review's findings, and the acceptance that it writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from safemig.errors import SettingsError
from safemig.notebook.acceptance import write_acceptance
from safemig.notebook.explorer import Explorer, tables_of
from safemig.project import review_sql
from safemig.review import Review
from safemig.settings import load_settings

SQL = "DROP TABLE users;\nCREATE INDEX i ON orders (user_id);\nDROP TABLE legacy;"
SHOWN: list[Review] = []
NEW = "drop-table:users: nobody has them"


@pytest.fixture
def explorer(tmp_path: Path) -> Explorer:
    """An explorer over three findings that stand, in a project's folder."""
    (tmp_path / "safemig.toml").write_text('# ours\nschemas = ["public"]\n')

    def again() -> Review:
        return review_sql(SQL, name="a.sql", accept=load_settings(tmp_path).accept)

    return Explorer(
        again(),
        accept=lambda finding, reason: write_acceptance(tmp_path, finding.rule, finding.object, reason),
        again=again,
        show=SHOWN.append,
    )


def standing(explorer: Explorer) -> list[str]:
    return [finding.object for _, finding in explorer.finding.options]


def test_findings_are_chosen_by_severity_file_and_table(explorer: Explorer) -> None:
    assert set(standing(explorer)) == {"users", "legacy", "orders.i"}
    explorer.severity.value = "dangerous"
    assert standing(explorer) == ["users", "legacy"]
    assert explorer.table.options == ("all", "users", "orders", "legacy")
    explorer.table.value = "legacy"
    assert standing(explorer) == ["legacy"]
    assert "drops table legacy" in explorer.view.value
    assert "drops table users" not in explorer.view.value
    explorer.table.value = "all"
    explorer.severity.value = "caution"
    assert "drops table" not in explorer.view.value
    assert "DO NOT DEPLOY" in explorer.view.value, "what is hidden still counts"


def test_the_table_is_the_statement_s_own_also_where_two_share_a_line() -> None:
    review = review_sql("DROP TABLE a; ALTER TABLE orders ADD FOREIGN KEY (x) REFERENCES b (id);\nDROP INDEX z;")
    found = {finding.rule: tables_of(review, finding) for finding in review.findings}
    assert found["drop-table"] == ("a",)
    assert "orders" in found["add-foreign-key-validates"]
    assert found["drop-index"] == ()


def test_a_finding_is_accepted_by_typing_its_reason(explorer: Explorer, tmp_path: Path) -> None:
    explorer.table.value = "users"
    assert explorer.button.disabled
    explorer.reason.value = "ok"
    assert explorer.button.disabled, "one word is no reason"
    explorer.reason.value = "nobody has them"
    assert not explorer.button.disabled
    explorer.button.click()
    assert load_settings(tmp_path).accept == (NEW,)
    assert (tmp_path / "safemig.toml").read_text().endswith('# ours\nschemas = ["public"]\n')
    assert NEW in explorer.message.value
    assert explorer.button.disabled
    assert {each.object for each in explorer.review.standing} == {"legacy", "orders.i"}
    assert SHOWN[-1] is explorer.review, "the static view below is drawn anew"


def test_what_cannot_be_written_is_said(explorer: Explorer, tmp_path: Path) -> None:
    (tmp_path / "safemig.toml").unlink()
    explorer.reason.value = "nobody has them"
    explorer.button.click()
    assert "there is no safemig.toml to write it into" in explorer.message.value
    assert len(explorer.review.standing) == 3


@pytest.mark.parametrize(
    "before",
    [
        "",
        '# a comment\nschemas = ["public"]\n',
        "accept = []\n",
        'accept = ["drop-table:old: gone since May"]\n',
        'accept = [\n  # as agreed\n  "drop-table:old: gone since May",\n]\nschemas = ["public"]\n',
        '[environments.staging]\nservice = "staging"\n',
        'schemas = [\n  "public",\n]\naccept = ["drop-table:old: gone since May",]\n[environments.staging]\nservice = "s"\n',
    ],
)
def test_an_acceptance_is_added_and_all_else_kept(tmp_path: Path, before: str) -> None:
    file = tmp_path / "safemig.toml"
    file.write_text(before)
    assert write_acceptance(tmp_path, "drop-table", "users", "nobody  has them ") == NEW
    after = tomllib.loads(file.read_text())
    old = tomllib.loads(before)
    assert after["accept"] == [NEW, *old.get("accept", [])]
    assert {key: after[key] for key in after if key != "accept"} == {key: old[key] for key in old if key != "accept"}
    for line in before.splitlines():
        assert line.startswith("accept") or line in file.read_text(), "comments stay"
    write_acceptance(tmp_path, "drop-table", "users", "nobody has them")
    assert tomllib.loads(file.read_text()) == after, "twice is once"


@pytest.mark.parametrize(
    "before",
    [
        '[project]\nname = "shop"\n\n[tool.safemig]\n\n[tool.ruff]\naccept = []\n',
        '[tool.safemig]  # ours\nschemas = ["public"]\naccept = ["drop-table:old: gone since May"]',
        '[tool.safemig.environments.staging]\nservice = "s"\n[tool.safemig]\n',
    ],
)
def test_settings_in_pyproject_are_given_it_in_their_own_table(tmp_path: Path, before: str) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(before)
    write_acceptance(tmp_path, "drop-table", "users", "nobody has them")
    old, after = tomllib.loads(before), tomllib.loads(file.read_text())
    ours = old["tool"]["safemig"]
    ours["accept"] = [NEW, *ours.get("accept", [])]
    assert after == old
    assert NEW in load_settings(tmp_path).accept


def test_settings_in_pyproject_without_a_table_of_their_own_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.safemig.environments.staging]\nservice = "s"\n')
    with pytest.raises(SettingsError, match=r"pyproject.toml has a form that cannot be edited safely"):
        write_acceptance(tmp_path, "drop-table", "users", "nobody has them")


@pytest.mark.parametrize("reason", ["", "   ", "--"])
def test_an_acceptance_needs_a_reason(tmp_path: Path, reason: str) -> None:
    (tmp_path / "safemig.toml").write_text("")
    with pytest.raises(SettingsError, match="needs a rule, an object and a reason"):
        write_acceptance(tmp_path, "drop-table", "users", reason)
    assert (tmp_path / "safemig.toml").read_text() == ""


def test_a_file_in_a_strange_form_is_left_alone(tmp_path: Path) -> None:
    strange = '"accept" = ["drop-table:old: gone since May"]\n'
    (tmp_path / "safemig.toml").write_text(strange)
    with pytest.raises(SettingsError, match="cannot be edited safely"):
        write_acceptance(tmp_path, "drop-table", "users", "nobody has them")
    assert (tmp_path / "safemig.toml").read_text() == strange
