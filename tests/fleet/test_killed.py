"""Everything goes wrong at once: the show of benchmarks/fleet.py, with few members. Databases, then schemas of one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from safemig.postgres.server.throwaway import ThrowawayServer

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "fleet.py"


@pytest.mark.thorough
@pytest.mark.parametrize("schemas", [False, True], ids=["databases", "schemas"])
def test_whatever_is_killed_the_matrix_is_true_and_resume_converges(
    schemas: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("fleet_show", PATH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fleet_show", module)
    spec.loader.exec_module(module)
    monkeypatch.setenv("CONTROL_URL", "")
    with ThrowawayServer.start(settings={"autovacuum": "off", "max_connections": "200"}) as server:
        made = module.show(server, tmp_path / "fleet", 60, schemas=schemas)
    assert made.kills["runner"] == 2
    assert made.kills["worker"] >= 3  # few members: the last ones may be done before
