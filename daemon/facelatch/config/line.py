"""Sections for the way of a frame: camera, finder, quality, model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.config.section import Section, Share


class CameraConfig(Section):
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
    rotation_degrees: Literal[0, 90, 180, 270] = 0
    """How far the picture is turned clockwise before anything looks at it: 180 for a camera mounted upside down, 90 or
    270 for one on its side, whose picture then is as wide as height_px and as high as width_px. `facelatch check` looks
    through the camera and says what to set."""
    stale_after_seconds: Annotated[float, Field(ge=0.2, le=60)] = 2.0
    """No frame for this long is a fault: the door locks, and the camera is opened again."""
    frozen_after_seconds: Annotated[float, Field(ge=0.5, le=600)] = 10.0
    """The very same picture for this long is a fault too. A repeated picture is never evidence."""
    reopen_attempts: Annotated[int, Field(ge=0, le=1000)] = 10
    """How often a camera that failed is opened again, before the daemon ends and systemd starts it anew. Until then
    the exit button, the door contact and the alarms go on. 0: it ends at once."""
    reopen_pause_seconds: Annotated[float, Field(ge=0.1, le=30)] = 1.0
    """Before the first try; before each further one it is twice as long, up to 30 s."""


class FinderConfig(Section):
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


class QualityConfig(Section):
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


class ModelConfig(Section):
    """The Siamese network and its two thresholds."""

    path: str = ""
    """The .tflite file, its manifest beside it; empty: the one shipped."""
    threads: Annotated[int, Field(ge=1, le=8)] = 1
    """Threads of the TFLite runtime."""
    require_signature: bool = False
    """Whether the daemon refuses a model, or a face finder, whose manifest nobody signed who may."""
    allowed_signers: str = "/etc/facelatch/allowed_signers"
    """Who may, besides whose keys come with Facelatch: a file as `ssh-keygen -Y` reads it, a line for each key."""
    detection_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """From which similarity one reference counts as a detection. Unset: the manifest's calibrated value."""
    verification_threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Which share of a person's references must be detections. Unset: the manifest's."""
    ambiguity_margin: Share = 0.2
    """Two people who both pass with shares closer than this are a tie, and a tie is a no."""
