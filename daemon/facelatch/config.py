"""The schema of `facelatch.toml`: every key with its bounds, default and meaning. Defaults exist only here."""

from __future__ import annotations

import difflib
import sysconfig
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from facelatch.errors import ConfigError

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Pin = Annotated[int, Field(ge=0, le=27)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class CameraConfig(_Section):
    """Where the frames come from."""

    source: Literal["picamera2", "v4l2", "files"] = "picamera2"
    """The Pi's camera module, a USB camera, or recorded pictures (a folder or a video, for trials)."""
    device: str = "0"
    """Which camera: number for picamera2, number or /dev/... for v4l2, folder or file for files."""
    width_px: Annotated[int, Field(ge=160, le=4608)] = 1280
    """Width of the picture the face is cut from."""
    height_px: Annotated[int, Field(ge=120, le=2592)] = 960
    """Height of the picture the face is cut from."""
    search_width_px: Annotated[int, Field(ge=160, le=1280)] = 320
    """Width of the picture the face is looked for in."""
    search_height_px: Annotated[int, Field(ge=120, le=960)] = 240
    """Height of the picture the face is looked for in; keep the shape of the large one."""
    rate_fps: Annotated[float, Field(ge=1, le=60)] = 15.0
    """Frames per second asked of the camera."""
    pixel_format: Literal["YUYV", "MJPG"] = "YUYV"
    """v4l2 only: what the camera is told to send. MJPG for large pictures over USB 2."""
    rotation_degrees: Literal[0, 180] = 0
    """180 for a camera mounted upside down."""
    stale_after_seconds: Annotated[float, Field(ge=0.2, le=60)] = 2.0
    """No frame for this long is a fault: the door locks and the daemon restarts."""
    frozen_after_seconds: Annotated[float, Field(ge=0.5, le=600)] = 10.0
    """The very same picture for this long is a fault too. A repeated picture is never evidence."""


class FinderConfig(_Section):
    """How the face is found."""

    kind: Literal["network", "cascade", "yunet"] = "network"
    """Facelatch's own network, OpenCV's cascade (weaker), or YuNet with a model file of yours."""
    model: str = ""
    """Model file; empty: the one shipped (network). Required for yunet; unused for cascade."""
    score_threshold: Share = 0.6
    """Below this a find is not a face. Lower finds more and imagines more."""
    full_search_rate_fps: Annotated[float, Field(ge=0.2, le=60)] = 5.0
    """How often the whole picture is searched while somebody is in view or something moves."""
    idle_search_rate_fps: Annotated[float, Field(ge=0.2, le=60)] = 1.0
    """How often the whole picture is searched while nothing moves."""
    similar_size_ratio: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Two faces count as similar when the smaller is at least this share of the larger: no decision."""

    @model_validator(mode="after")
    def _file_given(self) -> Self:
        if self.kind == "yunet" and not self.model:
            raise ValueError("model must name the YuNet file when kind = 'yunet'")
        return self


class QualityConfig(_Section):
    """Which pictures of a face are good enough to judge.

    The defaults pass 99 % of 1,500 ordinary training crops (the rest is called blurred), and refuse 94 % of
    400 of them defocused by 3 px, 97 % smeared over 19 px, and all at a tenth of the light. At a quarter of
    the light, with sensor noise, 96 % still pass.
    """

    min_eye_distance_px: Annotated[float, Field(ge=4, le=400)] = 14.0
    """Smaller faces are refused: come closer."""
    min_brightness: Annotated[float, Field(ge=0, le=255)] = 20.0
    """Mean grey of the face, 0 to 255; below it is too dark."""
    max_brightness: Annotated[float, Field(ge=0, le=255)] = 240.0
    """Mean grey of the face; above it is too bright."""
    min_contrast: Annotated[float, Field(ge=0, le=128)] = 5.0
    """Standard deviation of the face's grey; below it there is nothing to see."""
    min_sharpness: Annotated[float, Field(ge=0, le=200)] = 6.0
    """Fine detail relative to contrast, ordinary faces have 10 to 60; below it is blurred. 0 accepts any."""
    max_yaw: Annotated[float, Field(gt=0, le=2)] = 1.0
    """Turned left or right: the nose's way from the middle to an eye, 0 straight, 1 under the eye. YuNet sees more of a
    turn than our own finder: with it 0.75 refuses about as many."""
    max_pitch: Annotated[float, Field(gt=0, le=2)] = 0.6
    """Turned up or down: the nose's way to the eyes or the mouth, 0 straight, 1 there."""
    max_roll_degrees: Annotated[float, Field(gt=0, le=90)] = 35.0
    """Head tilted to a shoulder."""

    @model_validator(mode="after")
    def _some_light_passes(self) -> Self:
        if self.min_brightness >= self.max_brightness:
            raise ValueError(
                f"min_brightness = {self.min_brightness} must be below max_brightness = {self.max_brightness}"
            )
        return self


class ModelConfig(_Section):
    """The Siamese network and its two thresholds."""

    path: str = ""
    """The .tflite file, its manifest beside it; empty: the one shipped."""
    threads: Annotated[int, Field(ge=1, le=8)] = 1
    """Threads of the TFLite runtime."""
    detection_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """From which similarity one reference counts as a detection. Unset: the manifest's calibrated value."""
    verification_threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Which share of a person's references must be detections. Unset: the manifest's."""
    ambiguity_margin: Share = 0.2
    """Two people who both pass with shares closer than this are a tie, and a tie is a no."""


class SessionConfig(_Section):
    """How single frames become a grant or a refusal."""

    required_matches: Annotated[int, Field(ge=1, le=50)] = 3
    """Consecutive frames that must match the same person."""
    refusal_frames: Annotated[int, Field(ge=1, le=500)] = 8
    """Judged frames without a grant that make one refused attempt."""
    retry_seconds: Seconds = 2.0
    """After a refused attempt, no new one begins for this long."""
    silence_seconds: Seconds = 2.0
    """Nobody in view for this long ends the attempt."""
    cooldown_seconds: Seconds = 5.0
    """After a grant, no new attempt begins for this long."""
    refusals_before_lockout: Annotated[int, Field(ge=1, le=100)] = 5
    """Refused attempts in a row that start a lock-out."""
    lockout_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """The first lock-out; every further refusal makes it longer."""
    lockout_factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    """By how much each further lock-out is longer."""
    max_lockout_seconds: Annotated[float, Field(ge=1, le=86_400)] = 900.0
    """No lock-out is longer."""


class DoorConfig(_Section):
    """The door."""

    unlock_seconds: Annotated[float, Field(ge=0.5, le=120)] = 5.0
    """How long a grant unlocks it."""
    max_unlock_seconds: Annotated[float, Field(ge=0.5, le=300)] = 10.0
    """Hard ceiling kept by a timer of its own, even if the daemon hangs."""

    @model_validator(mode="after")
    def _ceiling_above(self) -> Self:
        if self.max_unlock_seconds < self.unlock_seconds:
            raise ValueError(
                f"max_unlock_seconds = {self.max_unlock_seconds} must be at least "
                f"unlock_seconds = {self.unlock_seconds}"
            )
        return self


class EnrolmentConfig(_Section):
    """Enrolment by the on-device button."""

    authorisation: Literal["button", "admin"] = "button"
    """Who may enrol: whoever reaches the button (put it inside), or only after an admin's face."""
    references: Annotated[int, Field(ge=1, le=64)] = 8
    """Images kept of a person."""
    hold_seconds: Annotated[float, Field(ge=0.5, le=30)] = 3.0
    """How long the button is held to begin."""
    timeout_seconds: Annotated[float, Field(ge=5, le=600)] = 60.0
    """An enrolment not finished by then is dropped, nothing is written."""
    min_pose_step: Annotated[float, Field(ge=0, le=1)] = 0.02
    """How far the head must have turned from every image kept so far. 0 for the cascade: it sees no turn."""
    min_interval_seconds: Annotated[float, Field(ge=0, le=10)] = 0.3
    """Least time between two images kept."""
    lookalike_share: Share = 0.25
    """From this share of another person's references a warning names the look-alike."""
    stuck_after_seconds: Annotated[float, Field(ge=10, le=600)] = 20.0
    """A button held longer is reported as stuck and ignored until released."""

    @model_validator(mode="after")
    def _hold_comes_before_stuck(self) -> Self:
        if self.hold_seconds >= self.stuck_after_seconds:
            raise ValueError(
                f"hold_seconds = {self.hold_seconds} must be below stuck_after_seconds = {self.stuck_after_seconds}"
            )
        return self


class GpioConfig(_Section):
    """The wires. Pin numbers are GPIO (BCM) numbers."""

    pin_factory: Literal["lgpio", "mock"] = "lgpio"
    """Named, never guessed. mock drives nothing and is for trials on a desk."""
    lock_pin: Pin = 17
    """The relay or driver of the lock. GPIO 9 to 27 are pulled down at power-up, 0 to 8 up."""
    lock_energise: Literal["to_unlock", "to_lock"] = "to_unlock"
    """to_unlock: electric strike (locked without power). to_lock: magnetic lock."""
    lock_active: Literal["high", "low"] = "high"
    """The level that energises: many relay boards are active low."""
    led: Literal["none", "single", "rgb"] = "single"
    """What indicator is connected."""
    led_pins: Annotated[list[Pin], Field(max_length=3)] = [27]
    """One pin, or red, green, blue."""
    led_active: Literal["high", "low"] = "high"
    """The level that lights it."""
    buzzer_pin: Pin | Literal["none"] = "none"
    """Optional buzzer, same polarity as the LED; "none" when there is none."""
    button_pin: Pin | Literal["none"] = 22
    """The enrolment button, to ground; "none" when there is none."""
    button_bounce_seconds: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Contact bounce that is ignored."""

    @model_validator(mode="after")
    def _pins_fit(self) -> Self:
        wanted = {"none": 0, "single": 1, "rgb": 3}[self.led]
        if self.led != "none" and len(self.led_pins) != wanted:
            raise ValueError(f"led_pins must name {wanted} pin(s) for led = {self.led!r}")
        used = [self.lock_pin, *(self.led_pins if wanted else [])]
        used += [pin for pin in (self.buzzer_pin, self.button_pin) if pin != "none"]
        if len(used) != len(set(used)):
            raise ValueError(f"every device needs a pin of its own, got {used}")
        return self


class StorageConfig(_Section):
    """What the daemon keeps."""

    state_directory: str = "/var/lib/facelatch"
    """Gallery and lock-out memory; 0700, files 0600."""


class ControlConfig(_Section):
    """The local control socket, by which `facelatch people` and `status` reach the running daemon."""

    socket: str = "/run/facelatch/control.sock"
    """UNIX socket; nothing listens on the network."""
    group: str = "facelatch"
    """Members of this group may use it; empty: the daemon's own user only."""


class Config(_Section):
    """The whole file."""

    camera: CameraConfig = CameraConfig()
    finder: FinderConfig = FinderConfig()
    quality: QualityConfig = QualityConfig()
    model: ModelConfig = ModelConfig()
    session: SessionConfig = SessionConfig()
    door: DoorConfig = DoorConfig()
    enrolment: EnrolmentConfig = EnrolmentConfig()
    gpio: GpioConfig = GpioConfig()
    storage: StorageConfig = StorageConfig()
    control: ControlConfig = ControlConfig()


def shipped_file(folder: str, name: str) -> Path:
    """A file that comes with the project (`models`, `config`): beside a checkout, or where the wheel put it."""
    checkout = Path(__file__).resolve().parents[2] / folder / name
    if checkout.is_file():
        return checkout
    return Path(sysconfig.get_path("data")) / "share" / "facelatch" / folder / name


def load(path: Path) -> Config:
    """The configuration in `path`. Raises ConfigError that lists every fault with key, value, rule and hint."""
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}",
            hint="name the file with --config, or copy config/facelatch.toml there",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: not TOML: {error}", hint="strings need quotes, keys need `= value`"
        ) from error
    return parse(document, origin=str(path))


def parse(document: dict[str, Any], *, origin: str) -> Config:
    """The configuration in a parsed TOML document; `origin` names it in errors. Raises ConfigError."""
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        faults = [_sentence(origin, dict(fault)) for fault in error.errors()]
        hint = "every key is explained in config/facelatch.toml; `facelatch check` tries the file"
        raise ConfigError("\n".join(faults), hint=hint) from error


def _sentence(origin: str, fault: dict[str, Any]) -> str:
    location: tuple[str | int, ...] = fault["loc"]
    key = ".".join(map(str, location))
    if fault["type"] == "extra_forbidden":
        return f"{origin}: {key}: unknown key{_nearest(location)}"
    if fault["type"] == "model_type":
        return f"{origin}: {key} = {fault['input']!r}: must be a section, [{key}]"
    rule = fault["msg"].removeprefix("Value error, ")
    if not key or isinstance(fault["input"], dict):
        return f"{origin}: {key + ': ' if key else ''}{rule}"
    return f"{origin}: {key} = {fault['input']!r}: {rule} ({_meaning(location)})"


def _meaning(location: tuple[str | int, ...]) -> str:
    """The docstring of the key at fault: `section, key` and, in a list, a number."""
    section: Any = Config.model_fields[str(location[0])].annotation
    return str(section.model_fields[location[1]].description).rstrip(".")


def _nearest(location: tuple[str | int, ...]) -> str:
    section: Any = Config
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    close = difflib.get_close_matches(str(location[-1]), section.model_fields, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (known here: {', '.join(section.model_fields)})"
