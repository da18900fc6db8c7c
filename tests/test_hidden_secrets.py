"""No password is ever said, however the URL that holds it is spelled, whichever verb is given it, wherever it is typed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from safemig import secrets
from safemig.cli import main
from safemig.cli import safemig as group
from tests.test_secret_shapes import MALFORMED, ONE, READABLE, require_hidden

# Each verb as it is typed; the URL stands in the environment, or takes URL's place.
BY_VARIABLE = [
    ["review"], ["plan"], ["status"], ["review", "-"], ["diff", "--from", "production", "--to", "staging"],
    ["records", "--settle"], ["records", "--verify"], ["doctor"], ["base", "production"], ["workload"], ["config"],
]  # fmt: skip
RECORDED = [
    ["rehearse"], ["backup-prod"], ["migrate-staging"], ["migrate-prod"], ["rollback-prod"], ["restore-prod"], ["sync-prod"],
    ["baseline-prod"], ["generate", "x"], ["status", "--record"], ["review", "--record"],
]  # fmt: skip
TYPED = [
    ["diff", "--from", "URL", "--to", "URL"], ["review", "URL"], ["review", "--target", "URL"], ["review", "--accept", "URL"],
    ["review", "--format", "URL"], ["plan", "--target", "URL"], ["plan", "--resume", "URL"], ["plan", "URL"], ["status", "--target", "URL"],
    ["status", "URL"], ["help", "URL"], ["records", "--since", "URL"], ["--project", "URL", "status"], ["URL"], ["generate", "x", "--rename", "URL"],
    ["rollback-prod", "URL"], ["restore-prod", "--drop", "URL"], ["migrate-prod", "--approve", "URL"], ["baseline-prod", "--to", "URL"],
    ["sync-prod", "--source", "URL"], ["backup-prod", "--target", "URL"], ["rehearse", "--target", "URL"],
    ["migrate-staging", "--target", "URL"], ["doctor", "URL"], ["base", "URL"], ["workload", "URL"],
    ["workload", "--target", "URL"], ["fleet", "status", "URL"], ["config", "URL"], ["init", "here", "--first-migration", "URL"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test as a new process would: with no password known."""
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a database."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "safemig.toml").write_text("")
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    (tmp_path / "supabase" / "migrations" / "20260101000000_a.sql").write_text("SELECT 1;")
    for name in ("STAGING_DATABASE_URL", "PRODUCTION_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def said(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """Return all that a command says, and the code it leaves with."""
    with pytest.raises(SystemExit) as left:
        main(words)
    out, err = capfd.readouterr()
    if "record:" not in err:  # a kernel that ends may say one of its own
        assert "Traceback" not in err, err
    return f"{out}{err} exit {left.value.code}"


def test_every_verb_is_tried() -> None:
    tried = {words[0] for words in (*BY_VARIABLE, *RECORDED, *TYPED)}
    assert tried >= set(group.commands) - {"demo"}


@pytest.mark.parametrize("url", [*MALFORMED, *READABLE])
def test_a_url_in_the_environment_is_never_said(
    url: str, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("STAGING_DATABASE_URL", "PRODUCTION_DATABASE_URL"):
        monkeypatch.setenv(name, url)
    for words in BY_VARIABLE:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"SELECT 1;")))
        require_hidden(said(capfd, *words), words)


@pytest.mark.parametrize("words", RECORDED, ids=" ".join)
def test_a_record_never_says_it(
    words: list[str], project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("STAGING_DATABASE_URL", "PRODUCTION_DATABASE_URL"):
        monkeypatch.setenv(name, MALFORMED[0])
    require_hidden(said(capfd, *words), words)
    for path in project.rglob("*"):
        if path.is_file():
            require_hidden(path.read_text(), path)


@pytest.mark.parametrize("url", [*MALFORMED, *READABLE])
def test_a_url_that_is_typed_is_never_said(url: str, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in TYPED:
        if words[0] in ("rollback-prod", "restore-prod") and url != MALFORMED[0]:
            continue  # a kernel each; once is enough
        given = [url if each == "URL" else each for each in words]
        require_hidden(said(capfd, *given), words)
    for path in project.rglob("*"):
        assert ONE not in path.name
        if path.is_file():
            require_hidden(path.read_text(), path)
