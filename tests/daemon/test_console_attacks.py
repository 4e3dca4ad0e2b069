"""Attacks on the console's sign-in, forms and uploads, each as a browser or a program would try it."""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx2", reason="what Starlette's test client stands on is missing")
pytest.importorskip("starlette", reason="the console's libraries are missing")
pytest.importorskip("webauthn", reason="the passkeys' library is missing")
import argon2
import test_console as pages
from authenticator import Authenticator, text
from starlette.testclient import TestClient
from test_console import PASSWORD, SITE, House, csrf, send

from facelatch.console import app, guard, intake, passwords, throttle, words
from facelatch.console.accounts import ThrottledError
from facelatch.console.pages import page
from facelatch.errors import InputError

house = pages.house


def sign_in(browser: TestClient, name: str = "alice", password: str = PASSWORD, **more: str) -> Any:
    return browser.post("/sign-in", data={"name": name, "password": password, **more})


# ---- Sessions


def test_a_cookie_that_somebody_planted_is_nobody_s_session(house: House) -> None:
    house.signed_in("viewer", "alice")
    browser = house.browser()
    browser.cookies.set(page.COOKIE, "planted-by-the-attacker", domain="localhost.local", path="/")
    id_ = re.search(r"__Host-facelatch=([^;]+)", sign_in(browser).headers["set-cookie"])
    assert id_
    assert id_[1] != "planted-by-the-attacker"
    assert house.accounts.session("planted-by-the-attacker") is None


def test_whoever_signs_in_where_somebody_is_ends_that_session(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    before = browser.cookies[page.COOKIE].strip('"')
    house.signed_in("viewer", "bob")
    sign_in(browser, "bob")
    assert house.accounts.session(before) is None
    assert "bob" in browser.get("/people").text


def test_whoever_follows_an_invitation_where_somebody_is_ends_that_session(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    before, token = browser.cookies[page.COOKIE].strip('"'), house.accounts.invite("bob", "viewer")
    assert browser.post(f"/welcome/{token}", data={"password": PASSWORD, "repeat": PASSWORD}).status_code == 303
    assert house.accounts.session(before) is None


def test_the_form_of_one_session_is_none_of_another(house: House) -> None:
    alice, bob = house.signed_in("admin", "alice"), house.signed_in("admin", "bob")
    bobs = csrf(bob.get("/people").text)
    answer = alice.post("/people/Ben/rename", data={"csrf": bobs, "new_name": "Carla"})
    assert answer.status_code == 403
    assert "Carla" not in alice.get("/people").text


def test_a_session_that_was_signed_out_proves_nothing(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    id_ = browser.cookies[page.COOKIE].strip('"')
    send(browser, "/sign-out")
    assert not house.accounts.prove(id_, PASSWORD, "")
    house.accounts.note_proof(id_)
    assert house.accounts.session(id_) is None


def test_looking_around_keeps_no_proof_fresh(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    for _ in range(4):
        house.clock.now += 100
        browser.get("/people")
    assert browser.get("/people/Ben/forget").headers["location"].startswith("/prove")


def test_a_clock_that_was_set_back_makes_no_proof_fresh(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    house.clock.now -= 30
    assert browser.get("/people/Ben/forget").headers["location"].startswith("/prove")


# ---- Invitations


def test_of_many_who_follow_a_link_at_once_one_gets_in(house: House) -> None:
    token, start = house.accounts.invite("alice", "admin"), threading.Barrier(8)

    def follow(number: int) -> bool:
        start.wait()
        try:
            return bool(house.accounts.accept(token, f"{PASSWORD} {number}"))
        except InputError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(follow, range(8))) == 1


def test_a_later_invitation_ends_the_one_before_and_the_role_is_the_link_s(house: House) -> None:
    first, second = house.accounts.invite("alice", "admin"), house.accounts.invite("alice", "viewer")
    browser = house.browser()
    fields = {"password": PASSWORD, "repeat": PASSWORD, "role": "admin", "name": "root"}
    assert browser.post(f"/welcome/{first}", data=fields).status_code == 404
    assert browser.post(f"/welcome/{second}", data=fields).status_code == 303
    assert house.accounts.list() == [("alice", "viewer")]


@pytest.mark.parametrize("token", ["", "x", "%00", "' OR 1=1 --", "..%2f..%2fsign-in", "%2e%2e%2f"])
def test_no_guess_is_an_invitation(house: House, token: str) -> None:
    house.accounts.invite("alice", "admin")
    browser = house.browser()
    assert browser.get(f"/welcome/{token}").status_code in (303, 307, 404)
    assert browser.post(f"/welcome/{token}", data={"password": PASSWORD, "repeat": PASSWORD}).status_code in (
        *(303, 307, 404, 405),
    )
    assert house.accounts.list() == []


# ---- Passwords


class Counting:
    """A hasher that notes what it verified, and for how long each overlapped with others."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.now, self.most, self._lock = 0, 0, threading.Lock()
        self._hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.hash = self._hasher.hash

    def verify(self, kept: str, password: str) -> bool:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.kept.append(kept)
        try:
            return self._hasher.verify(kept, password)
        finally:
            with self._lock:
                self.now -= 1


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    hasher = Counting()
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    return hasher


def test_a_name_without_account_costs_the_hash_that_a_wrong_password_does(
    house: House, counting: Counting
) -> None:
    """With the parameters of a real one, whatever the test's own hasher takes."""
    house.signed_in("viewer", "alice")
    for name in ("alice", "nobody", "", "x" * 300, "' OR 1=1 --"):
        assert house.accounts.sign_in(name, "wrong", f"192.0.2.{len(counting.kept)}") is None
    assert len(counting.kept) == 5
    assert counting.kept[1:] == [passwords._NOBODYS] * 4
    real = argon2.extract_parameters(argon2.PasswordHasher(2, 19 * 1024, 1).hash("x"))
    assert argon2.extract_parameters(passwords._NOBODYS) == real


def test_many_guesses_at_once_are_no_more_than_one_after_the_other(house: House, counting: Counting) -> None:
    """Of forty at once none had seen that the others failed; and each would have taken 19 MB."""
    house.signed_in("viewer", "alice")
    guesses, start = 24, threading.Barrier(24)

    def guess(number: int) -> str:
        start.wait()
        try:
            return str(house.accounts.sign_in("alice", f"wrong {number}", f"192.0.2.{number}"))
        except ThrottledError:
            return "throttled"

    with ThreadPoolExecutor(guesses) as pool:
        answers = list(pool.map(guess, range(guesses)))
    assert answers.count("None") == throttle.FREE
    assert answers.count("throttled") == guesses - throttle.FREE
    assert counting.most == 1


def test_a_machine_with_a_whole_network_of_addresses_is_one(house: House) -> None:
    for number in range(throttle.FREE):
        assert house.accounts.sign_in(f"name-{number}", "wrong", f"fd00:1:2:3::{number:x}") is None
    with pytest.raises(ThrottledError):
        house.accounts.sign_in("another", "wrong", "fd00:1:2:3:ffff::1%eth0")
    assert house.accounts.sign_in("another", "wrong", "fd00:1:2:4::1") is None


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_what_counts_as_one_address(address: str, place: str) -> None:
    assert throttle.place(address) == place


# ---- Where requests come from, and where answers lead


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "localhost:8080@evil.example",
        "localhost.",
        "localhost:8080:evil",
        "localhost, evil.example",
        "local host",
        "2130706433",
        "0x7f.1",
        "[::1",
        "[evil]",
        "",
    ],
)
def test_no_trick_with_the_host_name_is_taken(house: House, host: str) -> None:
    browser = house.browser()
    for more in ({}, {"x-forwarded-host": "localhost", "forwarded": "host=localhost"}):
        answer = browser.get("/sign-in", headers={"host": host, **more})
        assert answer.status_code == 421, answer.text


def test_what_a_proxy_could_say_changes_nothing(house: House) -> None:
    """Nobody stands in front whom the console would believe about names and addresses."""
    house.signed_in("viewer", "alice")
    browser = house.browser()
    for number in range(5):
        browser.headers["x-forwarded-for"] = browser.headers["x-real-ip"] = f"192.0.2.{number}"
        assert sign_in(browser, f"name-{number}", "wrong").status_code == 403
    assert sign_in(browser, "alice").status_code == 429


def test_a_console_behind_a_proxy_with_tls_is_asked_from_its_own_pages_only() -> None:
    assert guard.origins("door.example", secure=False) == ("http://door.example", "https://door.example")
    assert guard.origins("door.local:8443", secure=True) == ("https://door.local:8443",)


TARGETS = [
    *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example"),
    *(
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "/people\r\nset-cookie: a=b",
        " //evil.example",
    ),
    *("/%0d%0aset-cookie:%20a=b", "/@evil.example", "/.//evil.example"),
]


@pytest.mark.parametrize("target", TARGETS)
def test_no_way_back_leads_elsewhere_or_writes_headers(house: House, target: str) -> None:
    """A browser drops tabs and line ends from addresses: what is left of them has to be a path here."""
    house.signed_in("viewer", "alice")
    answer = sign_in(house.browser(), next=target)
    where = re.sub(r"[\t\r\n]", "", answer.headers["location"])
    assert re.match(r"/(?![/\\])", where), where
    assert [name for name in answer.headers if name == "set-cookie"] == ["set-cookie"]
    assert "a=b" not in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/static/../app.py",
            "/static/%2e%2e/app.py",
            "/static/..%2fapp.py",
            "/static/%2e%2e%2f%2e%2e%2faccounts.sqlite",
        ),
        *(
            "/static//etc/passwd",
            "/static/%2fetc%2fpasswd",
            "/static/..\\app.py",
            "/static/style.css%00.html",
        ),
    ],
)
def test_no_path_leads_out_of_what_is_to_be_seen(house: House, path: str) -> None:
    answer = house.browser().get(path)
    assert answer.status_code in (303, 307, 404)
    assert "import" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "name", ["../Anna", "Anna/../../settings", "<script>alert(1)</script>", '" onload="x', "\r\nx: y"]
)
def test_a_name_in_a_path_is_a_name_and_shown_as_text(house: House, name: str) -> None:
    browser = house.signed_in("admin", "alice")
    answer = browser.get(page_of(name))
    assert answer.status_code in (303, 307, 400, 404)
    assert "<script>alert" not in answer.text
    assert 'onload="x' not in answer.text
    assert "x" not in answer.headers


def page_of(name: str) -> str:
    from urllib.parse import quote

    return f"/people/{quote(name, safe='')}"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_no_other_kind_of_request_reaches_a_page(house: House, method: str) -> None:
    assert house.signed_in("admin", "alice").request(method, "/people/Ben/forget").status_code == 405


@pytest.mark.parametrize(
    "accepted", ["../../../etc/passwd", "de;q=nan", "de;q=1e999", "x" * 5000, "\udcff", "de-;q=,,;"]
)
def test_the_reader_s_languages_are_words_and_no_files(accepted: str) -> None:
    assert words.chosen(accepted) in words.catalogue()


def test_fields_twice_and_strange_types_are_forms_that_do_not_fit(house: House) -> None:
    browser = house.signed_in("admin", "alice")
    token = csrf(browser.get("/people").text)
    doubled = f"csrf={token}&csrf=x&new_name=Carla".encode()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert browser.post("/people/Ben/rename", content=doubled, headers=kind).status_code == 403
    for content in (b'{"csrf": "x"}', b"\xff\xfe", b"&".join([b"a=b"] * 40), b"csrf%00=x"):
        assert browser.post("/people/Ben/rename", content=content).status_code == 403


# ---- Uploads


@pytest.fixture
def looking(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """An intake that takes no picture, and notes what came."""
    came: list[tuple[str, int]] = []

    def looked_at(_path: Path, pictures: Any) -> list[intake.Looked]:
        found = [intake.Looked(name=name, problem="no face", crop=b"", pose={}) for name, _ in pictures]
        came.extend((name, len(file.read())) for name, file in pictures)
        return found

    monkeypatch.setattr(intake, "looked_at", looked_at)
    object.__setattr__(house.console, "intake", tmp_path / "intake.sock")
    return came


def upload(browser: TestClient, *pictures: tuple[str, bytes], **fields: str) -> Any:
    token = csrf(browser.get("/people").text)
    sent = [("pictures", (name, io.BytesIO(data), "image/jpeg")) for name, data in pictures]
    return browser.post("/people/upload", data={"csrf": token, "name": "Carla", **fields}, files=sent)


def test_a_picture_s_name_is_shown_as_text_and_names_no_file(
    house: House, looking: list[tuple[str, int]]
) -> None:
    browser = house.signed_in("enroller", "alice")
    name = "../../<img src=x onerror=alert(1)>.jpg"
    answer = upload(browser, (name, b"x" * 10))
    assert answer.status_code == 400
    assert "<img src=x" not in answer.text
    assert "&lt;img src=x" in answer.text
    assert looking == [(name, 10)]


def test_pictures_are_held_in_memory_and_there_is_an_end_to_them(
    house: House, looking: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = house.signed_in("enroller", "alice")
    assert upload(browser, ("a.jpg", b"x" * (2 * 1024 * 1024))).status_code == 400
    assert looking == [("a.jpg", 2 * 1024 * 1024)]
    assert upload(browser, *[(f"{n}.jpg", b"x") for n in range(page.MOST_PICTURES + 1)]).status_code == 413
    monkeypatch.setattr(page, "MOST_PICTURE_BYTES", 1000)
    assert upload(browser, ("a.jpg", b"x" * 1001)).status_code == 413
    monkeypatch.setattr(page, "MOST_UPLOAD_BYTES", 3000)
    assert upload(browser, *[(f"{n}.jpg", b"x" * 900) for n in range(4)]).status_code == 413
    assert len(looking) == 1


def test_not_even_a_picture_that_is_too_large_is_written_to_a_file(
    house: House, looking: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, written = house.signed_in("enroller", "alice"), []
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda _file: written.append("a picture"))
    assert upload(browser, ("a.jpg", b"x" * (page.MOST_PICTURE_BYTES + 1))).status_code == 413
    assert written == looking == []


def test_an_upload_of_unknown_length_or_without_its_token_is_refused(
    house: House, looking: list[tuple[str, int]]
) -> None:
    browser = house.signed_in("enroller", "alice")
    chunked = {"content-type": "multipart/form-data; boundary=x"}
    assert browser.post("/people/upload", content=iter([b"--x--\r\n"]), headers=chunked).status_code == 413
    assert upload(browser, ("a.jpg", b"x"), csrf="guessed").status_code == 403
    assert looking == []


def test_an_upload_that_never_ends_does_not_keep_others_from_theirs(
    house: House, looking: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = house.signed_in("enroller", "alice")
    never = asyncio.Event
    monkeypatch.setattr(page, "UPLOAD_SECONDS", 0.01)
    with monkeypatch.context() as slow:
        slow.setattr(page, "_upload", lambda _request: never().wait())
        assert upload(browser, ("a.jpg", b"x")).status_code == 408
    monkeypatch.setattr(page, "UPLOAD_SECONDS", 60.0)
    assert upload(browser, ("a.jpg", b"x")).status_code == 400
    assert looking == [("a.jpg", 1)]


def test_where_no_pictures_are_taken_there_is_no_page_for_them(house: House) -> None:
    assert upload(house.signed_in("enroller", "alice"), ("a.jpg", b"x")).status_code == 404


def test_an_enroller_gives_nobody_other_pictures_and_a_viewer_none_at_all(
    house: House, looking: list[tuple[str, int]]
) -> None:
    assert upload(house.signed_in("enroller", "alice"), ("a.jpg", b"x"), how="replace").status_code == 403
    assert house.signed_in("viewer", "bob").post("/people/upload", files={"a": b"x"}).status_code == 403
    assert looking == []


# ---- Passkeys, through the pages


@pytest.fixture
def with_passkey(house: House) -> Callable[[str], tuple[TestClient, Authenticator]]:
    def make(name: str) -> tuple[TestClient, Authenticator]:
        browser, key = house.signed_in("admin", name), Authenticator()
        asked = browser.get("/account/passkeys/new").text
        answer = send(
            browser, "/account/passkeys", on="/account", credential=key.make(asked, SITE), label="phone"
        )
        assert answer.headers["location"] == "/account"
        assert "phone" in browser.get("/account").text
        return browser, key

    return make


def test_a_passkey_made_on_the_account_s_page_signs_in_and_proves_and_goes(
    house: House, with_passkey: Callable[[str], tuple[TestClient, Authenticator]]
) -> None:
    first, key = with_passkey("alice")
    browser = house.browser()
    credential = key.sign(browser.get("/sign-in/passkey").text, SITE)
    answer = browser.post("/sign-in/passkey", data={"credential": credential, "next": "/people"})
    assert answer.headers["location"] == "/people"
    assert "alice" in browser.get("/people").text
    house.clock.now += 301
    assert "data-passkey" in browser.get("/prove").text
    credential = key.sign(browser.get("/prove/passkey").text, SITE)
    assert (
        send(browser, "/prove/passkey", on="/prove", credential=credential, next="/x").headers["location"]
        == "/x"
    )
    assert send(browser, "/people/Ben/rename", new_name="Benno").headers["location"] == "/people/Benno"
    send(browser, "/account/passkeys/remove", on="/account", id=text(key.id))
    credential = key.sign(browser.get("/sign-in/passkey").text, SITE)
    assert house.browser().post("/sign-in/passkey", data={"credential": credential}).status_code == 403
    assert first.get("/people").status_code == 200, "the session of before goes on"


def test_a_script_s_question_ends_on_the_page_that_asked_and_a_page_on_itself(house: House) -> None:
    """Whoever has to sign in, or to prove who it is, sees a page afterwards: the one wanted, and never bare data."""
    browser, script = house.signed_in("viewer", "alice"), {"sec-fetch-dest": "empty", "referer": f"{SITE}/account"}
    house.clock.now += 301
    asked = browser.get("/account/passkeys/new", headers=script)
    assert asked.headers["location"] == "/prove?next=/account"
    wanted = browser.get("/account", headers={"sec-fetch-dest": "document", "referer": f"{SITE}/people"})
    assert wanted.headers["location"] == "/prove?next=/account"
    nobody = house.browser()
    for path in ("/account/passkeys/new", "/prove/passkey"):
        assert nobody.get(path, headers=script).headers["location"] == "/sign-in?next=/account"
    assert nobody.get("/history").headers["location"] == "/sign-in?next=/history"


@pytest.mark.slow
def test_no_passkey_of_another_account_or_session_proves(
    house: House, with_passkey: Callable[[str], tuple[TestClient, Authenticator]]
) -> None:
    (alice, alices), (bob, bobs) = with_passkey("alice"), with_passkey("bob")
    house.clock.now += 301
    for asks, signs in ((alice, bobs), (bob, alices)):
        credential = signs.sign(asks.get("/prove/passkey").text, SITE)
        assert send(alice, "/prove/passkey", on="/prove", credential=credential).status_code == 403
    used = alices.sign(house.browser().get("/sign-in/passkey").text, SITE)
    assert send(alice, "/prove/passkey", on="/prove", credential=used).status_code == 403
    assert alice.get("/people/Ben/forget").headers["location"].startswith("/prove")


def test_a_refusal_of_a_passkey_does_not_say_why(house: House) -> None:
    answers = {
        house.browser().post("/sign-in/passkey", data={"credential": credential}).text
        for credential in ("", "{}", Authenticator(handle=b"x").sign(
            house.browser().get("/sign-in/passkey").text, SITE))
    }  # fmt: skip
    assert len(answers) == 1


def test_by_an_address_or_without_the_library_there_are_no_passkeys(house: House) -> None:
    browser = house.browser(origin="https://127.0.0.1")
    browser.headers["host"] = "127.0.0.1"
    assert "data-passkey" not in browser.get("/sign-in").text
    assert browser.get("/sign-in/passkey").status_code == 400
    object.__setattr__(house.console, "passkeys", None)
    assert "data-passkey" not in house.browser().get("/sign-in").text
    assert house.browser().post("/sign-in/passkey", data={"credential": "{}"}).status_code == 400
    assert "not taken here" in house.signed_in("viewer", "alice").get("/account").text


def test_our_own_javascript_is_little_and_nothing_of_it_is_in_a_page() -> None:
    home = Path(app.__file__).parent
    assert sum(len(file.read_text().splitlines()) for file in home.glob("static/*.js")) <= 300
    for template in home.glob("templates/*.html"):
        assert not re.search(r"<script(?! src=)|\son\w+=|javascript:|style=", template.read_text()), template
