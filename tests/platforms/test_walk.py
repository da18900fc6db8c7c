"""Every verb's good road on every platform: the walk of `walk.py`, without a step that fails."""

from __future__ import annotations

from pathlib import Path

from tests.platforms.boxes import Boxes, on_boxes
from tests.platforms.walk import RECORDED, STEPS, Walk


@on_boxes("supabase-17")
def test_every_step_of_the_workflow_goes_through(boxes: Boxes, tmp_path: Path, name: str, major: int) -> None:
    box = boxes.get(name, major)
    walk = Walk(boxes, box, tmp_path, box.project(tmp_path))
    # Runbooks are tried by test_every_road.py; here the verbs are called by themselves, which is quicker.
    walk.go([each for each in STEPS if each not in RECORDED])
    assert walk.reasons == {}
