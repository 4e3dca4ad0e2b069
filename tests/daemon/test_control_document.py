"""The page on the control socket is the code's: every action, right, field, example and reply."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import fleets
import numpy as np
import pytest

from facelatch import errors
from facelatch.adapters.fakes import FakeVerifier
from facelatch.api import parsing, people, requests
from facelatch.api.fleet_requests import Arriving
from facelatch.api.rights import OF_THE_GROUP
from facelatch.config.service import Right
from facelatch.control import peer, sealed, wire
from facelatch.errors import FacelatchError
from facelatch.gallery import export, fleet
from facelatch.gallery.export import StoredPerson, StoredReference, pack
from facelatch.gallery.store import GalleryStore
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference
from facelatch.vision.png import encode_png

PAGE = (Path(__file__).parents[2] / "daemon" / "docs" / "control-socket.md").read_text(encoding="utf-8")
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTIONS = {
    section.split("`")[1]: section for section in re.split(r"^### ", PAGE.split("## Actions")[1], flags=re.M)[1:]
}


def examples(section: str) -> list[dict[str, Any]]:
    """The JSON blocks: a request, and the reply to it."""
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, flags=re.S)]


def test_every_action_has_a_section_and_no_other_has() -> None:
    assert sorted(SECTIONS) == list(requests.ACTIONS)


@pytest.mark.parametrize("action", requests.ACTIONS)
def test_a_section_names_the_right_and_every_field(action: str) -> None:
    cls, section = requests.CLASSES[action], SECTIONS[action]
    assert f"Right: `{cls.right}`" in section
    assert ("Bulk:" in section) == bool(cls.most_bulk)
    fields = {name for row in re.findall(r"^\| (`.*?) \|", section, flags=re.M) for name in re.findall(r"`(\w+)`", row)}
    expected = set(cls.model_fields) - {"action", "actor"}
    if "envelopes" in expected:
        expected |= set(Arriving.model_fields) & fields
    if "pictures" in expected:
        expected |= set(requests.Picture.model_fields)
    assert fields == expected


def content_of(action: str) -> bytes | None:
    crops = [encode_png(np.full((112, 112, 3), colour, np.uint8)) for colour in ((200, 90, 60), (0, 0, 200))]
    folk = [
        StoredPerson(name, False, (StoredReference(crop, Pose(0.0, 0.0, 0.0)),))
        for name, crop in zip(("anna", "dora"), crops, strict=True)
    ]
    return {
        "judge": crops[0],
        "enroll_pictures": crops[1],
        "import": pack(folk),
        "apply_people": fleets.envelope("dora", (0, 0, 200)),
    }.get(action)


def anna_and_ben_are_shared(store: GalleryStore) -> None:
    for number, (name, colour) in enumerate({"anna": (200, 90, 60), "ben": (60, 200, 90)}.items()):
        picture = np.full((112, 112, 3), colour, np.uint8)
        reference = Reference(picture, fleets.face(colour)[0], Pose(0.0, 0.0, 0.0))
        one = store.add(NewPerson(name, False, (reference,)), FakeVerifier().model_sha256)
        with store.transaction() as connection:
            fleet.share(connection, one, f"{number + 1:032x}", number)


@pytest.mark.parametrize("action", requests.ACTIONS)
def test_an_example_is_a_request_and_its_reply_has_the_keys_of_a_real_one(
    action: str, served: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of a door with two people; root is told similarities besides."""
    message, expected = examples(SECTIONS[action])
    assert parsing.parse(message).action == action
    bulk = content_of(action)
    if action == "enroll_pictures":
        message["pictures"][0]["size"] = len(bulk or b"")
    if action == "apply_people":
        message["envelopes"][0]["size"] = len(bulk or b"")
    fill = anna_and_ben_are_shared if action in ("resolve", "fleet_people") else None
    door = served(sections={}, fill=fill, member=fleets.member("front"))
    reply, came = door.client.fetch(message, bulk)
    assert shape(reply) == shape(expected)
    assert bool(came) == (message.get("by") == "descriptor" or action == "report")


def shape(value: Any) -> Any:
    """Keys all the way down; of a list the first."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key != "similarities"}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else None


def test_the_page_names_every_right_and_error_and_the_default() -> None:
    table = PAGE.split("## Who may")[1].split("## Limits")[0]
    named = set(re.findall(r"`([a-z._]+)`", table))
    assert set(get_args(Right)) <= named
    default = re.search(r"then gives ((?:`[a-z.]+`(?:, | and )?)+)", table)
    assert default is not None
    assert set(re.findall(r"`([a-z.]+)`", default[1])) == OF_THE_GROUP
    kinds = set(re.findall(r"^\| (\w+Error) ", PAGE, flags=re.M))
    assert all(issubclass(getattr(errors, kind), FacelatchError) for kind in kinds)
    assert {"InputError", "NotAllowedError", "ControlError", "GalleryError"} <= kinds


def test_the_page_has_the_limits_of_the_code() -> None:
    for number in (
        f"{wire.MAX_REQUEST_BYTES // 1024} KiB",
        f"{wire.MAX_REPLY_BYTES // 1024} KiB",
        f"{sealed.MAX_BYTES // 2**20} MiB",
        f"{people.PAGE_PEOPLE} at a time",
        f"{export.MAX_PEOPLE:,} people",
        f"{export.MAX_ALL_REFERENCES:,} images",
    ):
        assert number in PAGE
    assert (peer.MAX_CLIENTS_PER_USER, peer.MAX_CLIENTS - peer.MAX_CLIENTS_PER_USER) == (2, 6)


def test_the_readme_says_who_may_do_what() -> None:
    """The rights that only root has are not promised to the group."""
    table = README.split("### Who may do what")[1].split("###")[0]
    assert set(re.findall(r"`([a-z._]+)`", table)) >= OF_THE_GROUP | {"people.write", "export", "import", "admin"}
