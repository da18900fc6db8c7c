"""What a team is told of an act: by a real command and a real web server, for every verb that acts and every event."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from runbook_files import DEPLOYMENT, RunMode

from safemig import live
from safemig.approval.approve import approve
from safemig.errors import SettingsError
from safemig.notifications.channels import slack_message
from safemig.notifications.direct import follow, told
from safemig.notifications.events import _DONE, ENDS, EVENTS
from safemig.operations.deployment import DeploymentSteps
from safemig.records.finish import RecordRun
from safemig.records.outcome import RecordedError, RecordedResult
from safemig.records.progress import Progress
from safemig.records.telling import ACTS, Telling
from safemig.results import Blocker, Target
from safemig.settings import Settings, load_settings

KEEP = "cat >> told.jsonl"
HANG = "sleep 60"
FACTS = {"environment": "production", "started": "2026-11-30T12:00:00.000Z", "by": "dana", "source": {"commit": "4f2a", "ci_url": "https://ci/7"}}  # fmt: skip


def command(code: str) -> str:
    """Return an entry of `notify` that runs a line of shell."""
    return f"sh -c '{code}'"


@contextmanager
def web_server(answer: int = 200, wait_s: float = 0.0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the URL of a web server, and the bodies that are posted to it."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(wait_s)
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/services/T0K3N", posted
        server.shutdown()


def heard(folder: Path) -> list[dict[str, Any]]:
    """Return what the command KEEP was told."""
    return [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]


def telling(folder: Path, verb: str, *notify: str) -> Telling:
    return Telling(load_settings(folder, notify=notify), verb, FACTS, f"{verb}-1")


def run_of(folder: Path, verb: str, word: str, exit_code: int, *lines: str, **data: Any) -> RecordRun:
    error = RecordedError("RefusedError", exit_code, lines) if lines else None
    results = (RecordedResult("deployment", "", "", data),)
    path = folder / "records" / "production" / f"x-{word}.ipynb"
    return RecordRun(verb, "production", path, path, word, exit_code, error, results)


# How each event comes about: the record's word, the exit code, the error's first line.
ENDINGS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    **{event: (word, 0, ()) for word, event in _DONE.items()},
    "done": ("A-NEW-WORD", 0, ()),
    "nothing_to_do": ("NOTHING-TO-DEPLOY", 0, ()),
    "refused": ("REFUSED", 1, ("ReviewRefused: DO NOT DEPLOY",)),
    "failed": ("FAILED", 3, ("DeploymentFailed: step 2 failed",)),
    "stopped": ("STOPPED", 4, ("DeploymentStopped: step 2 failed", "next: safemig migrate-prod --resume 8c1f")),
    "unknown": ("UNKNOWN", 5, ("OutcomeUnknown: the server is gone",)),
    "waiting_for_approval": ("REFUSED", 1, ("Refused: plan 3f2a9c1 is not approved",)),
}


@pytest.mark.parametrize("verb", ACTS)
def test_every_event_of_every_verb_reaches_a_command_and_a_web_server(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {*ENDINGS, "started", "blocked"} == set(EVENTS)
    assert set(ENDS) < set(EVENTS)
    blocker = {"pid": 4711, "user": "app", "state": "idle in transaction", "transaction_s": 184.0}
    with web_server() as (url, posted):
        monkeypatch.setenv("TEAM_WEBHOOK", url)
        for word, exit_code, lines in ENDINGS.values():
            run = telling(tmp_path, verb, command(KEEP), "env:TEAM_WEBHOOK")
            hear = run.listener(None)
            assert hear is not None
            for _ in range(2):  # a session is told of once
                hear(Progress(moment=RecordedResult("live", "", "", {"blockers": [blocker]})))
            ended = run.ended(run_of(tmp_path, verb, word, exit_code, *lines, migrations=["1_a.sql"], plan_id="3f2a"))
            assert ended.undelivered == ()
    events = [(each["event"], each.get("exit_code")) for each in heard(tmp_path)]
    wanted = []
    for event, (_, exit_code, _) in ENDINGS.items():
        wanted += [("started", None), ("blocked", None), (event, exit_code)]
    assert events == wanted
    assert posted == heard(tmp_path), "each channel is told the same, in the same order"
    for each in posted:
        assert (each["format"], each["kind"], each["verb"], each["run"]) == ("safemig/1", "event", verb, f"{verb}-1")
        assert verb.replace("_", "-") in each["text"]
        assert each["source"] == FACTS["source"]
    assert "blocked by pid 4711 app (idle in transaction, 184 s)" in posted[1]["text"]
    waiting = next(each for each in posted if each["event"] == "waiting_for_approval")
    assert waiting["plan_id"] == "3f2a9c1"


@pytest.mark.parametrize("verb", ["generate", "review", "rehearse", "db_status", "doctor", "workload"])
def test_a_verb_that_does_not_act_tells_nothing(verb: str, tmp_path: Path) -> None:
    run = telling(tmp_path, verb, command(KEEP))
    assert run.ended(run_of(tmp_path, verb, "REPORTED", 0)).undelivered == ()
    assert not (tmp_path / "told.jsonl").exists()


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    (command("echo no chat today >&2; exit 1"), {}, "exit code 1 (no chat today); 2 events not delivered"),
    ("no-such-program --token s3cret", {}, "no-such-program: No such file or directory; 2 events not delivered"),
    (command(HANG), {}, "took longer than 0.5 s; 2 events not delivered"),
    ("env:TEAM_WEBHOOK", {"answer": 500}, "env:TEAM_WEBHOOK: the server answered 500; 2 events not delivered"),
    ("env:TEAM_WEBHOOK", {"answer": 302}, "env:TEAM_WEBHOOK: the server answered 302; 2 events not delivered"),
    ("slack env:TEAM_WEBHOOK", {"wait_s": 3}, "slack env:TEAM_WEBHOOK: took longer than 0.5 s; 2 events not delivered"),
    ("env:NOT_SET", {}, "env:NOT_SET: the variable is not set; 2 events not delivered"),
    ("env:NO_URL", {}, "env:NO_URL: the variable holds no http(s) URL; 2 events not delivered"),
    ("env:GONE", {}, "env:GONE: Connection refused; 2 events not delivered"),
]


@pytest.mark.parametrize(("entry", "server", "line"), FAULTS, ids=[line[:44] for *_, line in FAULTS])
def test_a_notification_that_fails_or_hangs_is_one_line_and_changes_nothing(
    entry: str, server: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("channels", "posting"):
        monkeypatch.setattr(f"safemig.notifications.{module}.PATIENCE_S", 0.5)
    monkeypatch.setattr("safemig.notifications.notifier._LAST_WAIT_S", 1.5)
    monkeypatch.setenv("GONE", "http://127.0.0.1:1/")
    monkeypatch.setenv("NO_URL", "file:///etc/passwd")
    with web_server(**server) as (url, _):
        monkeypatch.setenv("TEAM_WEBHOOK", url)
        began = time.monotonic()
        run = telling(tmp_path, "migrate_prod", entry, command(KEEP))
        assert time.monotonic() - began < 0.45, "the act does not wait"
        before = run_of(tmp_path, "migrate_prod", "DEPLOYED", 0)
        after = run.ended(before)
    assert time.monotonic() - began < 2.5
    [said] = after.undelivered
    assert said.endswith(line)
    assert "\n" not in said
    assert "s3cret" not in said
    assert "T0K3N" not in said
    assert (after.verdict, after.exit_code, after.error) == (before.verdict, before.exit_code, before.error)
    assert [each["event"] for each in heard(tmp_path)] == ["started", "deployed"], "the other channel is told all"


def test_a_recorded_run_is_told_of_and_waits_for_no_one(run: RunMode, project: Path) -> None:
    (project / "safemig.toml").write_text(f"notify = [{json.dumps(command(KEEP))}, {json.dumps(command(HANG))}]\n")
    gate = 'given = input("2 steps.\\nType  production 3f2a9c1  to approve it for the database app: ")'
    began = time.monotonic()
    done = run(gate, DEPLOYMENT, changing=1, ask=lambda _: "production 3f2a9c1")
    assert (done.verdict, done.exit_code) == ("DEPLOYED", 0)
    assert time.monotonic() - began < 25
    first, waiting, last = heard(project)
    assert [first["event"], waiting["event"], last["event"]] == ["started", "waiting_for_approval", "deployed"]
    assert waiting["plan_id"] == "3f2a9c1"
    assert last["record"] == str(done.path.relative_to(project))
    assert [each["run"] for each in (first, waiting, last)] == [done.path.stem.removesuffix("-DEPLOYED")] * 3
    assert len(done.undelivered) == 1
    assert "not delivered" in done.undelivered[0]


def test_no_secret_is_told_or_given_to_the_command(run: RunMode, project: Path) -> None:
    (project / "safemig.toml").write_text(f"notify = [{json.dumps(command(KEEP + '; env > env'))}]\n")
    done = run('from safemig.errors import RefusedError\nraise RefusedError("canary-5up3r is wrong")')
    assert done.exit_code == 1
    assert heard(project)[-1]["event"] == "refused"
    assert "***" in heard(project)[-1]["text"]
    assert "canary-5up3r" not in (project / "told.jsonl").read_text() + (project / "env").read_text()
    assert "PATH" in (project / "env").read_text()


def test_slacks_form_names_the_plan_and_mentions_no_one() -> None:
    event = {
        "event": "waiting_for_approval",
        "text": "migrate-prod on production (shop, by <!channel> & co): waits for approval, plan 3f2a9c1",
        "plan_id": "3f2a9c1",
        "migrations": ["1_a.sql"],
        "error": {"lines": ["Refused: plan 3f2a9c1 is not approved", "next: safemig migrate-prod --approve 3f2a9c1"]},
        "source": {"ci": "GitHub Actions run 7", "ci_url": "https://ci/7"},
    }
    message = slack_message(event)
    assert message["text"].startswith("migrate-prod on production (shop, by &lt;!channel&gt; &amp; co)")
    [attachment] = message["attachments"]
    shown = {each["title"]: each["value"] for each in attachment["fields"]}
    assert shown == {
        "Plan": "3f2a9c1",
        "Next": "safemig migrate-prod --approve 3f2a9c1",
        "CI": "<https://ci/7|GitHub Actions run 7>",
    }
    assert attachment["text"] == "1_a.sql"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("https://hooks.slack.com/services/T0K3N", "holds a webhook's URL"),
        ("slack https://hooks.slack.com/services/T0K3N", "holds a webhook's URL"),
        ("slack SLACK_WEBHOOK_URL", "Slack's form needs the variable"),
        ("", "an entry is a command"),
        ("env:", "an entry is a command"),
        ("say 'it", "not a command: no closing quotation"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_without_its_text(entry: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "safemig.toml").write_text(f"notify = [{json.dumps(entry)}]\n")
    with pytest.raises(SettingsError, match=why) as caught:
        load_settings(tmp_path)
    assert "T0K3N" not in str(caught.value)


class _Project:
    """As much of a project as the decorator needs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @told("production")
    def rollback_prod(self, fault: Exception | None = None) -> Any:
        if fault is not None:
            raise fault
        return RecordedAnswer()


class RecordedAnswer:
    """A result that says what was done."""

    kind, verdict, migrations = "deployment", "ROLLED BACK", ("1_a.sql",)


class Steps:
    """A deployment that is gone through step by step, and fails at one of its steps."""

    environment = "production"
    steps = DeploymentSteps.steps

    def __init__(self, settings: Settings, failing: str = "") -> None:
        self.settings = settings
        for name in self.steps:
            setattr(self, name, self._step(name == failing))

    def _step(self, fails: bool) -> Callable[[], None]:
        def step() -> None:
            if fails:
                raise SettingsError("no")

        return step

    def result(self) -> RecordedAnswer:
        return RecordedAnswer()


def test_an_act_that_no_run_records_is_told_of_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(tmp_path, notify=(command(KEEP), "env:NOT_SET"))
    _Project(settings).rollback_prod()
    with pytest.raises(SettingsError):
        _Project(settings).rollback_prod(SettingsError("what", next="that"))
    for failing in ("", "review"):
        steps: Any = Steps(settings, failing)
        follow(steps)
        for name in ("preflight", "review") if failing else ("preflight", "deploy", "validate"):
            if name == failing:
                with pytest.raises(SettingsError):
                    getattr(steps, name)()
            else:
                getattr(steps, name)()
    events = [each["event"] for each in heard(tmp_path)]
    assert events == ["started", "rolled_back", "started", "refused", "started", "rolled_back", "started", "refused"]
    assert capsys.readouterr().err.count("notification failed: env:NOT_SET") == 4


def test_an_act_that_no_run_records_tells_who_blocks_it_and_that_it_asks(tmp_path: Path) -> None:
    target = Target("production", "db", "app", "deployer", 170010, "1")

    class Blocked(_Project):
        @told("production")
        @live.act("rollback_prod")
        def rollback_prod(self, fault: Exception | None = None) -> Any:
            approve("3f2a9c1", target, "", "2 steps", verb="rollback-prod", ask=lambda _: "production 3f2a9c1")
            for _ in range(2):  # a session is told of once
                live.blocked([Blocker(4711, "app", "psql", "idle in transaction", 184.0, "SELECT 1")])
                time.sleep(0.3)
                live.blocked([])
            return RecordedAnswer()

    Blocked(load_settings(tmp_path, notify=(command(KEEP),))).rollback_prod()
    events = heard(tmp_path)
    assert [each["event"] for each in events] == ["started", "waiting_for_approval", "blocked", "rolled_back"]
    assert events[1]["plan_id"] == "3f2a9c1"
    assert "blocked by pid 4711 app (idle in transaction, 184 s)" in events[2]["text"]


def test_a_recorded_kernel_leaves_the_telling_to_who_records_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFEMIG_RECORD", "20261130120000-production-rollback_prod")
    _Project(load_settings(tmp_path, notify=(command(KEEP),))).rollback_prod()
    assert not (tmp_path / "told.jsonl").exists()
