"""The page by which somebody aims the camera: what it shows, to whom, and that nothing on it can begin it."""

from __future__ import annotations

import asyncio
import html
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("argon2", reason="the console's libraries are missing")
pytest.importorskip("httpx2", reason="what Starlette's test client stands on is missing")
pytest.importorskip("starlette", reason="the console's libraries are missing")
import test_console as pages
from test_console import CONFIG, House, send
from test_loop import ALICE, FACE, frame

from facelatch.console import app, going, picture, words
from facelatch.console.pages import aim
from facelatch.console.pages.page import COOKIE
from facelatch.line.background import Background
from facelatch.machines.aiming import AIM_SECONDS, Aim, Aiming
from facelatch.values.observations import NoFace, Observation, Reason, Unusable
from facelatch.values.pictures import Box, Face

house = pages.house


def arm(house: House, observation: Observation | None = None) -> None:
    """As two short presses do, and a picture is there."""
    now = time.monotonic()
    preview = house.served.desk.preview
    preview.allow(Aiming(until=now + AIM_SECONDS, since=now, origin="button"))
    house.served.client.ask({"action": "preview"})
    preview.see(frame(0, ALICE), observation or Unusable(Reason.TOO_SMALL, FACE), Background(), now)


def disarm(house: House) -> None:
    house.served.desk.preview.allow(Aiming())


def test_not_armed_the_page_says_how_to_and_has_no_picture(house: House) -> None:
    page = html.unescape(house.signed_in("enroller").get("/aim").text)
    assert "press the button briefly twice" in page
    assert "sudo facelatch aim" in page
    assert "/aim/picture" not in page


def test_armed_it_shows_the_picture_every_limit_and_what_to_do_first(house: House) -> None:
    arm(house)
    page = html.unescape(house.signed_in("enroller").get("/aim").text)
    assert 'src="/aim/picture"' in page
    assert "Too small" in page
    assert page.count("<meter") == 7
    for word in ("Distance between the eyes", "Brightness", "Sharpness", "times as far away", "5 more minutes"):
        assert word in page
    assert '<noscript><meta http-equiv="refresh"' in page


def test_a_viewer_sees_neither_page_nor_picture_nor_the_way_there(house: House) -> None:
    arm(house)
    browser = house.signed_in("viewer")
    assert 'href="/aim"' not in browser.get("/").text
    for path in ("/aim", "/aim/live", "/aim/picture"):
        answer = browser.get(path)
        assert answer.status_code == 403, path
        assert b"\xff\xd8" not in answer.content
    assert send(browser, "/aim/end").status_code == 403
    assert house.browser().get("/aim/picture").status_code == 403


def test_no_page_and_no_form_begins_it(house: House) -> None:
    """Nor is there any place in the console's code that asks for it."""
    browser = house.signed_in("admin")
    for path in ("/aim", "/aim/end", "/aim/begin", "/aim/picture", "/aim/live"):
        if path != "/aim/live":
            browser.get(path + "?on=true&arm=1")
        send(browser, path, on="/aim", arm="yes")
    assert not [command for command in house.served.commands if isinstance(command, Aim) and command.on]
    source = "".join(file.read_text() for file in Path(app.__file__).parent.rglob("*.py"))
    assert re.findall(r'ask\("aim"(.*?)\)', source) == [", on=False"]


def test_whoever_may_look_may_end_it(house: House) -> None:
    arm(house)
    assert send(house.signed_in("enroller"), "/aim/end", on="/aim").headers["location"] == "/aim"
    assert Aim(False) in house.served.commands


def test_the_pictures_come_one_after_the_other_until_it_is_over(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one answer that no cache keeps; and whoever looks is in the audit by name."""
    monkeypatch.setattr(picture, "PAUSE_SECONDS", 0.01)
    arm(house)
    browser = house.signed_in("enroller", "carla")
    asked: list[int] = []
    plain = house.console.door.fetch

    def fetch(actor: str | None, action: str, bulk: bytes | None = None, **fields: Any) -> Any:
        asked.append(fields["after"])
        if len(asked) == 3:
            time.sleep(0.21)
            arm(house)
        if len(asked) == 6:
            disarm(house)
        return plain(actor, action, bulk, **fields)

    monkeypatch.setattr(type(house.console.door), "fetch", lambda _door, *given, **fields: fetch(*given, **fields))
    answer = browser.get("/aim/picture")
    assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.count(b"\xff\xd8\xff") == 2
    assert "carla" in [event.fields.get("ACTOR") for event in house.served.audit.events]


def test_the_figures_are_asked_for_without_the_picture(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a request of its own, and the page asks for its figures every second."""
    arm(house)
    came: list[tuple[dict[str, Any], bytes]] = []
    plain = type(house.console.door).fetch

    def fetch(*given: Any, **fields: Any) -> tuple[dict[str, Any], bytes]:
        came.append(plain(*given, **fields))
        return came[-1]

    monkeypatch.setattr(type(house.console.door), "fetch", fetch)
    house.signed_in("enroller").get("/aim")
    ((figures, bulk),) = came
    assert (figures["number"], bulk) == (1, b"")


def test_only_so_many_see_it_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    arm(house)
    monkeypatch.setattr(picture, "MOST_PICTURES", 0)
    assert house.signed_in("enroller").get("/aim/picture").status_code == 503


@pytest.mark.parametrize(("path", "count"), [("/aim/picture", "pictures"), ("/aim/live", "streams")])
def test_a_reader_who_takes_nothing_more_gives_the_place_back(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    count: str,
) -> None:
    """As a page in the background of a phone does, whose connection stays."""
    monkeypatch.setattr(going, "PATIENCE_SECONDS", 0.05)
    arm(house)
    id_ = house.signed_in("enroller").cookies[COOKIE].strip('"')
    served: Any = app.application(house.console, CONFIG)
    headers = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={id_}".encode())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    taken = []

    async def never() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            taken.append(getattr(served._app.state, count))
            await never()

    asyncio.run(asyncio.wait_for(served(scope, never, send), 10))
    assert taken == [1]
    assert getattr(served._app.state, count) == 0


@pytest.mark.slow
def test_a_picture_that_is_only_open_keeps_no_session_going(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture, "LONGEST_SECONDS", 1.0)
    arm(house)
    browser = house.signed_in("enroller")
    house.clock.now += 29 * 60
    monkeypatch.setattr(picture, "PAUSE_SECONDS", 0.5)
    browser.get("/aim/picture")
    house.clock.now += 2 * 60
    assert browser.get("/aim").status_code == 303


def test_a_door_that_does_not_answer_is_said_on_this_page_too(house: House) -> None:
    browser = house.signed_in("enroller")
    house.served.close()
    assert "does not answer" in browser.get("/aim").text


REASONS = [reason for reason in Reason if f"advice.{reason}" in words.catalogue()["en"]]


def test_there_is_advice_for_whatever_the_line_says_of_a_picture() -> None:
    """In the reader's own words; what is about a person is no advice here."""
    from facelatch.vision import quality

    of_a_limit = {
        one.reason
        for brightness in (0.0, 255.0)
        for one in quality.against(_measures(brightness), aim_limits())
    }
    others = {Reason.NO_FACE, Reason.SEVERAL_FACES, Reason.UPSIDE_DOWN, Reason.SIDEWAYS, Reason.UNFAMILIAR}
    assert of_a_limit | others == set(REASONS)


def aim_limits() -> Any:
    from facelatch.config.file import Config

    return Config().quality


def _measures(brightness: float) -> Any:
    from facelatch.values.pictures import Pose
    from facelatch.vision.quality import Measures

    return Measures(
        eye_distance_px=0.0,
        brightness=brightness,
        contrast=0.0,
        sharpness=0.0,
        pose=Pose(2.0, 2.0, 180.0),
        cut_off=True,
    )


@pytest.mark.parametrize("language", sorted(words.catalogue()))
@pytest.mark.parametrize("brightness", [0.0, 22.0, 128.0, 255.0])
def test_every_measure_has_its_bar_and_its_words_in_each_language(language: str, brightness: float) -> None:
    from facelatch.vision import preview, quality

    say = words.speaker(language)
    rows = [preview._row(one) for one in quality.against(_measures(brightness), aim_limits())]
    for row in rows:
        drawn = aim.bar(row, say)
        assert drawn["label"]
        assert bool(drawn["wrong"]) is not drawn["passes"]
        if drawn["scale"] is not None:
            at = drawn["scale"]
            assert at["min"] <= at["low"] <= at["high"] <= at["max"], row
            assert at["min"] <= at["at"] <= at["max"], row
    seen = {"number": 1, "reason": None, "box": [1, 1, 1, 1], "reach": 0.5, "limits": rows}
    assert aim.advice(seen, say) == say("advice.good")
    assert aim.advice({**seen, "box": None}, say) == say("advice.no_face")
    assert aim.advice({**seen, "number": 0}, say) == say("aim.waiting")
    light = {22.0: [say("aim.dim")], 128.0: [say("aim.light")]}.get(brightness, [])
    assert aim.remarks(seen, say) == [say("aim.nearer", times="0.5"), *light]


def test_a_face_without_a_crop_and_an_empty_view_are_pages_too(house: House) -> None:
    browser = house.signed_in("enroller")
    flat = Face(Box(0, 0, 1, 1), np.zeros((5, 2), np.float32), 0.9)
    for observation, word in (
        (Unusable(Reason.TURNED_AWAY, flat), "turned away"),
        (Unusable(Reason.UPSIDE_DOWN, flat), "upside down"),
        (NoFace(), "No face in view"),
    ):
        time.sleep(0.21)
        arm(house, observation)
        assert word in html.unescape(browser.get("/aim").text)


def test_all_scripts_of_ours_together_stay_small() -> None:
    scripts = Path(app.__file__).parent.rglob("*.js")
    assert sum(len(file.read_text().splitlines()) for file in scripts) <= 300
