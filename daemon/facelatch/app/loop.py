"""THE loop: read inputs, step, apply levels, write audit, ping the watchdog. Locks in `finally`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from facelatch.api.admission import Wanted, consent_events
from facelatch.app.desk import Desk
from facelatch.app.driving import Driver
from facelatch.app.world import World
from facelatch.audit.events import Event, EventKind, Value, fault
from facelatch.config.file import Config
from facelatch.controller import site, state, step
from facelatch.controller.situation import lockout_view
from facelatch.controller.state import Command, Entrance, Inputs, Outputs
from facelatch.errors import AdmissionError, CameraError, FacelatchError, GalleryError, InputError
from facelatch.line import memory, pipeline
from facelatch.line.admission import Judge
from facelatch.line.background import STILL_FACE_HINT
from facelatch.line.memory import Memory
from facelatch.machines.enrolment_states import Failure, Saved, SaveFailed, StartEnrolment
from facelatch.machines.indicator import lamp
from facelatch.ports import EndOfFrames
from facelatch.values.observations import Observation
from facelatch.values.pictures import Frame
from facelatch.values.records import Gallery, Throttle
from facelatch.values.wires import LockLevel

MODEL_DIGITS = 12
"""How much of the model's hash an event carries."""

TURN_SECONDS = 0.1
"""The longest wait for a frame: blinking, deadlines and signals are served this often without one."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One turn of the loop, for whoever watches a replay."""

    now: float
    frame: Frame | None
    observation: Observation | None
    outputs: Outputs


def run(
    world: World,
    config: Config,
    *,
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Turn], None] = lambda _turn: None,
) -> None:
    """Serves the door until `stop()` or the frames end. Raises what broke it, after the door is locked.

    Takes over `world` and closes all of it. `watch` sees every turn; replays print from it.
    """
    try:
        loop = _Loop(world, config, watch)
        world.service.ready()
        world.audit.write(Event(EventKind.DAEMON_READY, {"MODEL": loop.model, "COUNT": len(loop.gallery.people)}))
        try:
            loop.serve(stop)
        finally:
            loop.desk.close()
    except CameraError:
        raise  # the machines have told it
    except FacelatchError as error:
        world.audit.write(fault_event("", error))
        raise
    except Exception as error:
        # An unforeseen error is a fault like any other. Its text may hold anything, so only its type is audited.
        world.audit.write(fault("internal", type(error).__name__))
        raise
    finally:
        _shut(world)


def _shut(world: World) -> None:
    """Locks first, then closes the rest; one failure does not spare the others."""
    with ExitStack() as left:  # the last one goes first
        inner = (world.store, world.control, world.entrance, world.frames, world.site, world.buttons, world.indicator)
        for part in (world.health, *inner):
            if part is not None:
                left.callback(part.close)
        left.callback(world.service.stopping)
        left.callback(world.lock.close)
        world.lock.set(LockLevel.LOCKED)


def fault_event(stage: str, error: FacelatchError) -> Event:
    """What the audit says of an error that ends the daemon: a code by its class, its words as the hint."""
    code = stage + type(error).__name__.removesuffix("Error").lower()
    return fault(code, f"{error}; {error.hint}")


class _Loop:
    """What lives from turn to turn. Single-threaded; everything it calls returns soon."""

    def __init__(self, world: World, config: Config, watch: Callable[[Turn], None]) -> None:
        self.world, self.config, self.watch = world, config, watch
        self.model = world.line.verifier.model_sha256[:MODEL_DIGITS]
        self.judge = Judge(world.line, config.enrolment.lookalike_share, world.service.busy)
        self.desk = Desk(
            store=world.store,
            judge=self.judge,
            audit=world.audit,
            clock=world.clock,
            config=config,
            ledger=world.ledger,
            modes=world.modes,
            member=world.member,
        )
        self.driver = Driver(world.lock, world.audit, config.door.max_unlock_seconds)
        if world.store.reembedded:
            fields: dict[str, Value] = {"COUNT": world.store.reembedded, "MODEL": self.model}
            world.audit.write(Event(EventKind.GALLERY_REEMBEDDED, fields))
        self.seen_at = world.clock.now()
        lockdown = world.modes is not None and world.modes.load()
        held_until = world.trust.begin(self.seen_at)
        self.state = state.initial(world.store.throttle(), self.model, held_until, lockdown=lockdown)
        self.camera_error = CameraError("camera fault", hint="`facelatch check` tries the camera")
        self.memory = Memory()
        self.saved: Saved | SaveFailed | None = None
        self.throttle: Throttle | None = None
        self.status = "starting"

    @property
    def gallery(self) -> Gallery:
        """Everybody who may be recognised now."""
        return self.desk.gallery

    def serve(self, stop: Callable[[], bool]) -> None:
        """Turns until told to stop, then one last turn that locks and says so."""
        while not stop():
            # Before the frame: it is judged by the gallery as it is now, and not old by the time a request took.
            commands = self._answer_requests()
            if self.world.entrance is not None and self.world.entrance.changed(self.gallery):
                self.desk.reload()
            try:
                frame = self.world.frames.next(TURN_SECONDS)
            except EndOfFrames:
                break
            except CameraError as error:
                self.camera_error = error
                self.turn(None, commands, fault="camera_failed")
            else:
                self.turn(frame, commands)
        self.turn(None, stopping=True)

    def turn(
        self,
        frame: Frame | None,
        commands: tuple[Command, ...] = (),
        *,
        fault: str | None = None,
        stopping: bool = False,
    ) -> None:
        """The whole daemon in one screen: inputs, step, outputs."""
        observation = self._observe(frame) if frame is not None else None
        now = self.world.clock.now()
        inputs = Inputs(
            now=now,
            observation=observation,
            fingerprint=pipeline.fingerprint(frame) if frame is not None else None,
            frame_age_seconds=now - self.seen_at,
            edges=tuple(self.world.buttons.edges()),
            signals=tuple(self.world.site.signals()) if self.world.site is not None else (),
            draw=self.world.draw(),
            reopenable=self.world.reopen is not None,
            commands=commands,
            background=self.memory.background.tracks,
            saved=self.saved,
            fault=fault,
            stopping=stopping,
            people_enrolled=len(self.gallery.people),
            admins=frozenset(person.id for person in self.gallery.people.values() if person.admin),
            entrance=self._entrance(),
            window=self.world.entrance.window() if self.world.entrance is not None else None,
        )
        self.state, outputs = step.step(self.state, inputs, self.config)
        self._remember(observation, now, outputs)
        self._apply(now, outputs)
        self._show(now, outputs, frame, observation)
        self.watch(Turn(now=now, frame=frame, observation=observation, outputs=outputs))
        if outputs.fault is not None:
            words = str(self.camera_error) if fault else f"camera fault: {outputs.fault}"
            raise CameraError(words, hint=self.camera_error.hint) from self.camera_error
        if outputs.reopen and self.world.reopen is not None:
            self.seen_at = now
            self.world.reopen()
        if frame is not None or outputs.blind:
            self.world.service.watchdog()

    def _show(self, now: float, outputs: Outputs, frame: Frame | None, seen: Observation | None) -> None:
        """To whoever aims the camera, after the door has been decided on."""
        self.desk.preview.allow(outputs.aiming)
        if frame is not None and seen is not None:
            self.desk.preview.see(frame, seen, self.memory.background, now)

    def _observe(self, frame: Frame) -> Observation:
        self.seen_at = frame.captured
        posters = self.memory.background.posters
        observation, self.memory = memory.see(self.world.line, frame, self.memory, self.gallery)
        if self.memory.background.posters > posters:
            self.world.audit.write(Event(EventKind.STILL_FACE, {"HINT": STILL_FACE_HINT}))
        return observation

    def _remember(self, observation: Observation | None, now: float, outputs: Outputs) -> None:
        if outputs.enrolling:
            self.memory = memory.for_enrolment(self.memory, observation, outputs.kept)
        else:
            self.memory = memory.after_visits(self.memory, observation, now, outputs.ended_tracks)

    def _apply(self, now: float, outputs: Outputs) -> None:
        world = self.world
        self.driver.drive(outputs.lock)
        shown = lamp(outputs.pattern, now, self.config.gpio.led, outputs.pattern_since)
        world.indicator.show(replace(shown, buzzer=shown.buzzer or outputs.buzzer))
        if world.site is not None:
            world.site.sound(outputs.siren)
        for event in outputs.events:
            world.audit.write(event)
        self.driver.report()
        if world.health is not None:
            world.health.turn()
        if outputs.checks and world.entrance is not None:
            world.entrance.check(outputs.checks)
        self.status = outputs.status
        world.service.status(outputs.status)
        self.saved = self._save(outputs.save) if outputs.save is not None else None
        self.throttle = outputs.throttle or self.throttle
        if self.throttle is not None and outputs.lock is not LockLevel.UNLOCKED:
            # Not while unlocked for somebody: a grant forgives refusals, and a slow disk would cost it its lease.
            self._save_throttle(self.throttle)
            self.throttle = None
        world.trust.pass_time(now)

    def _entrance(self) -> Entrance:
        if self.world.entrance is not None:
            return self.world.entrance.inputs(self.gallery)
        return Entrance(people=self.gallery.people, access=self.gallery.access)

    def _save(self, request: StartEnrolment) -> Saved | SaveFailed:
        wanted = Wanted(
            name=request.name, admin=request.admin, person=request.person, replace=request.replace
        )
        pictures = [self.judge.completed(one) for one in self.memory.drafts.references]
        try:
            done = self.desk.admission.enrol(wanted, pictures)
        except AdmissionError as error:
            return SaveFailed(error.person or str(error), Failure(error.code))
        except (GalleryError, InputError) as error:
            return SaveFailed(str(error))
        new = () if wanted.person else consent_events(self.desk.admission, done.person, request.consent or "button")
        for event in (*done.events, *new):
            self.world.audit.write(event)
        self.desk.reload()  # outside: a fault here does not undo what is saved
        return Saved(done.person, done.references)

    def _save_throttle(self, throttle: Throttle) -> None:
        try:
            self.world.store.save_throttle(throttle)
        except GalleryError as error:
            # The lock-out itself stays in force; only a restart would forget it. Said, not hidden.
            self.world.audit.write(fault("throttle_not_saved", str(error)))

    def _answer_requests(self) -> tuple[Command, ...]:
        if self.world.control is None:
            return ()
        return self.desk.serve(self.world.control, state.enrolment_view(self.state, self.config), self._status)

    def _status(self) -> dict[str, Any]:
        """The reply to `status`, but for the enrolment."""
        status = {
            "door": self.status,
            "people": len(self.gallery.people),
            "model": self.model,
            "liveness": self.config.liveness.level,
            "seal": self.world.store.seal.words,
            "lockout": lockout_view(self.state.session, self.world.clock.now()),
            **({"health": self.world.health.view()} if self.world.health is not None else {}),
            "still_faces": self.memory.background.posters,
            "hours": self.world.entrance.view(self.gallery) if self.world.entrance is not None else {},
            "site": site.view(self.state.site, self.world.clock.now()) | {"camera": self.state.camera.sight.value},
        }
        if self.world.ledger is not None:
            status["ledger"] = self.world.ledger.view()
        return status
