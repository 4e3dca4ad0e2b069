"""The console's pages, asked as a browser asks, over a real socket to a real desk."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2", reason="the console's libraries are missing")
pytest.importorskip("httpx2", reason="what Starlette's test client stands on is missing")
pytest.importorskip("starlette", reason="the console's libraries are missing")
import argon2
from starlette.routing import Route
from starlette.testclient import TestClient

from facelatch.audit.spreadsheet import cell
from facelatch.config.console import ConsoleConfig
from facelatch.console import app, passwords, words
from facelatch.console.accounts import Accounts, Role
from facelatch.console.door import Door
from facelatch.console.pages import history
from facelatch.console.pages.page import Console, inside
from facelatch.console.passkeys import Passkeys
from facelatch.errors import InputError
from facelatch.machines.enrolment_states import RenewEnrolment, StartEnrolment
from facelatch.values.observations import Reason

PASSWORD = "four words of nothing"
SITE = "https://localhost"
CONFIG = ConsoleConfig(certificate="c.pem", key="k.pem")


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """A console, its door, and browsers."""

    served: Any
    accounts: Accounts
    clock: Clock
    console: Console

    def browser(self, **headers: str) -> TestClient:
        client = TestClient(app.application(self.console, CONFIG), SITE, follow_redirects=False)
        client.headers.update({"origin": SITE, **headers})
        return client

    def signed_in(self, role: Role, name: str = "") -> TestClient:
        browser, name = self.browser(), name or role
        token = self.accounts.invite(name, role)
        answer = browser.post(f"/welcome/{token}", data={"password": PASSWORD, "repeat": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser


@pytest.fixture
def house(served: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    quick = argon2.PasswordHasher(
        time_cost=1, memory_cost=8, parallelism=1
    )  # what it costs is no matter here
    monkeypatch.setattr(passwords, "_HASHER", quick)
    running, clock = served(sections={}), Clock()
    accounts = Accounts(tmp_path / "console", clock)
    console = Console(
        accounts=accounts, door=Door(running.socket), passkeys=Passkeys(accounts, clock), secure=True
    )
    yield House(running, accounts, clock, console)
    accounts.close()


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return html.unescape(found[1])


def send(browser: TestClient, path: str, on: str = "/people", **fields: str) -> Any:
    return browser.post(path, data={"csrf": csrf(browser.get(on).text), **fields})


ROUTES = app.routes()
PUBLIC = {"/sign-in", "/sign-in/passkey", "/welcome/{token}"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.path} {sorted(route.methods)}")
def test_every_page_but_the_way_in_is_refused_to_whoever_has_not_signed_in(
    house: House, route: Route
) -> None:
    browser = house.browser()
    path = route.path.replace("{name}", "Anna").replace("{token}", "x")
    answer = browser.post(path, data={}) if "POST" in (route.methods or ()) else browser.get(path)
    if route.path in PUBLIC:
        assert answer.status_code in (200, 403, 404)
    else:
        assert answer.status_code == 403 or answer.headers["location"].startswith("/sign-in")
        assert "Anna" not in answer.text


WRITES = [route for route in ROUTES if "POST" in (route.methods or ()) and route.path not in PUBLIC]


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.path)
def test_no_form_is_taken_without_the_token_of_its_session(house: House, route: Route) -> None:
    answer = house.signed_in("admin").post(
        route.path.replace("{name}", "Anna"), data={"csrf": "guessed", "name": "x"}
    )
    assert answer.status_code == 403


NO_CHANGES = {"/sign-out", "/prove", "/prove/passkey", "/enrolment/abort", "/aim/end"}
CHANGES = [route.path for route in WRITES if route.path not in NO_CHANGES]


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_asks_for_the_password_again_after_five_minutes(house: House, path: str) -> None:
    browser = house.signed_in("admin")
    house.clock.now += 301
    answer = send(browser, path.replace("{name}", "Anna"), name="x", new_name="Carla", admin="no")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/prove")
    assert [one["name"] for one in house.served.client.ask({"action": "list"})["people"]] == ["Anna", "Ben"]


def test_the_password_once_more_allows_changes_again(house: House) -> None:
    browser = house.signed_in("admin")
    house.clock.now += 301
    assert send(browser, "/prove", on="/prove", password="wrong", next="/people").status_code == 403
    assert (
        send(browser, "/prove", on="/prove", password=PASSWORD, next="/people").headers["location"]
        == "/people"
    )
    assert send(browser, "/people/Ben/rename", new_name="Benno").headers["location"] == "/people/Benno"


@pytest.mark.parametrize(
    ("role", "least"), [("viewer", "enroller"), ("viewer", "admin"), ("enroller", "admin")]
)
def test_a_role_may_not_what_a_higher_one_may(house: House, role: Role, least: Role) -> None:
    browser = house.signed_in(role)
    for route in ROUTES:
        if not (route.name or "").startswith(f"{least}:"):
            continue
        path = route.path.replace("{name}", "Anna")
        answer = send(browser, path) if "POST" in (route.methods or ()) else browser.get(path)
        assert answer.status_code == 403, path


def test_an_invitation_works_once_and_for_a_quarter_of_an_hour(house: House) -> None:
    token, browser = house.accounts.invite("alice", "viewer"), house.browser()
    assert "alice" in browser.get(f"/welcome/{token}").text
    short = browser.post(f"/welcome/{token}", data={"password": "short", "repeat": "short"})
    assert short.status_code == 400
    unequal = browser.post(f"/welcome/{token}", data={"password": PASSWORD, "repeat": PASSWORD + "!"})
    assert unequal.status_code == 400
    assert (
        browser.post(f"/welcome/{token}", data={"password": PASSWORD, "repeat": PASSWORD}).status_code == 303
    )
    assert house.browser().get(f"/welcome/{token}").status_code == 404
    late = house.accounts.invite("ben", "viewer")
    house.clock.now += 901
    assert house.browser().get(f"/welcome/{late}").status_code == 404


def test_whoever_accepts_a_second_invitation_ends_the_sessions_before(house: House) -> None:
    first = house.signed_in("viewer", "alice")
    house.signed_in("viewer", "alice")
    assert first.get("/").headers["location"] == "/sign-in?next=/"


def test_signing_in_and_out(house: House) -> None:
    house.signed_in("viewer", "alice")
    browser = house.browser()
    wrong = browser.post("/sign-in", data={"name": "alice", "password": "wrong"})
    nobody = browser.post("/sign-in", data={"name": "nobody", "password": "wrong"})
    assert (wrong.status_code, nobody.status_code) == (403, 403)
    assert wrong.text.replace("alice", "") == nobody.text.replace("nobody", "")
    answer = browser.post("/sign-in", data={"name": " Alice", "password": PASSWORD, "next": "/people"})
    assert answer.headers["location"] == "/people"
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("__Host-", "Secure", "HttpOnly", "SameSite=strict", "Path=/"))
    assert browser.get("/people").status_code == 200
    send(browser, "/sign-out")
    assert browser.get("/people").status_code == 303


def test_five_wrong_passwords_shut_the_account_for_a_while_even_to_the_right_one(house: House) -> None:
    house.signed_in("viewer", "alice")
    browser = house.browser()
    for _ in range(5):
        assert browser.post("/sign-in", data={"name": "alice", "password": "wrong"}).status_code == 403
    assert browser.post("/sign-in", data={"name": "alice", "password": PASSWORD}).status_code == 429
    house.clock.now += 31
    assert browser.post("/sign-in", data={"name": "alice", "password": PASSWORD}).status_code == 303


def test_a_session_ends_when_idle_and_after_its_hours(house: House) -> None:
    browser = house.signed_in("viewer")
    house.clock.now += 29 * 60
    assert browser.get("/").status_code == 200
    house.clock.now += 31 * 60
    assert browser.get("/").status_code == 303
    busy = house.signed_in("viewer")
    for _ in range(30):
        house.clock.now += 25 * 60
        busy.get("/")
    assert busy.get("/").status_code == 303


def test_an_open_page_that_looks_by_itself_keeps_no_session_going(house: House) -> None:
    id_ = house.signed_in("viewer").cookies["__Host-facelatch"].strip('"')
    house.clock.now += 29 * 60
    assert house.accounts.watching(id_) is not None
    house.clock.now += 2 * 60
    assert house.accounts.watching(id_) is None


def test_another_host_name_or_origin_is_refused(house: House) -> None:
    browser = house.browser()
    assert browser.get("/sign-in", headers={"host": "evil.example"}).status_code == 421
    assert browser.get("/sign-in", headers={"host": "192.168.1.7:8443"}).status_code == 200
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "same-site"}):
        assert browser.post("/sign-in", headers=headers, data={}).status_code == 403
    del browser.headers["origin"]
    assert browser.post("/sign-in", data={}).status_code == 403, "neither Origin nor Sec-Fetch-Site"
    assert browser.put("/sign-in").status_code == 405


def test_every_answer_has_the_headers_that_keep_other_sites_out(house: House) -> None:
    for path in ("/sign-in", "/static/style.css", "/nowhere", "/"):
        headers = house.browser().get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_nobody_is_sent_elsewhere_after_signing_in() -> None:
    assert [inside(path) for path in ("/people", "//evil", "/\\evil", "https://evil", "", None)] == [
        "/people",
        *["/"] * 5,
    ]


def test_a_form_that_is_too_large_is_refused(house: House) -> None:
    assert house.browser().post("/sign-in", data={"name": "x" * 20_000}).status_code == 413


def test_people_are_listed_shown_renamed_and_forgotten(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    listed = browser.get("/people").text
    assert "Anna" in listed
    assert "Ben" in listed
    assert "Anna" in browser.get("/people/anna").text
    assert (
        send(browser, "/people/Ben/rename", new_name="Ben & Co").headers["location"]
        == "/people/Ben%20%26%20Co"
    )
    assert "Ben &amp; Co" in browser.get("/people").text
    assert send(browser, "/people/Anna/admin", admin="no").status_code == 303
    assert "Anna" in browser.get("/people/Anna/forget").text
    assert send(browser, "/people/Anna/forget").status_code == 303
    assert "Anna" not in browser.get("/people").text
    told = [event for event in house.served.audit.events if event.fields.get("ACTOR") == "alice"]
    assert told, "the audit has on whose behalf it was asked"


def test_when_somebody_may_come_is_shown_and_changed_and_anybody_can_be_suspended(house: House) -> None:
    browser = house.signed_in("admin")
    listed = browser.get("/people").text
    assert "always" in listed
    assert "not known" in listed
    assert datetime.now(UTC).date().isoformat() in listed, "how old the pictures are"
    days = {"valid_from": "2027-01-01", "valid_until": "2027-12-31", "schedule": ""}
    assert send(browser, "/people/Ben/hours", **days).headers["location"] == "/people/Ben"
    assert "2027-01-01 – 2027-12-31" in browser.get("/people").text
    assert 'value="2027-12-31"' in browser.get("/people/Ben").text
    send(browser, "/people/Ben/hours", suspended="yes")
    page = browser.get("/people/Ben").text
    assert "suspended" in page
    assert "2027-12-31" in page, "what is not named stays"
    send(browser, "/people/Ben/hours", suspended="no")
    assert "Let in no more" in browser.get("/people/Ben").text
    wrong = send(browser, "/people/Ben/hours", **{**days, "schedule": "nights"})
    assert wrong.status_code == 400
    assert "there is no schedule" in html.unescape(wrong.text)
    assert send(house.signed_in("enroller"), "/people/Ben/hours", suspended="yes").status_code == 403


def test_the_door_s_own_words_for_what_it_refuses_reach_the_page(house: House) -> None:
    browser = house.signed_in("admin")
    answer = send(browser, "/people/Nobody/rename", new_name="x")
    assert answer.status_code == 400
    assert "nobody is called" in html.unescape(answer.text)


def test_an_enrolment_is_begun_and_goes_on_while_its_page_looks(house: House) -> None:
    browser = house.signed_in("enroller")
    assert send(browser, "/enrolment", name="Carla").headers["location"] == "/enrolment"
    assert "Carla" in browser.get("/enrolment").text
    begun = next(command for command in house.served.commands if isinstance(command, StartEnrolment))
    assert RenewEnrolment(begun.lease) in house.served.commands
    assert send(browser, "/enrolment/abort", on="/enrolment").headers["location"] == "/people"
    assert browser.get("/enrolment").headers["location"] == "/people"


def test_only_an_admin_gives_somebody_enrolled_other_pictures(house: House) -> None:
    assert send(house.signed_in("enroller"), "/enrolment", name="Anna", how="replace").status_code == 403


def test_the_live_part_of_a_page_is_what_the_page_shows(house: House) -> None:
    """An enrolment that is over is told once, and the stream ends."""
    browser = house.signed_in("enroller")
    send(browser, "/enrolment", name="Carla")
    with browser.stream("GET", "/enrolment/live") as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "data-over" in json.loads(lines[-1].removeprefix("data: "))


def test_the_history_shows_who_changed_what_and_can_be_narrowed(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    send(browser, "/people/Ben/rename", new_name="Benno")
    send(browser, "/people/Benno/rename", new_name="=1+1")
    page = html.unescape(browser.get("/history").text)
    assert "Benno" in page or "=1+1" in page
    assert "Nothing that fits" in browser.get("/history?day=2001-01-01").text
    assert browser.get("/history?day=never").status_code == 400
    assert browser.get("/history?person=Nobody").status_code == 400


@pytest.mark.parametrize(
    "asked", ["day=9999-12-31", "day=0001-01-01", "before=²", "before=" + "9" * 5000, "before=-1"]
)
def test_whatever_stands_in_the_address_of_the_history_is_a_page(house: House, asked: str) -> None:
    assert house.signed_in("viewer").get(f"/history?{asked}").status_code in (200, 400)


def test_no_cell_of_the_table_is_a_formula(house: House) -> None:
    """Names are what people have typed."""
    assert [cell(text) for text in ("=1", "+1", "-1", "@x", "Anna")] == [
        "'=1",
        "'+1",
        "'-1",
        "'@x",
        "Anna",
    ]
    answer = house.signed_in("viewer").get("/history.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.splitlines()[0] == "time,event,person,text"


def test_the_charts_count_visits_by_day_and_reasons_by_frequency() -> None:
    today = datetime.now(UTC).date().isoformat()
    rows = [{"time": f"{today}T08:00:00Z", "event": history.GRANTED, "fields": {}}] * 3
    rows += [{"time": f"{today}T09:00:00Z", "event": history.REFUSED, "fields": {"REASON": "no_match"}}] * 2
    rows += [{"time": f"{today}T09:00:00Z", "event": history.REFUSED, "fields": {"REASON": "blurred"}}]
    found = history.charts(rows)
    assert found["days"]["rows"][-1] == {"day": today, "granted": 3, "refused": 3}
    assert found["days"]["most"] == 6
    assert found["reasons"] == [("no_match", 2), ("blurred", 1)]
    assert history.charts([])["days"] is None


@pytest.mark.parametrize("language", sorted(words.catalogue()))
def test_why_somebody_was_refused_is_said_in_words(language: str) -> None:
    """Each reason in the reader's language; the code of a newer daemon is shown as it is."""
    for reason in set(Reason) - {Reason.MATCHED}:
        assert "_" not in history.why(language, reason)
        assert f"why.{reason}" in words.catalogue()[language]
    assert history.why(language, "of_a_newer_one") == "of a newer one"


def test_the_settings_say_which_are_set(house: House) -> None:
    page = house.signed_in("admin").get("/settings").text
    assert "unlock_seconds" in page
    assert str(house.served.socket) in page


def test_the_settings_say_whether_all_is_there_and_what_to_do(house: House) -> None:
    page = house.signed_in("admin").get("/settings").text
    assert "21 GB free" in page
    assert "chmod" in page


def test_a_door_that_does_not_answer_is_said(house: House) -> None:
    browser = house.signed_in("viewer")
    house.served.close()
    assert "does not answer" in browser.get("/").text
    assert browser.get("/people").status_code == 503


@pytest.mark.parametrize(
    "accepted", ["", "de", "de-AT,de;q=0.9", "xx;q=0.1,de;q=0.2,en;q=0.1", "fr", ";q=x", "*"]
)
def test_the_language_is_the_browser_s(house: House, accepted: str) -> None:
    german = "de" in accepted
    page = house.browser(**{"accept-language": accepted}).get("/sign-in").text
    assert f'<html lang="{"de" if german else "en"}">' in page
    assert ("Anmelden" in page) is german


def test_every_language_has_every_word_with_the_same_places() -> None:
    english, *others = (
        words.catalogue()[code] for code in sorted(words.catalogue(), key=lambda code: code != "en")
    )
    for other in others:
        assert other.keys() == english.keys()
        for key, text in english.items():
            assert sorted(re.findall(r"{\w+}", other[key])) == sorted(re.findall(r"{\w+}", text)), key


def test_every_word_that_a_template_asks_for_is_there_and_no_other() -> None:
    home = Path(words.__file__).parent
    source = "".join(file.read_text() for file in [*home.glob("templates/*.html"), *home.glob("**/*.py")])
    for key in words.catalogue()["en"]:
        section = key.split(".")[0]
        computed = f'"{section}." +' in source or f'f"{section}.{{' in source
        assert f'"{key}"' in source or computed, f"nothing says {key}"
    for key in re.findall(r'say\("([a-z_]+\.[a-z_]+)"', source):
        assert key in words.catalogue()["en"], key


def test_what_is_kept_of_secrets_is_no_use_to_a_reader(house: House, tmp_path: Path) -> None:
    browser = house.signed_in("viewer")
    token = house.accounts.invite("ben", "viewer")
    kept = b"".join(file.read_bytes() for file in (tmp_path / "console").iterdir())
    for secret in (PASSWORD, token, browser.cookies["__Host-facelatch"]):
        assert secret.encode() not in kept
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "console").iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    "values",
    [
        {"listen": "0.0.0.0:8443"},
        {"listen": "[::]:8443"},
        {"listen": "192.168.1.2:80"},
        {"certificate": "c.pem"},
        {"listen": "127.0.0.1:0"},
        {"names": ["Evil Name"]},
    ],
)
def test_an_address_that_others_reach_needs_a_certificate(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"certificate|port|match|pattern"):
        ConsoleConfig.model_validate(values)


def test_names_of_accounts_are_those_the_door_takes_for_an_actor(house: House) -> None:
    for name in ("Alice", "a b", "", "x" * 33, "../x"):
        with pytest.raises(InputError, match="1 to 32"):
            house.accounts.invite(name, "viewer")
