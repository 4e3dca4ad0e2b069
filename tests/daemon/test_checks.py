"""What `check` comes to while the door serves."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from facelatch.api.checks import AGAIN_SECONDS, Checks, Findings
from facelatch.cli.door import _findings
from facelatch.config.file import parse
from facelatch.diagnosis.check import BESIDE_THE_DOOR


def test_the_findings_are_tried_again_after_a_while_only() -> None:
    now, tried = [0.0], list[float]()

    def try_all() -> Findings:
        tried.append(now[0])
        return [{"item": len(tried)}]

    checks = Checks(try_all, lambda: now[0])
    assert checks.findings() == checks.findings() == [{"item": 1}]
    now[0] = AGAIN_SECONDS
    assert checks.findings() == [{"item": 2}]
    assert tried == [0.0, AGAIN_SECONDS]


def test_many_who_ask_at_once_have_it_tried_once() -> None:
    tried = list[int]()

    def try_all() -> Findings:
        tried.append(1)
        time.sleep(0.05)
        return []

    checks = Checks(try_all, lambda: 0.0)
    threads = [threading.Thread(target=checks.findings) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(5)
    assert len(tried) == 1


def test_what_is_tried_beside_the_door_opens_neither_camera_nor_pins_nor_gallery(tmp_path: Path) -> None:
    """The gallery would be a second one, the model 100 MB more."""
    (tmp_path / "state").mkdir(mode=0o700)
    found = _findings(parse({"storage": {"state_directory": str(tmp_path / "state")}}, origin="test"), None)
    assert {one["item"] for one in found} == BESIDE_THE_DOOR
    assert BESIDE_THE_DOOR.isdisjoint({"camera", "pins", "gallery", "model", "finder", "liveness", "view", "hours"})
    assert list((tmp_path / "state").iterdir()) == []
