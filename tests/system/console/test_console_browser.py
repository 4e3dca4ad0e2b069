"""The console in a real Chromium, before a real daemon on drawn people: from the first link to somebody enrolled.

Screenshots of every page at two sizes lie in FACELATCH_SCREENSHOTS, or with pytest's other temporary files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drawn
import pytest
from drawn_console import PASSWORD, ConsoleHouse

pytestmark = pytest.mark.system

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SIZES = {"phone": (320, 640), "desk": (1280, 900)}

webdriver: Any = pytest.importorskip("selenium.webdriver", reason="selenium is missing")
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions  # noqa: E402

axe: Any = pytest.importorskip("axe_selenium_python", reason="axe is missing")

if CHROMIUM is None or DRIVER is None:
    pytest.skip("apt's chromium and chromium-driver are missing", allow_module_level=True)


def until(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """What `condition` gives as soon as it is true; a page that changes under it is asked again."""
    return drawn.until(
        condition, what, seconds, passing=(StaleElementReferenceException, NoSuchElementException)
    )


class House(ConsoleHouse):
    """The door and its console."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, camera="rate_fps = 2.0\nstale_after_seconds = 10.0")
        self.start_door()
        self.start_intake()
        until(lambda: (work / "control.sock").exists(), "the daemon listens")
        self.start_console()

    def stop_console(self) -> None:
        """So that whatever it was sending breaks off."""
        self.running["console"].kill()
        self.running["console"].wait(20)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    running = House(tmp_path_factory.mktemp("console"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = f"--user-data-dir={house.work}/profile"
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--lang=en", profile):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    started.set_page_load_timeout(30 * drawn.PATIENCE)
    yield started
    started.quit()


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def type_into(browser: Any, **fields: str) -> None:
    for name, text in fields.items():
        find(browser, f"[name={name}]").send_keys(text)
    find(browser, "main form button").click()


@pytest.fixture(scope="module")
def signed_in(house: House, browser: Any) -> Any:
    """By the link that an administrator gets from the command line."""
    browser.get(house.invited())
    type_into(browser, password=PASSWORD, repeat=PASSWORD)
    until(lambda: browser.find_elements("css selector", "nav"), "signed in")
    return browser


def test_the_first_page_shows_the_door(signed_in: Any) -> None:
    """And goes on showing it: the part that changes comes by the stream."""
    assert "locked" in find(signed_in, ".state").text
    state = find(signed_in, "#live")
    signed_in.execute_script("arguments[0].textContent = ''", state)
    signed_in.refresh()
    until(lambda: "locked" in find(signed_in, "#live").text, "the state is shown")


def test_somebody_enrolled_is_listed_and_renamed(signed_in: Any, house: House) -> None:
    signed_in.get(f"http://localhost:{house.port}/people")
    find(signed_in, "tbody a").click()
    find(signed_in, "[name=new_name]").send_keys("robin b")
    find(signed_in, "form[action$=rename] button").click()
    until(lambda: find(signed_in, "h1").text == "robin b", "renamed")
    assert "robin b" in house.facelatch("people", "list")


def test_an_enrolment_by_camera_shows_how_far_it_is_and_stops(signed_in: Any, house: House) -> None:
    signed_in.get(f"http://localhost:{house.port}/people")
    type_into(signed_in, name="carla")
    until(lambda: signed_in.find_elements("css selector", "progress, .good, .fault"), "its page")
    status = json.loads(house.facelatch("status", "--json"))
    assert status["enrolment"]["person"] == "carla"
    find(signed_in, "form[action$=abort] button").click()
    until(lambda: find(signed_in, "h1").text == "People", "back")
    until(
        lambda: json.loads(house.facelatch("status", "--json"))["enrolment"]["state"] in ("idle", "failed"),
        "stopped",
    )


def test_pictures_from_a_phone_enrol_and_a_hostile_one_is_named(signed_in: Any, house: House) -> None:
    bad = house.work / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    pictures = [str(one) for one in sorted((house.work / "demo" / "enrol").iterdir())[:5]]
    house.facelatch("people", "remove", "robin b", "--yes")
    signed_in.get(f"http://localhost:{house.port}/people")
    form = find(signed_in, "form[enctype]")
    form.find_element("css selector", "[name=name]").send_keys("wren")
    form.find_element("css selector", "[type=file]").send_keys("\n".join([*pictures, str(bad)]))
    form.find_element("css selector", "button").click()
    text = until(
        lambda: find(signed_in, "h1").text == "Pictures" and find(signed_in, "main").text, "looked at", 60
    )
    assert "wren is enrolled" in text
    assert "bad.png" in text
    house.facelatch("people", "rename", "wren", "robin b")


def test_the_camera_is_aimed_with_the_eyes(signed_in: Any, house: House) -> None:
    """Not armed the page says how to; armed it shows the picture, which moves, and the bars; ended it is gone. Where it
    broke off, as after its longest time, it begins anew."""
    signed_in.get(f"http://localhost:{house.port}/aim")
    assert "press the button briefly twice" in find(signed_in, "main").text
    house.facelatch("aim")
    image = until(lambda: signed_in.find_elements("css selector", "img[src='/aim/picture']"), "the picture")[0]
    width = lambda: signed_in.execute_script("return arguments[0].naturalWidth", image)  # noqa: E731
    until(lambda: width() == 320, "it has come")
    until(lambda: signed_in.find_elements("css selector", "meter"), "somebody drawn comes to the door")
    first, drawn_on = _pixels(signed_in), "return document.querySelector('#advice').textContent"
    assert signed_in.execute_script(drawn_on)
    until(lambda: _pixels(signed_in) != first, "it is another one")
    house.stop_console()
    until(lambda: width() == 0, "it broke off")
    house.start_console()
    until(lambda: width() == 320, "it goes on")
    find(signed_in, "form[action='/aim/end'] button").click()
    until(lambda: "not shown" in find(signed_in, "#advice").text, "ended")
    assert not signed_in.find_elements("css selector", "img")


def _pixels(browser: Any) -> str:
    """The picture as it is on the page now."""
    return str(
        browser.execute_script(
            "const image = document.querySelector('.seen img'), canvas = document.createElement('canvas');"
            "canvas.width = 32; canvas.height = 24;"
            "canvas.getContext('2d').drawImage(image, 0, 0, 32, 24); return canvas.toDataURL()"
        )
    )


def paths(house: House) -> list[str]:
    return [
        "/",
        "/aim",
        "/people",
        "/people/robin%20b",
        "/people/robin%20b/forget",
        "/history",
        "/settings",
        "/settings/model",
        "/prove",
        "/account",
        "/nowhere",
    ]


@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_and_can_be_used_by_everybody(
    signed_in: Any, house: House, tmp_path: Path, size: str
) -> None:
    """Nothing sticks out, axe finds nothing serious, the browser's console has no errors; a picture of each is kept."""
    kept = Path(os.environ.get("FACELATCH_SCREENSHOTS", tmp_path))
    kept.mkdir(parents=True, exist_ok=True)
    house.facelatch("aim")
    signed_in.get_log("browser")
    signed_in.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": SIZES[size][0],
            "height": SIZES[size][1],
            "deviceScaleFactor": 1,
            "mobile": size == "phone",
        },
    )
    for path in paths(house):
        signed_in.get(f"http://localhost:{house.port}{path}")
        if path == "/aim":
            until(lambda: signed_in.find_elements("css selector", "meter"), "somebody drawn comes to the door")
        name = path.strip("/").replace("/", "-").replace("%20", "-") or "door"
        signed_in.save_screenshot(str(kept / f"{size}-{name}.png"))
        wide = signed_in.execute_script("return document.documentElement.scrollWidth")
        assert wide <= SIZES[size][0], f"{path} is {wide} px wide"
        checker = axe.Axe(signed_in)
        checker.inject()
        found = checker.run()["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, f"{path}: {[(one['id'], one['nodes'][0]['html']) for one in serious]}"
    errors = [entry["message"] for entry in signed_in.get_log("browser") if entry["level"] == "SEVERE"]
    assert [text for text in errors if "/nowhere" not in text] == []


def test_every_link_leads_somewhere(signed_in: Any, house: House) -> None:
    for path in paths(house)[:-1]:
        signed_in.get(f"http://localhost:{house.port}{path}")
        links = {one.get_attribute("href") for one in signed_in.find_elements("css selector", "a[href]")}
        for link in links:
            assert link.startswith(f"http://localhost:{house.port}/"), link
            signed_in.get(link)
            assert find(signed_in, "h1").text not in ("That did not work", ""), link


def test_signing_out_ends_it(signed_in: Any, house: House) -> None:
    find(signed_in, "header form button").click()
    until(lambda: signed_in.find_elements("css selector", "[name=password]"), "signed out")
    signed_in.get(f"http://localhost:{house.port}/people")
    assert signed_in.find_elements("css selector", "[name=password]")


def test_the_console_stays_small(house: House) -> None:
    """Resident memory after all of that, in MB."""
    assert house.resident_mb("console") < 60


@pytest.fixture
def phone(signed_in: Any) -> Iterator[Any]:
    """An authenticator of the driver's. It also works on pages whose certificate nobody trusts, where a person's does
    not: what is tried here says nothing about certificates."""
    options = VirtualAuthenticatorOptions(
        transport="internal", has_resident_key=True, has_user_verification=True
    )
    options.is_user_verified = True
    signed_in.add_virtual_authenticator(options)
    yield signed_in
    signed_in.remove_virtual_authenticator()


def test_a_passkey_is_added_signs_in_and_is_taken_away_again(phone: Any, house: House) -> None:
    at = f"http://localhost:{house.port}"
    phone.get(f"{at}/sign-in")
    type_into(phone, name="alice", password=PASSWORD)
    until(lambda: phone.find_elements("css selector", "nav"), "signed in")
    phone.get(f"{at}/account")
    find(phone, "form[data-passkey] [name=label]").send_keys("a phone")
    find(phone, "form[data-passkey] button").click()
    until(lambda: "a phone" in find(phone, "main").text, "added")
    (made,) = phone.get_credentials()
    assert made.rp_id == "localhost"
    find(phone, "header form button").click()
    until(lambda: phone.find_elements("css selector", "[name=password]"), "signed out")
    find(phone, "form[data-passkey] button").click()
    until(lambda: phone.find_elements("css selector", "nav"), "signed in by it")
    phone.get(f"{at}/account")
    find(phone, "form[action$=remove] button").click()
    until(lambda: "a phone" not in find(phone, "main").text, "removed")
    find(phone, "header form button").click()
    until(lambda: phone.find_elements("css selector", "[name=password]"), "signed out")
    find(phone, "form[data-passkey] button").click()
    until(lambda: "not taken" in find(phone, "main").text, "an unknown passkey is refused")
    type_into(phone, name="alice", password=PASSWORD)
    until(lambda: phone.find_elements("css selector", "nav"), "the password goes on working")


def test_without_a_finger_nothing_is_made(phone: Any, house: House) -> None:
    phone.set_user_verified(False)
    phone.get(f"http://localhost:{house.port}/account")
    find(phone, "form[data-passkey] button").click()
    until(lambda: find(phone, "form[data-passkey] [role=status]").text, "the page says so")
    assert phone.get_credentials() == []


def test_a_page_whose_session_has_ended_does_not_go_on_showing_what_was(phone: Any, house: House) -> None:
    phone.get(f"http://localhost:{house.port}/")
    until(lambda: "locked" in find(phone, "#live").text, "the state is shown")
    house.facelatch("console", "remove", "alice")
    until(lambda: phone.find_elements("css selector", "[name=password]"), "it asks who it is")


def test_the_console_stays_small_with_the_library_for_passkeys_in_use(house: House) -> None:
    """Resident memory, in MB; what they take comes with the first one."""
    assert house.resident_mb("console") < 70
