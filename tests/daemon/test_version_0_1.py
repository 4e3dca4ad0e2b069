"""What version 0.1.0 left on its users' disks (tests/golden/v0_1) opens with today's code, and says the same."""

from __future__ import annotations

import hashlib
import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facelatch.config.file import Config, load, parse
from facelatch.gallery.export import unpack
from facelatch.gallery.store import GalleryStore
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference, Throttle
from facelatch.vision.manifest import Manifest, load_manifest

OLD = Path(__file__).resolve().parents[1] / "golden" / "v0_1"
FACTS: dict[str, Any] = json.loads((OLD / "facts.json").read_text(encoding="utf-8"))


def unzipped(archive: str, folder: Path) -> Path:
    with zipfile.ZipFile(OLD / archive) as opened:
        opened.extractall(folder)
    return folder


def no_model(crop: np.ndarray) -> np.ndarray:
    pytest.fail("an embedding that the old gallery holds was made anew")


def by_bands(crop: np.ndarray) -> np.ndarray:
    """The embedding (8,) of tests/golden/v0_1/make.py."""
    return crop.reshape(112, 8, 14, 3).mean(axis=(0, 2, 3), dtype=np.float32)


def poses_of(store: GalleryStore, name: str) -> list[list[float]]:
    return [[pose.yaw, pose.pitch, pose.roll] for pose in store.show(name)[1]]


def test_the_gallery_has_the_same_people_also_those_only_its_log_knew(tmp_path: Path) -> None:
    with GalleryStore.open(unzipped("gallery.zip", tmp_path)) as store:
        people = [
            {"id": record.person.id, "name": record.person.name, "admin": record.person.admin}
            | {"created": record.created, "poses": poses_of(store, record.person.name)}
            for record in store.people()
        ]
        assert people == FACTS["gallery"]["people"]
        assert [record.references for record in store.people()] == [2, 1]
        assert store.throttle() == Throttle(*FACTS["gallery"]["throttle"])


def test_the_gallery_gives_the_embeddings_it_was_left_with(tmp_path: Path) -> None:
    with GalleryStore.open(unzipped("gallery.zip", tmp_path)) as store:
        gallery = store.load(FACTS["gallery"]["model"], no_model)
    assert list(gallery.owners) == FACTS["gallery"]["owners"]
    np.testing.assert_array_equal(gallery.embeddings, np.float32(FACTS["gallery"]["embeddings"]))


def test_another_model_embeds_the_crops_of_the_gallery_as_the_old_code_did(tmp_path: Path) -> None:
    with GalleryStore.open(unzipped("gallery.zip", tmp_path)) as store:
        gallery = store.load("f" * 64, by_bands)
        assert store.reembedded == 3
    np.testing.assert_array_equal(gallery.embeddings, np.float32(FACTS["gallery"]["embeddings"]))


def test_numbers_go_on_where_the_gallery_s_did(tmp_path: Path) -> None:
    """Neither an id nor a `person-NNN` comes back, not even of the person whom 0.1.0 removed (id 2)."""
    crop = np.zeros((112, 112, 3), np.uint8)
    newcomer = NewPerson(None, False, (Reference(crop, by_bands(crop), Pose(0, 0, 0)),))
    with GalleryStore.open(unzipped("gallery.zip", tmp_path)) as store:
        added = store.add(newcomer, FACTS["gallery"]["model"])
    assert (added.id, added.name) == (4, "person-002")


def test_the_export_file_gives_the_same_people_and_crops(tmp_path: Path) -> None:
    (anna,) = unpack((OLD / "people.zip").read_bytes())
    known = FACTS["gallery"]["people"][0]
    assert (anna.name, anna.admin) == (known["name"], known["admin"])
    assert [[one.pose.yaw, one.pose.pitch, one.pose.roll] for one in anna.references] == known["poses"]
    crops = [hashlib.sha256(reference.crop_png).hexdigest() for reference in anna.references]
    assert crops == FACTS["gallery"]["crops"][:2]
    with GalleryStore.open(tmp_path / "state") as store:
        store.restore(unpack((OLD / "people.zip").read_bytes()))
        assert store.export() == (OLD / "people.zip").read_bytes()


def test_every_key_of_the_configuration_is_known_and_keeps_its_value() -> None:
    given = tomllib.loads((OLD / "facelatch.toml").read_text(encoding="utf-8"))
    read = load(OLD / "facelatch.toml").model_dump()
    assert {section: {key: read[section][key] for key in keys} for section, keys in given.items()} == given
    known = {section: set(keys) for section, keys in FACTS["configuration"]["defaults"].items()}
    assert {section: set(keys) for section, keys in given.items()} == known, "the golden file sets every old key"


def test_a_key_left_out_means_what_it_meant() -> None:
    assert parse({}, origin="empty") == Config()
    now = Config().model_dump()
    for section, keys in FACTS["configuration"]["defaults"].items():
        assert {key: now[section][key] for key in keys} == keys, section


def test_the_manifest_keeps_thresholds_rates_and_that_its_model_opens_no_door(tmp_path: Path) -> None:
    models = unzipped("run.zip", tmp_path) / "models"
    written = json.loads((models / "siamese.json").read_text(encoding="utf-8"))
    manifest = load_manifest(models / "siamese.tflite")
    read = manifest.model_dump(mode="json")
    assert {key: read[key] for key in written} == written
    assert 0 < manifest.verification_threshold < manifest.detection_threshold < 1
    assert set(manifest.rates) >= {"fmr", "fnmr", "far_per_attempt", "frr_per_attempt"}
    assert not manifest.opens_doors
    assert isinstance(manifest, Manifest)
