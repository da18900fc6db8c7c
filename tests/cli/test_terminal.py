"""What a terminal gets: colours and widths there, plain text elsewhere, as much of it as was asked for."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from safemig.terminal.output import Output, Style

SQL = "ALTER TABLE users DROP COLUMN fax;\n"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def in_a_terminal(folder: Path, words: list[str], width: int = 100, **variables: str) -> tuple[int, str]:
    """Run a command with a terminal of `width` columns as its output."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        words, cwd=folder, stdin=inner, stdout=inner, stderr=inner, env={**kept, "TERM": "xterm", **variables}
    )
    os.close(inner)
    said = b""
    try:
        while piece := os.read(outer, 65536):
            said += piece
    except OSError:  # the other end is closed
        pass
    os.close(outer)
    return process.wait(), said.decode().replace("\r\n", "\n")


def safemig(*words: str) -> list[str]:
    return [sys.executable, "-m", "safemig", *words]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.sql"
    path.write_text(SQL)
    return path


def test_a_terminal_gets_colours_and_its_own_width_and_a_log_the_plain_text(file: Path) -> None:
    folder = file.parent
    plain = subprocess.run(
        safemig("review", "--no-target", "a.sql"), cwd=folder, capture_output=True, text=True, check=False
    )
    assert "\x1b" not in plain.stdout
    for width in (60, 100):
        code, said = in_a_terminal(folder, safemig("review", "--no-target", "a.sql"), width)
        assert code == plain.returncode == 1
        assert "\x1b[1;31mDO NOT DEPLOY\x1b[0m" in said
        lines = ESCAPE.sub("", said).splitlines()
        table = lines[lines.index("What each statement locks") :][:6]
        assert max(map(len, table)) <= width
        assert set(re.findall(r"\w{4,}", plain.stdout)) <= set(
            re.findall(r"\w{4,}", " ".join(lines).replace("  ", " "))
        )


@pytest.mark.parametrize(
    ("words", "variables"),
    [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"}), (["--no-color"], {"FORCE_COLOR": "1"})],
)
def test_colours_can_be_left_out(file: Path, words: list[str], variables: dict[str, str]) -> None:
    _, said = in_a_terminal(file.parent, safemig("review", "--no-target", "a.sql", *words), **variables)
    assert "\x1b" not in said
    assert said.startswith("DO NOT DEPLOY")


def test_colours_can_be_forced_into_a_log(file: Path) -> None:
    done = subprocess.run(
        safemig("review", "--no-target", "a.sql"), cwd=file.parent, capture_output=True, text=True, check=False,
        env={**os.environ, "FORCE_COLOR": "1"},
    )  # fmt: skip
    assert "\x1b[1;31mDO NOT DEPLOY\x1b[0m" in done.stdout


@pytest.mark.parametrize("words", [["-q", "review"], ["review", "-q"], ["review", "--quiet"]])
def test_quiet_is_the_verdict_alone(file: Path, words: list[str]) -> None:
    done = subprocess.run(
        safemig(*words, "--no-target", "a.sql"), cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "DO NOT DEPLOY · a.sql, no target was read (--no-target) · 1 statement · 1 danger"
    ]


def test_verbose_shows_what_is_folded(file: Path) -> None:
    done = subprocess.run(
        safemig("review", "-v", "--no-target", "a.sql"), cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert "✖    1 | ALTER TABLE users DROP COLUMN fax" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("output", "is_styled"),
    [
        (Output(), False),
        (Output(quiet=True), False),
        (Output(form="json", verbose=True), False),
        (Output(verbose=True), True),
    ],
)
def test_only_a_terminal_or_verbose_needs_the_library(
    output: Output, is_styled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert (output.style() is not None) == is_styled


def test_a_kernel_is_told_the_style_by_a_variable() -> None:
    style = Style(97, True, False)
    assert Style.from_variable(style.to_variable()) == style
    assert Style.from_variable({}) is None
    assert Style.from_variable({"SAFEMIG_TERMINAL": "wide"}) is None


def test_a_log_loads_no_library_for_terminals(file: Path) -> None:
    code = (
        "import sys\nfrom safemig.cli import main\ntry:\n    main(['review', '--no-target', 'a.sql'])\n"
        "except SystemExit:\n    pass\nsys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=file.parent, capture_output=True, check=False)
    assert done.returncode == 0


# A name that would repaint the terminal is shown, not obeyed.
def test_a_terminal_obeys_nothing_that_a_database_says(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text('DROP TABLE "a\x1b[2Jb\u202ec";\n')
    _, said = in_a_terminal(tmp_path, safemig("review", "-v", "--no-target", "a.sql"))
    assert "\x1b[2J" not in said
    assert "\u202e" not in said


# Completion ---------------------------------------------------------------------------------------------------------

COMPLETED: list[tuple[str, set[str]]] = [
    ("safemig ro", {"rollback-prod"}),
    ("safemig migrate-", {"migrate-staging", "migrate-prod"}),
    ("safemig migrate-prod --target ca", {"canary"}),
    ("safemig doctor ", {"canary", "production", "staging"}),
    ("safemig migrate-prod --dry", {"--dry-run"}),
    ("safemig status --format ", {"json", "text"}),
    ("safemig plan s", {"sync-prod"}),
    ("safemig plan rollback-prod ", {"backups/production/rollback_20260102030405.sql"}),
    ("safemig restore-prod ", {"20260102030405"}),
    ("safemig baseline-prod --to 2026", {"20260101000000"}),
    ("safemig help em", {"emergency"}),
    ("safemig review supabase/migrations/2026", {"supabase/migrations/20260101000000_first.sql"}),
]


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What a real bash offers for each line, by the script that the documentation installs."""
    if shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    folder = tmp_path_factory.mktemp("project")
    (folder / "safemig.toml").write_text('[environments.canary]\nurl = "env:CANARY_URL"\n')
    for name in (
        "supabase/migrations/20260101000000_first.sql", "backups/production/rollback_20260102030405.sql",
        "backups/production/manifest_20260102030405.json",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    bin_ = folder / "bin"
    bin_.mkdir()
    (bin_ / "safemig").write_text(f'#!/bin/sh\nexec {sys.executable} -m safemig "$@"\n')
    (bin_ / "safemig").chmod(0o755)
    # Outside of a real completion bash refuses `compopt -o default`, by which click asks for files.
    script = ['eval "$(_SAFEMIG_COMPLETE=bash_source safemig)"', 'compopt() { files="$2"; }']
    for line, _ in COMPLETED:
        words = line.split(" ")
        quoted = " ".join(f"'{word}'" for word in words)
        script += [
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; COMPREPLY=(); files=",
            f"_safemig_completion safemig '{words[-1]}'",
            f"""[ "$files" != default ] || COMPREPLY=($(compgen -f -- '{words[-1]}'))""",
            'printf "%s\\n" "${COMPREPLY[@]}" ---',
        ]
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-ec", "\n".join(script)], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split("---\n")
    return {line: set(answer.split()) for (line, _), answer in zip(COMPLETED, answers, strict=False)}


@pytest.mark.parametrize(("line", "wanted"), COMPLETED)
def test_a_shell_completes_verbs_options_targets_and_files(
    line: str, wanted: set[str], completed: dict[str, set[str]]
) -> None:
    assert completed[line] == wanted
