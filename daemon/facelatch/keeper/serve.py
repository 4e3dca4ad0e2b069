"""The keeper's turns: hear the words, drive the line, answer, ping the watchdog. The table of words:

| word               | from                          | does                                        |
|--------------------|-------------------------------|---------------------------------------------|
| `hello SETTINGS`   | a client, first of all        | other settings than ours: locked, and we end |
| `grant`, `free`    | the holder, or a new one      | begins or renews the lease                  |
| `lock`             | anybody admitted              | locked                                      |
| `state`            | anybody admitted              | nothing                                     |
| anything else      |                               | the client is dropped; the holder's lease ends |

Each word is one packet of a SOCK_SEQPACKET socket. Each gets an answer once the line is driven: `unlocked`, or
`locked`, then how the last lease ended unless well; `fault` when the line cannot be driven; `busy` for a lease that
somebody else holds; `other` for a hello with other settings.
"""

from __future__ import annotations

import select
import socket
import struct
import time

from facelatch.keeper.lease import KINDS, Lease
from facelatch.keeper.line import MockLine, OutputLine
from facelatch.keeper.telling import notify, say

PING_SECONDS = 0.25
"""The longest turn: pings of the watchdog, and repetitions of the level, come at least this often."""
RETRY_SECONDS = 0.05
"""A line that did not obey is driven again after this."""
BEAT_SECONDS = 0.05
"""Half a period of the heartbeat."""
MAX_CLIENTS, MAX_WORD, WORDS_A_TURN, LAST_TRIES = 8, 100, 16, 20


class Keeper:
    """Holds the line. `turn` is all it does; `over` says when to stop."""

    def __init__(
        self,
        line: OutputLine | MockLine,
        heartbeat: OutputLine | MockLine | None,
        lease: Lease,
        *,
        locked_is_high: bool,
        settings: str,
    ) -> None:
        self._line, self._heartbeat, self._lease = line, heartbeat, lease
        self._locked_is_high, self._settings = locked_is_high, settings
        self._poll = select.poll()
        self._listener: socket.socket | None = None
        self._admitted: set[int] = set()
        self._clients: dict[int, socket.socket] = {}
        self._greeted: set[int] = set()
        self._holder: int | None = None  # the client that began the lease, until it says `lock`
        self._beat = False
        self.failing = False
        self.over = False

    def listen(self, listener: socket.socket, admitted: set[int]) -> None:
        """Takes clients whose user is `admitted`; everybody else is dropped at once."""
        listener.setblocking(False)
        self._listener, self._admitted = listener, admitted
        self._poll.register(listener, select.POLLIN)

    def add(self, client: socket.socket) -> None:
        """A client from now on."""
        client.setblocking(False)
        self._clients[client.fileno()] = client
        self._poll.register(client, select.POLLIN)

    def turn(self) -> None:
        """Waits for words, no longer than the lease lasts; drives the line; answers."""
        owed: list[tuple[int, str]] = []
        for number, _ in self._poll.poll(1000 * self._patience()):
            if self._listener is not None and number == self._listener.fileno():
                self._accept(self._listener)
            else:
                self._hear(number, owed)
        self.drive()
        for number, answer in owed:
            self._answer(number, answer or self._state())
        notify("WATCHDOG=1")

    def drive(self) -> None:
        """The level first: whatever else is to be done comes after it. Never raises."""
        unlocked = self._lease.unlocked(time.monotonic())
        try:
            self._line.write(self._locked_is_high != unlocked)
            if self._heartbeat is not None:
                self._beat = unlocked and not self._beat
                self._heartbeat.write(self._beat)
            self.failing = False
        except OSError as error:
            if not self.failing:
                say(f"the line cannot be driven: {error}")
            self.failing = True
            self._lease.end("fault")
            if unlocked:
                self.drive()  # locked now, and again until it obeys

    def close(self) -> None:
        """Locked, then the line is let go; never raises."""
        self._lease.lock()
        for _ in range(LAST_TRIES):
            self.drive()
            if not self.failing:
                break
            time.sleep(RETRY_SECONDS)
        self._line.close()

    def _patience(self) -> float:
        left = self._lease.seconds_left(time.monotonic())
        beat = BEAT_SECONDS if self._heartbeat is not None and left < float("inf") else PING_SECONDS
        return min(left, beat, RETRY_SECONDS if self.failing else PING_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        _, user, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user in self._admitted and len(self._clients) < MAX_CLIENTS:
            self.add(client)
        else:
            client.close()

    def _hear(self, number: int, owed: list[tuple[int, str]]) -> None:
        """All that has come, before the line is driven: a word of somebody who has gone since drives nothing."""
        for _ in range(WORDS_A_TURN):
            try:
                word = self._clients[number].recv(MAX_WORD).decode("ascii", "replace")
            except BlockingIOError:
                return
            except OSError:
                word = ""
            answer = self._obey(number, word)
            if answer is None:
                self._drop(number, word)
                return
            owed.append((number, answer))

    def _obey(self, number: int, word: str) -> str | None:
        """The answer, empty for the state after the line is driven; None for a client to be dropped."""
        if word == "lock":
            if self._holder in (None, number):
                self._lease.lock()
                self._holder = None
            else:
                self._lease.end("told")
        elif word in KINDS and number in self._greeted:
            if self._holder not in (None, number):
                return "busy"
            self._holder = number
            self._lease.renew(word, time.monotonic())
        elif word == f"hello {self._settings}":
            self._greeted.add(number)
        elif word.startswith("hello "):
            say(f"this is {self._settings}, a client wants {word[6:]!a}: ending, to be started anew")
            self._lease.end("told")
            self.over = True
            return "other"
        elif word != "state":
            return None
        return ""

    def _drop(self, number: int, word: str) -> None:
        if word:
            say(f"a client said {word!a}: dropped")
        if number == self._holder:
            self._lease.lock()
            self._holder = None
        self._greeted.discard(number)
        client = self._clients.pop(number)
        self._poll.unregister(client)
        client.close()
        if self._listener is None and not self._clients:
            self.over = True  # the daemon that started us has gone

    def _state(self) -> str:
        if self.failing:
            return "fault"
        if self._lease.unlocked(time.monotonic()):
            return "unlocked"
        return f"locked {self._lease.ended}".rstrip()

    def _answer(self, number: int, answer: str) -> None:
        if number in self._clients:
            try:
                self._clients[number].send(answer.encode())
            except OSError:
                self._drop(number, "")
