"""The page with the model's card."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

pytest.importorskip("httpx2", reason="what Starlette's test client stands on is missing")
pytest.importorskip("starlette", reason="the console's libraries are missing")
import test_console as pages
from test_console import House

from facelatch.console import model_card

house = pages.house


def test_the_model_s_card_shows_its_rates_and_where_its_curve_lies(house: House, tmp_path: Path) -> None:
    browser = house.signed_in("admin")
    page = html.unescape(browser.get("/settings/model", headers={"accept-language": "de"}).text)
    assert "/settings/model" in browser.get("/settings").text
    assert "Wie oft es irrt (DET-Kurve)" in page
    assert "0.0826 %" in page or "per_attempt" in page
    assert "far_per_attempt_relatives" in page
    object.__setattr__(house.console, "manifest", tmp_path / "none.json")
    assert browser.get("/settings/model").status_code == 400
    (tmp_path / "none.json").write_text('{"rates": []}')
    assert browser.get("/settings/model").status_code == 400


def test_the_axes_of_a_curve_are_normal_deviates_and_hold_every_rate() -> None:
    tried = [
        {"far_per_attempt": far, "frr_per_attempt": frr}
        for far, frr in ((1e-4, 0.1), (1e-3, 0.05), (0.0, 1.0))
    ]
    entry = {"value": 1e-3, "low": 0.0, "high": 1.0, "identities": 3, "comparisons": 9, "data": "x"}
    rates = {name: model_card._rate(name, entry) for name in ("far_per_attempt", "frr_per_attempt")}
    drawn = model_card.curve(rates, tried)
    points = [tuple(map(float, point.split(","))) for point in drawn.line.split()]
    assert points == sorted(points, key=lambda point: (point[0], -point[1]))
    assert points[0] == (model_card.LEFT, model_card.TOP)
    assert drawn.across == (model_card.LEFT, model_card.LEFT + model_card.WIDTH)
    assert drawn.upright == (model_card.TOP, model_card.TOP + model_card.HEIGHT)
    x = {text: x for text, x, y in drawn.ticks if y == model_card.TOP + model_card.HEIGHT}
    assert x["0.01 %"] < x["0.1 %"] < x["1 %"] < x["40 %"]
    assert (model_card.curve({}, []).line, model_card.curve({}, tried[:1]).chosen) == ("", None)
    assert (rates["far_per_attempt"].text, rates["far_per_attempt"].interval) == (
        "0.10 %",
        "0.0000 % – 100.00 %",
    )
    assert model_card._rate("seconds_to_grant", {**entry, "low": None}).interval == ""
