"""Where events go: a command's standard input, a webhook's body, Slack's own form of one."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from safemig.secrets import remember

PATIENCE_S = 5.0  # for one event
SLACK = "slack "
_VARIABLE = "env:"


class Channel(Protocol):
    """One place to tell; `name` says which, and holds no secret."""

    name: str

    def send(self, event: Mapping[str, Any]) -> None:
        """Send one event, within `PATIENCE_S`.

        Raises:
            Undelivered: it was not taken; the message says why, in one line.
        """

    def stop(self) -> None:
        """End what is being sent."""


class Undelivered(Exception):  # noqa: N818  not an error of the act
    """An event was not taken. `is_final` where the next one would not be either."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


def channel_of(entry: str, folder: Path, private: frozenset[str]) -> Channel:
    """Return the channel of one entry of `notify`; `private` are the variables that a command does not get."""
    if entry.startswith((_VARIABLE, SLACK + _VARIABLE)):
        return Webhook(entry.removeprefix(SLACK).removeprefix(_VARIABLE).strip(), slack=entry.startswith(SLACK))
    return Command(entry, folder, private)


class Command:
    """A program, started in the project's folder for each event, with its JSON on standard input. No shell reads it."""

    def __init__(self, command: str, folder: Path, private: frozenset[str]) -> None:
        words = shlex.split(command)
        self.name = words[0]  # its arguments may hold a token
        self._words = words
        self._folder = folder
        self._private = private
        self._process: subprocess.Popen[bytes] | None = None

    def send(self, event: Mapping[str, Any]) -> None:
        """Start the program, and wait for its end."""
        variables = {name: value for name, value in os.environ.items() if name not in self._private}
        try:
            self._process = started = subprocess.Popen(
                self._words, cwd=self._folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Undelivered(error.strerror or type(error).__name__, is_final=True) from None
        with started:
            try:
                _, said = started.communicate(json.dumps(event, ensure_ascii=False).encode() + b"\n", PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.stop()
                raise Undelivered(f"took longer than {PATIENCE_S:g} s", is_final=True) from None
        if started.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            raise Undelivered(" ".join([f"exit code {started.returncode}", *(f"({line[:120]})" for line in last)]))

    def stop(self) -> None:
        """Kill the program and what it started."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


class Webhook:
    """A URL in an environment variable, such as a chat's: each event is posted to it as JSON."""

    def __init__(self, variable: str, *, slack: bool) -> None:
        self.name = f"{SLACK if slack else ''}{_VARIABLE}{variable}"
        self._variable = variable
        self._slack = slack

    def send(self, event: Mapping[str, Any]) -> None:
        """Post the event, and wait for the answer's first line."""
        from safemig.notifications.posting import post  # urllib takes a while to load

        url = os.environ.get(self._variable, "")
        if urlsplit(url).scheme not in ("http", "https"):
            why = "the variable is not set" if not url else "the variable holds no http(s) URL"
            raise Undelivered(why, is_final=True)
        remember([url])
        body = json.dumps(slack_message(event) if self._slack else event, ensure_ascii=False).encode()
        post(url, body)

    def stop(self) -> None:
        """Leave it: its thread ends with the process."""


_COLOURS = {
    "started": "#888888", "waiting_for_approval": "#d4a017", "blocked": "#d4a017", "refused": "#d4a017",
    "failed": "#c0392b", "stopped": "#c0392b", "unknown": "#c0392b",
}  # fmt: skip
_ALSO = {"plan_id": "Plan", "record": "Record", "next": "Next"}


def slack_message(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event in the form of Slack's incoming webhooks (Mattermost's and Rocket.Chat's, too)."""
    source = event.get("source", {})
    shown = {**event, "next": _next_of(event)}
    fields = [
        {"title": title, "value": _escaped(str(shown[key])), "short": key == "plan_id"}
        for key, title in _ALSO.items()
        if shown.get(key)
    ]
    if link := source.get("ci_url"):
        fields.append(
            {"title": "CI", "value": f"<{_escaped(link)}|{_escaped(source.get('ci', 'run'))}>", "short": True}
        )
    attachment = {
        "color": _COLOURS.get(event["event"], "#2e7d32"),
        "fallback": _escaped(event["text"]),
        "text": "\n".join(map(_escaped, event.get("migrations", ()))),
        "fields": fields,
    }
    return {"text": _escaped(event["text"]), "attachments": [attachment]}


def _next_of(event: Mapping[str, Any]) -> str:
    lines = event.get("error", {}).get("lines", ())
    return next((line.removeprefix("next: ") for line in lines if line.startswith("next: ")), "")


def _escaped(text: str) -> str:
    """Return `text` as Slack reads it: a name in a database must not become a mention or a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
