"""Whatever is done to the console, the door's events stay the same: floods of requests and uploads, SIGKILL."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import drawn
import pytest
from drawn_console import PASSWORD, ConsoleHouse

pytestmark = pytest.mark.system
pytest.importorskip("starlette", reason="the console's libraries are missing")

ROUNDS = 1
"""Of the drawn clip, in which a stranger comes and then robin: once in quiet, once in the flood."""
VISITS = ("visit.granted", "visit.refused", "door.unlocked", "door.locked", "fault", "door.lapsed", "door.ceiling")


class House(ConsoleHouse):
    """The console and the reader of uploads; the door is started by a test."""

    def __init__(self, work: Path) -> None:
        super().__init__(
            work,
            camera="rate_fps = 10.0\nstale_after_seconds = 10.0",
            sections="[session]\nrefusals_before_lockout = 100",
        )
        self.start_console(40)
        self.start_intake()

    def told(self) -> list[tuple[str, str]]:
        """What the door has written of visits and faults so far, with the reason of each."""
        lines = (self.work / "door.log").read_text(errors="replace").splitlines()
        found = (re.search(r"\[([a-z_.]+)(?: [^]]*)?\]$", line) for line in lines)
        return [(one[1], _reason(line)) for one, line in zip(found, lines, strict=True) if one and one[1] in VISITS]

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """The console's answer to one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Origin": f"http://127.0.0.1:{self.port}", **headers})
        answer = connection.getresponse()
        found = answer.status, answer.read(), dict(answer.getheaders())
        connection.close()
        return found

    def signed_in(self) -> str:
        """The cookie of an admin."""
        form = f"password={PASSWORD}&repeat={PASSWORD}".replace(" ", "+").encode()
        kind = "application/x-www-form-urlencoded"
        path = "/welcome/" + self.invited().rpartition("/")[2]
        status, _, headers = self.ask("POST", path, form, Content_Type=kind)
        assert status == 303
        return headers["set-cookie"].partition(";")[0]


def _reason(line: str) -> str:
    found = re.search(r"REASON=(\S+)", line)
    return found[1] if found else ""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    running = House(tmp_path_factory.mktemp("flood"))
    yield running
    running.close()


class Flood:
    """Everything at once that somebody on the network can do, from sixteen threads."""

    def __init__(self, house: House, cookie: str) -> None:
        self.house, self.cookie, self.over, self.sent = house, cookie, threading.Event(), 0
        page = house.ask("GET", "/people", Cookie=cookie)[1].decode()
        self.csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
        ways = [self.pages, self.wrong_passwords, self.uploads, self.half_requests, self.looks] * 3
        self.threads = [threading.Thread(target=self._again, args=(way,)) for way in ways]
        for one in self.threads:
            one.start()

    def end(self) -> None:
        self.over.set()
        for one in self.threads:
            one.join(30)

    def _again(self, way: Any) -> None:
        while not self.over.is_set():
            with suppress(OSError, http.client.HTTPException):
                way()
                self.sent += 1

    def pages(self) -> None:
        for path in ("/", "/people", "/history", "/history.csv", "/settings"):
            self.house.ask("GET", path, Cookie=self.cookie)

    def wrong_passwords(self) -> None:
        kind = "application/x-www-form-urlencoded"
        self.house.ask("POST", "/sign-in", b"name=alice&password=wrong", Content_Type=kind)

    def uploads(self) -> None:
        """A picture that is none, one that promises far too many pixels, and noise."""
        bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 64
        parts = [f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
                 for key, value in (("csrf", self.csrf), ("name", "flooder"))]
        for data in (bomb, b"\xff\xd8\xff" + b"\x99" * 200_000):
            head = b'--x\r\nContent-Disposition: form-data; name="pictures"; filename="a.png"\r\n\r\n'
            parts.append(head + data + b"\r\n")
        body = b"".join(parts) + b"--x--\r\n"
        kind = "multipart/form-data; boundary=x"
        self.house.ask("POST", "/people/upload", body, Cookie=self.cookie, Content_Type=kind)

    def half_requests(self) -> None:
        with socket.create_connection(("127.0.0.1", self.house.port), timeout=5) as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
            self.over.wait(0.5)

    def looks(self) -> None:
        self.house.ask("GET", "/aim", Cookie=self.cookie)
        self.house.ask("POST", "/aim/end", f"csrf={self.csrf}".encode(), Cookie=self.cookie)


def test_the_first_page_comes_within_300_ms_and_no_page_takes_longer(house: House) -> None:
    """Before the door runs: both cores are idle, but for what else this machine does."""
    house.start_door()
    drawn.until(lambda: (house.work / "control.sock").exists(), "the daemon listens", 60)
    cookie, times = house.signed_in(), {}
    for path in ("/sign-in", "/", "/people", "/history", "/aim", "/settings"):
        tries = []
        for _ in range(3):
            began = time.monotonic()
            assert house.ask("GET", path, **({"Cookie": cookie} if path != "/sign-in" else {}))[0] == 200
            tries.append(time.monotonic() - began)
        times[path] = min(tries)
    print("measured:", {path: f"{seconds * 1000:.0f} ms" for path, seconds in times.items()})  # noqa: T201
    assert max(times["/sign-in"], times["/"]) < 0.3 * drawn.PATIENCE


def _rounds(house: House, count: int) -> list[tuple[str, str]]:
    """What is told in `count` whole rounds: each ends when robin has come in and the door is locked again."""
    begin = len(house.told())
    drawn.until(lambda: len(_ends(house.told()[begin:])) >= count, "robin comes and goes", 60 * count)
    return _first_rounds(house.told()[begin:], count)


def _ends(told: list[tuple[str, str]]) -> list[int]:
    return [number for number, (kind, _) in enumerate(told) if kind == "door.locked"]


def _first_rounds(told: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """Without what was told of the next round before anybody looked."""
    return told[: _ends(told)[count - 1] + 1]


def test_no_flood_and_no_end_of_the_console_changes_what_happens_at_the_door(house: House) -> None:
    _rounds(house, 1)  # up to the end of a round
    quiet = _rounds(house, ROUNDS)
    assert ("visit.granted", "") in quiet
    flood = Flood(house, house.signed_in())
    began = len(house.told())
    restarts = 0
    while len(_ends(house.told()[began:])) < ROUNDS:
        time.sleep(2)
        assert house.running["door"].poll() is None
        if restarts < 2:
            house.running["console"].send_signal(signal.SIGKILL)
            house.running["console"].wait(10)
            house.start_console(40)
            restarts += 1
    flood.end()
    print(f"measured: {flood.sent} times, console killed {restarts} times")  # noqa: T201
    assert flood.sent > 20
    assert _first_rounds(house.told()[began:], ROUNDS) == quiet
    assert "flooder" not in house.facelatch("people", "list")
    status = json.loads(house.facelatch("status", "--json"))
    assert status["people"] == 1
