"""Settings: where they come from, which wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from safemig.errors import SettingsError
from safemig.settings import load_settings

WRONG = [
    # (file, what the message must say)
    ("rehearsal = 'all'", ["rehearsal = 'all'", "'data' or 'schema'", "safemig.toml"]),
    ("rehersal = 'data'", ['unknown setting "rehersal"', "rehearsal"]),
    ("lock_timeout_ms = 'soon'", ["lock_timeout_ms = 'soon'", "integer"]),
    ("lock_timeout_ms = 0", ["lock_timeout_ms = 0", "greater than or equal to 1"]),
    ("[environments.production]\nurl = 'env:X'\nhost = 'h'", ['"environments.production.host"', "service, url"]),
    ("[environments.production]", ["environments.production", 'url = "env:NAME"']),
    ("[environments.production]\nurl = 'env:X'\nservice = 'y'", ["either url"]),
    ("migrations = oops", ["not valid TOML", "line 1"]),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "safemig.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@db.example.com/shop",
        "host=db.example.com password=hunter2 dbname=shop",
        "postgresql://db.example.com/shop?password=hunter2",
        "postgresql://app:hunter2@[bad",
    ],
)
def test_a_password_in_the_file_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "safemig.toml").write_text(f'[environments.production]\nurl = "{url}"\n')
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    assert "environments.production.url" in str(caught.value)
    assert "env:NAME" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


def test_without_file_and_environment_the_message_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRODUCTION_DATABASE_URL", raising=False)
    settings = load_settings(tmp_path)
    with pytest.raises(SettingsError) as caught:
        settings.conninfo("production")
    assert "PRODUCTION_DATABASE_URL" in caught.value.what
    assert "export PRODUCTION_DATABASE_URL=" in str(caught.value.next)


def test_the_defaults_work_with_two_variables_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGING_DATABASE_URL", "postgresql:///s")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql:///p")
    settings = load_settings(tmp_path)
    assert settings.conninfo("staging") == "postgresql:///s"
    assert settings.conninfo("production") == "postgresql:///p"
    assert settings.path("migrations") == tmp_path / "supabase/migrations"


def test_argument_beats_variable_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(tmp_path).lock_attempts == 30
    (tmp_path / "safemig.toml").write_text("lock_attempts = 7")
    assert load_settings(tmp_path).lock_attempts == 7
    monkeypatch.setenv("SAFEMIG_LOCK_ATTEMPTS", "8")
    assert load_settings(tmp_path).lock_attempts == 8
    assert load_settings(tmp_path, lock_attempts=9).lock_attempts == 9


def test_the_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "safemig.toml").write_text("records = 'archive'")
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    settings = load_settings(below)
    assert settings.folder == tmp_path
    assert settings.path("records") == tmp_path / "archive"


def test_pyproject_holds_settings_as_well(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.safemig]\nmigrations = 'db/migrations'\n")
    assert load_settings(tmp_path).path("migrations") == tmp_path / "db/migrations"


def test_a_service_is_an_environment_too(tmp_path: Path) -> None:
    (tmp_path / "safemig.toml").write_text("[environments.production]\nservice = 'prod'\n")
    assert load_settings(tmp_path).conninfo("production") == "service=prod"


def test_an_unknown_environment_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="production, staging"):
        load_settings(tmp_path).conninfo("prod")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "nowhere")
