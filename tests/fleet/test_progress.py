"""What a run over a fleet tells while it goes: how many are done, which member is blocked, by whom, since when."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from safemig import result
from safemig.results import Live
from safemig.views.of_live import lines_between
from tests.fleet.conftest import Fleet
from tests.fleet.test_migrate import SECOND, SECOND_FILE

pytest.importorskip("distributed")


def test_who_blocks_a_member_is_named_while_the_others_go_on(
    make_fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(3)
    fleet.list_members('backup = "none"\nmax_parallel = 2\nwaves = ["rest"]')
    fleet.settings(f"lock_attempts = 10000\n{(fleet.folder / 'safemig.toml').read_text()}")
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    moments: list[Live | None] = []
    monkeypatch.setattr(result, "_find_listener", lambda: moments.append)
    blocker = psycopg.connect(fleet.members["b"], application_name="checkout")
    pid = blocker.info.backend_pid
    blocker.execute("SELECT FROM customers")

    def release_once_told() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not [
            each for each in moments if each and each.blockers and "2 done" in each.note
        ]:
            time.sleep(0.05)
        blocker.close()

    releaser = threading.Thread(target=release_once_told)
    releaser.start()
    assert fleet.project.fleet_migrate(approve=plan.id).verdict == "DEPLOYED"
    releaser.join()
    told = next(each for each in reversed(moments) if each and each.blockers)
    (seen,) = told.blockers
    assert (seen.blocks, seen.pid, seen.application) == ("b", pid, "checkout")
    assert seen.transaction_s
    assert "2 done, 0 failed, 1 under way, 0 waiting, slowest: b" in told.note
    drawn = told.render("text")
    assert all(word in drawn for word in ("Member", "b", str(pid), "checkout", "idle in transaction"))
    said = [line for before, after in itertools.pairwise(moments) if after for line in lines_between(before, after)]
    (line,) = [each for each in said if "blocked by" in each]
    assert line.startswith(
        f"fleet_migrate · b waits for a lock: blocked by pid {pid} postgres checkout, idle in transaction for "
    )
