"""Is a visitor alive? What many looks say together, what the network looks at, and what is refused as its model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sightings
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.cameras.identity import identity
from facelatch.app import camera_identity
from facelatch.config.line import CameraConfig
from facelatch.line import liveness, track
from facelatch.line.liveness import Check, Evidence, Look, examine, joined
from facelatch.values.liveness import Aliveness, Proof
from facelatch.values.observations import Judged, NoFace, Reason, Verdict
from facelatch.values.pictures import Box, Face, Frame, Image
from facelatch.values.records import Person
from facelatch.vision.liveness import VIEW_PX, view

FACE = Face(Box(10, 10, 50, 50), np.zeros((5, 2), np.float32), 0.9)
MATCH = Verdict(reason=Reason.MATCHED, person=Person(1, "ada"), share=1.0, detections=8, references=8)
PICTURE = np.zeros((80, 80, 3), np.uint8)


class Says:
    """A network that always says the same, and counts how often it was asked."""

    def __init__(self, alive: float, screen: float = -1.0) -> None:
        self.said, self.asked = Aliveness(alive, screen), 0

    def look(self, image: Image, box: Box) -> Aliveness:
        self.asked += 1
        return self.said


def check(network: Says) -> Check:
    return Check(network=network, threshold=0.0, enrolment_threshold=2.0, seconds=1.0, pictures=5)


def judged(verdict: Verdict = MATCH, track: int = 1) -> Judged:
    return sightings.judged(verdict, track, face=FACE, crop=PICTURE)


def proofs(
    network: Says, times: list[float], *, enrolling: bool = False, tracks: list[int] | None = None
) -> list[Proof]:
    """What is known after each frame of somebody who matches."""
    evidence, known = Evidence(), []
    for number, time in enumerate(times):
        frame = Frame(PICTURE, PICTURE, time, number)
        seen, evidence = examine(
            check(network),
            evidence,
            frame,
            judged(track=tracks[number] if tracks else 1),
            enrolling=enrolling,
        )
        assert isinstance(seen, Judged)
        known.append(seen.proof)
    return known


SECOND = [number / 10 for number in range(12)]


def test_a_living_face_is_known_after_a_second_and_not_before() -> None:
    """However sure each look is."""
    assert proofs(Says(9.0), SECOND) == [Proof.GATHERING] * 10 + [Proof.LIVE] * 2


def test_few_looks_over_a_long_time_prove_nothing() -> None:
    """A second with two frames in it is no second of looking."""
    assert proofs(Says(9.0), [0.0, 0.6, 1.2, 1.8]) == [Proof.GATHERING] * 4


@pytest.mark.parametrize(
    ("alive", "screen", "known"),
    [
        (-5, -1, Proof.FLAT),
        (-5, 1, Proof.SCREEN),
        (-0.5, 1, Proof.NOT_LIVE),
        (float("nan"), 1, Proof.NOT_LIVE),
    ],
)
def test_what_is_not_alive_is_named_by_what_it_looks_like(alive: float, screen: float, known: Proof) -> None:
    """And in doubt by neither."""
    assert proofs(Says(alive, screen), SECOND)[-1] is known


def test_enrolment_asks_for_more_than_the_door() -> None:
    """A face that the door lets in may not be sure enough to be enrolled."""
    assert proofs(Says(1.0), SECOND)[-1] is Proof.LIVE
    assert proofs(Says(1.0), SECOND, enrolling=True)[-1] is Proof.NOT_LIVE


def test_a_camera_of_one_picture_a_second_can_prove_life() -> None:
    """Five looks take it four seconds, and older ones count as long as there are not five newer."""
    slow = [1.03 * number for number in range(7)]
    assert proofs(Says(9.0), slow) == [Proof.GATHERING] * 4 + [Proof.LIVE] * 3
    assert len(joined(tuple(Look(time, Aliveness(1.0, 0.0)) for time in slow), Look(7.2, Aliveness(1.0, 0.0)), 5)) == 5


def test_old_looks_go_where_there_are_newer_ones() -> None:
    """Whoever was alive three seconds ago has to be so now."""
    before = tuple(Look(number / 10, Aliveness(9.0, 0.0)) for number in range(40))
    kept = joined(before, Look(4.0, Aliveness(-9.0, 0.0)), 5)
    assert kept[0].taken == pytest.approx(1.0)
    assert kept[-1].taken == 4.0


def test_looks_are_forgotten_when_the_pictures_of_a_track_are() -> None:
    """One pause for both: the two constants say the same in two modules that cannot import each other."""
    assert liveness.LOST_SECONDS == track.LOST_SECONDS


def test_whoever_is_in_doubt_is_asked_where_the_door_asks() -> None:
    """Near the threshold, at the door; not while being enrolled, and not where the network says nothing finite."""
    asks = replace(check(Says(-0.5)), asks=True)
    looks = tuple(Look(time, Aliveness(-0.5, -1.0)) for time in SECOND)
    assert liveness.proof(asks, looks, 0.0, asks=True) is Proof.DOUBT
    assert liveness.proof(asks, looks, 1.0, asks=True) is Proof.FLAT
    nothing = tuple(Look(time, Aliveness(float("nan"), -1.0)) for time in SECOND)
    assert liveness.proof(asks, nothing, 0.0, asks=True) is Proof.NOT_LIVE
    seen = judged()
    for enrolling, known in [(False, Proof.DOUBT), (True, Proof.NOT_LIVE)]:
        network, evidence = replace(asks, enrolment_threshold=0.0), Evidence()
        for number, time in enumerate(SECOND):
            told, evidence = examine(
                network, evidence, Frame(PICTURE, PICTURE, time, number), seen, enrolling=enrolling
            )
        assert isinstance(told, Judged)
        assert told.proof is known


def test_looks_of_another_track_or_before_a_pause_do_not_count() -> None:
    """Nobody inherits the proof of somebody before."""
    assert proofs(Says(9.0), SECOND, tracks=[1] * 11 + [2])[-1] is Proof.GATHERING
    assert proofs(Says(9.0), [*SECOND[:11], 3.0])[-1] is Proof.GATHERING


def test_a_stranger_costs_no_look_but_whoever_is_enrolled_does() -> None:
    """The network runs on faces that match, or while somebody is being enrolled."""
    network = Says(9.0)
    stranger = judged(Verdict(reason=Reason.NOT_RECOGNISED))
    frame = Frame(PICTURE, PICTURE, 0.0, 0)
    seen, evidence = examine(check(network), Evidence(), frame, stranger, enrolling=False)
    assert isinstance(seen, Judged)
    assert (seen.proof, network.asked) == (Proof.GATHERING, 0)
    examine(check(network), evidence, frame, stranger, enrolling=True)
    assert network.asked == 1


def test_a_door_that_does_not_ask_says_so() -> None:
    """With the level `off` nothing is looked at, and every match counts as before."""
    frame = Frame(PICTURE, PICTURE, 0.0, 0)
    seen, _ = examine(None, Evidence(), frame, judged(), enrolling=False)
    assert isinstance(seen, Judged)
    assert seen.proof is Proof.NOT_ASKED
    assert seen.proof.passes
    nobody, _ = examine(check(Says(9.0)), Evidence(), frame, NoFace(), enrolling=False)
    assert nobody == NoFace()


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    box=st.tuples(*[st.floats(-500, 500)] * 2, *[st.floats(-5, 900)] * 2),
    scale=st.floats(0.5, 4),
)
def test_every_box_gives_a_view(size: tuple[int, int], box: tuple[float, ...], scale: float) -> None:
    """Whatever the finder said: of one size, from inside the picture."""
    image = np.full((*size, 3), 7, np.uint8)
    seen = view(image, Box(*box), scale)
    assert seen.shape == (VIEW_PX, VIEW_PX, 3)
    assert (seen == 7).all()


def test_a_camera_is_another_one_until_it_is_remembered(tmp_path: Path) -> None:
    """So a restart begins the wait anew; the first of all is none that was swapped, nor are recorded pictures."""
    camera_identity.remember(tmp_path, "")
    assert list(tmp_path.iterdir()) == []
    assert not camera_identity.is_another(tmp_path, "one")
    camera_identity.remember(tmp_path, "one")
    assert not camera_identity.is_another(tmp_path, "one")
    assert not camera_identity.is_another(tmp_path, "")
    assert camera_identity.is_another(tmp_path, "two")
    assert camera_identity.is_another(tmp_path, "two")
    camera_identity.remember(tmp_path, "two")
    assert camera_identity.is_another(tmp_path, "one")


def test_a_usb_camera_is_known_by_its_name_and_serial_number(tmp_path: Path) -> None:
    """As far as the system knows them; recorded pictures have neither."""
    interface = tmp_path / "usb" / "1-1:1.0"
    node = interface / "video4linux" / "video3"
    node.mkdir(parents=True)
    (node / "name").write_text("Cheap Camera\n")
    (tmp_path / "usb" / "serial").write_text("0042\n")
    (node / "device").symlink_to(interface)
    (tmp_path / "video3").symlink_to(node)
    assert identity(CameraConfig(source="v4l2", device="3"), tmp_path) == "Cheap Camera 0042"
    assert identity(CameraConfig(source="v4l2", device="/dev/video3"), tmp_path) == "Cheap Camera 0042"
    assert identity(CameraConfig(source="v4l2", device="4"), tmp_path) == ""
    assert identity(CameraConfig(source="files", device="x"), tmp_path) == ""
