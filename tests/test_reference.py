"""The pages of reference are made from the code, and are current."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import jsonschema
import pytest

from safemig.errors import SettingsError
from safemig.operations.config import settings_schema
from safemig.operations.deploy_help import deploy_help
from safemig.operations.settings_reference import settings_page
from safemig.results import TableContent
from safemig.review.reference import reference_page
from safemig.settings import Settings, load_settings
from safemig.views.frame_reference import DESCRIPTIONS, frames_page
from safemig.views.in_frame import ROWS, columns_of
from safemig.views.in_page import draw_page
from safemig.views.json_schema import output_schema

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "notebooks/reference/settings.md": settings_page,
    "notebooks/reference/rules.md": reference_page,
    "notebooks/reference/frames.md": frames_page,
    "docs/safemig-1.schema.json": lambda: json.dumps(output_schema(), indent=1) + "\n",
    "docs/safemig.toml.schema.json": lambda: json.dumps(settings_schema(), indent=2) + "\n",
    "runbooks/emergency.html": lambda: draw_page(deploy_help("emergency")),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    page, file = PAGES[name](), ROOT / name
    if os.environ.get("SAFEMIG_WRITE_REFERENCE"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(page, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == page, "SAFEMIG_WRITE_REFERENCE=1 writes it anew; look at the diff"


def test_every_column_of_a_frame_is_described_and_no_other() -> None:
    columns = {
        row: [each.name for each in columns_of(row)] for row in {TableContent, *(row for _, row in ROWS.values())}
    }
    assert columns == {row: list(described) for row, described in DESCRIPTIONS.items()}


def test_every_setting_is_in_the_reference_with_a_default_that_can_be_written(tmp_path: Path) -> None:
    rows = [line.split(" | ") for line in settings_page().splitlines() if line.startswith("| `") and "SAFEMIG_" in line]
    written = {row[0].strip("| `"): row[2].strip("`") for row in rows if len(row) == 5}
    assert {"folder", "environments", "fleets", *written} == set(Settings.model_fields)
    assert "<class" not in settings_page()
    text = "\n".join(f"{name} = {default}" for name, default in written.items() if default)
    tomllib.loads(text)
    (tmp_path / "safemig.toml").write_text(text)
    assert load_settings(tmp_path).model_dump() == {**load_settings(tmp_path).model_dump(), **_defaults()}


def _defaults() -> dict[str, object]:
    return {
        name: field.default
        for name, field in Settings.model_fields.items()
        if name not in ("folder", "environments", "fleets")
    }


@pytest.mark.parametrize("topic", ["settings", "rules", "emergency"])
def test_the_help_has_the_same(topic: str) -> None:
    help_ = deploy_help(topic)
    page = {"settings": settings_page, "rules": reference_page}.get(topic)
    assert help_.topic == topic
    if page is not None:
        assert help_.sections[0][1] in page()
        assert topic not in [title.lower() for title, _ in deploy_help().sections], "all of the help stays short"


def test_a_page_to_print_needs_no_network_and_no_script() -> None:
    page = draw_page(deploy_help("emergency"))
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "safemig rollback-prod" in page


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ""),
        ('migrations = "db/migrate"\nlayout = "flyway"\nkeep_backups = 5', ""),
        ('[environments.canary]\nurl = "env:CANARY_URL"\n[scratch]\ncommand = "./scratch.sh"', ""),
        ('notify = ["./tell.sh"]\naccept = ["drop-column:users.legacy: moved"]', ""),
        ("keep_backup = 5", "keep_backup"),
        ("lock_timeout_ms = 0", "minimum"),
        ('rehearsal = "rows"', "rows"),
        ('[environments.canary]\nurl = "env:A"\nservice = "b"', "valid under each"),
        ('folder = "elsewhere"', "folder"),
    ],
)
def test_an_editor_is_told_what_a_settings_file_may_hold(text: str, problem: str, tmp_path: Path) -> None:
    schema = settings_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    found = [str(each) for each in jsonschema.Draft7Validator(schema).iter_errors(tomllib.loads(text))]
    assert bool(found) == bool(problem), found
    assert not problem or problem in found[0]
    (tmp_path / "safemig.toml").write_text(text)
    if problem and problem != "folder":
        with pytest.raises(SettingsError):
            load_settings(tmp_path)
    else:
        load_settings(tmp_path) if not problem else None
