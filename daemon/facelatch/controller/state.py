"""What a turn of the loop brings in, what it is answered, and what is remembered between turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from facelatch.audit.events import Event
from facelatch.config.file import Config
from facelatch.controller import situation
from facelatch.controller.site import Site, SiteCommand
from facelatch.controller.situation import EnrolmentView
from facelatch.machines import (
    aiming,
    button,
    camera_watch,
    challenge,
    door,
    factors,
    freshness,
    session_states,
    strokes,
    wiegand,
)
from facelatch.machines.enrolment_states import (
    AbortEnrolment,
    Capturing,
    Confirming,
    Enrolment,
    Idle,
    RenewEnrolment,
    Saved,
    SaveFailed,
    Saving,
    StartEnrolment,
)
from facelatch.machines.indicator import Pattern
from facelatch.machines.session_states import ForgetRefusals
from facelatch.site import mode
from facelatch.site.mode import Window
from facelatch.values import readers
from facelatch.values.hours import Access, LocalTime, Schedules
from facelatch.values.observations import Observation
from facelatch.values.readers import Check, Checked
from facelatch.values.records import Person, Throttle
from facelatch.values.wires import Edge, LockLevel, Signal

Command = StartEnrolment | AbortEnrolment | RenewEnrolment | ForgetRefusals | SiteCommand | aiming.Aim
"""What the control socket may ask of the machines."""


@dataclass(frozen=True, slots=True, eq=False)
class Entrance:
    """What decides, besides a face, who may come in on this turn."""

    people: Mapping[int, Person] = field(default_factory=dict)
    """Everybody enrolled, by id."""
    access: Mapping[int, Access] = field(default_factory=dict)
    """Of those for whom anything was said; by id."""
    time: LocalTime | None = None
    schedules: Schedules = Schedules()  # noqa: RUF009  (frozen)
    signals: tuple[readers.Signal, ...] = ()
    """From keypads and card readers."""
    checked: tuple[Checked, ...] = ()
    """Answers to `Outputs.checks` of turns before."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """All that one turn of the loop brought in."""

    now: float
    """Monotonic seconds; never smaller than on the turn before."""
    observation: Observation | None
    """What the line says about the new frame; None when none came."""
    fingerprint: int | None
    """Of the new frame's whole picture; None when none came. Without it an observation is no evidence."""
    frame_age_seconds: float
    """Age of the newest frame, whether new on this turn or not; since the start when none has come yet."""
    edges: tuple[Edge, ...] = ()
    commands: tuple[Command, ...] = ()
    background: frozenset[int] = frozenset()
    """Tracks of faces in view that have not moved since their visit ended."""
    saved: Saved | SaveFailed | None = None
    """The answer to `Outputs.save` of the turn before."""
    fault: str | None = None
    """A stable code when something broke outside (camera_failed, internal)."""
    stopping: bool = False
    people_enrolled: int = 0
    admins: frozenset[int] = frozenset()
    """Ids of the enrolled people who may authorise an enrolment."""
    entrance: Entrance = Entrance()
    signals: tuple[Signal, ...] = ()
    """What the inputs of the site did."""
    window: Window | None = None
    """The time of free passage that the schedule names, if now is one."""
    draw: int | None = None
    """Random bits nobody could foresee; None: there are none, and nobody can be asked to turn the head."""
    reopenable: bool = False
    """Whether a camera that failed can be opened again; without it every fault of the camera is fatal."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """All that the loop has to do about it."""

    lock: LockLevel
    pattern: Pattern
    pattern_since: float
    """When the pattern began, for `indicator.lamp`."""
    events: tuple[Event, ...]
    save: StartEnrolment | None
    """Whoever asked for this is to be saved with the frames of `kept`; the answer goes into the next `Inputs.saved`."""
    kept: tuple[int, ...]
    """Numbers of the frames whose crops and embeddings an enrolment still needs."""
    throttle: Throttle | None
    """To be persisted, because it changed."""
    ended_tracks: tuple[int, ...]
    """Tracks whose visit ended: until they move their faces are background."""
    enrolling: bool
    """Whether an enrolment is under way, which looks at everybody: then there is no background."""
    fault: str | None
    """Fatal: the door is locked and the event written; the process should end and be restarted."""
    status: str
    """One line on what the door is doing."""
    checks: tuple[Check, ...] = ()
    """PINs and cards to be compared; the answers go into `Inputs.entrance.checked` of a later turn."""
    siren: bool = False
    buzzer: bool = False
    """For the site, besides what the pattern sounds."""
    reopen: bool = False
    """The camera is to be opened again."""
    aiming: aiming.Aiming = aiming.Aiming()  # noqa: RUF009  (frozen)
    """Whether somebody may see the camera's picture."""
    blind: bool = False
    """There is no camera to wait for: a turn without a frame is a healthy one."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Everything that is remembered from turn to turn."""

    session: session_states.Session
    model: str = ""
    """First digits of the model's hash, for events."""
    door: door.Door = door.Locked()  # noqa: RUF009  (frozen and empty, as the others)
    enrolment: Enrolment = Idle()  # noqa: RUF009
    button: button.Button = button.Button()  # noqa: RUF009
    aiming: aiming.Aiming = aiming.Aiming()  # noqa: RUF009
    freshness: freshness.Freshness = freshness.Freshness()  # noqa: RUF009
    factors: factors.Factors = factors.Factors()  # noqa: RUF009
    challenge: challenge.Challenge = challenge.Challenge()  # noqa: RUF009
    wiegand: wiegand.Wiegand = wiegand.Wiegand()  # noqa: RUF009
    strokes: strokes.Typing = strokes.Typing()  # noqa: RUF009
    fault: str | None = None
    """Fatal; once set it stays."""
    camera: camera_watch.CameraWatch = camera_watch.CameraWatch()  # noqa: RUF009
    site: Site = Site()  # noqa: RUF009
    stopping: bool = False
    held_until: float = 0.0
    """Until when nobody is judged, because the camera is another one."""
    refused_until: float = 0.0
    """Until when the indicator shows the last refusal."""
    not_now_until: float = 0.0
    """Until when it shows that somebody was recognised who may not come now."""
    pattern: Pattern = Pattern.NOBODY_ENROLLED
    pattern_since: float = 0.0


def initial(throttle: Throttle, model: str = "", held_until: float = 0.0, *, lockdown: bool = False) -> State:
    """The state before the first turn, with the refusals and the lockdown remembered from before the restart."""
    site = Site(mode=mode.at_start(lockdown))
    visit = session_states.Session(throttle=throttle)
    return State(session=visit, model=model, site=site, held_until=held_until)


def kept_frames(state: State) -> tuple[int, ...]:
    """Numbers of the frames an enrolment under way has chosen so far: the line keeps crops and embeddings of these."""
    kept = state.enrolment.kept if isinstance(state.enrolment, Capturing | Confirming | Saving) else ()
    return tuple(image.frame for image in kept)


def enrolment_view(state: State, settings: Config) -> EnrolmentView:
    """The enrolment, for the control socket."""
    return situation.enrolment_view(state.enrolment, settings.enrolment.references)


def granted_person(visit: session_states.Session) -> Person | None:
    """Whoever the session granted on this turn."""
    verdict = visit.granted.verdict if visit.granted is not None else None
    return verdict.person if verdict is not None else None
