"""Writes what Facelatch 0.1.0 left on its users' disks, with the code of 0.1.0: a gallery, an export file, a
configuration, and what `facelatch-train all` makes. The tests open it with today's code.

    git worktree add ../old 91801b1
    PYTHONPATH=../old/daemon:../old/training python tests/golden/v0_1/make.py

Never run it again without a reason, and never with other code than that: these files stand for those of users. The
commit 91801b1 is the last of version 0.1.0 before its modules moved into folders, so nothing but it can run this.

Everybody in the gallery is one of the made-up faces of tests/scenarios/people, everybody in the training run is drawn.
The archives are zip files, as a bare database or Keras file is what a check keeps out of the repository.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from facelatch.crop_png import encode_png
from facelatch_training.made_faces import draw_person
from facelatch_training.network import load_siamese

from facelatch.config import Config, load
from facelatch.gallery import GalleryStore
from facelatch.values import NewPerson, Pose, Reference, Throttle
from facelatch_training.chain import Chain, run_all
from facelatch_training.recipe import Recipe, recipe_hash, tiny_recipe

HERE = Path(__file__).parent
NOBODY = HERE.parents[1] / "scenarios" / "people"
MODEL = hashlib.sha256(b"a model that is not here").hexdigest()
EPOCH = (1980, 1, 1, 0, 0, 0)


def embed(crop: np.ndarray) -> np.ndarray:
    """What stands in for a model: the means of eight bands, (8,)."""
    return crop.reshape(112, 8, 14, 3).mean(axis=(0, 2, 3), dtype=np.float32)


def nobody(number: int) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(NOBODY / f"nobody-{number}.png")), cv2.COLOR_BGR2RGB)


def reference(number: int) -> Reference:
    crop = nobody(number)
    return Reference(crop, embed(crop), Pose(number / 10, -number / 20, 1.5 * number))


def write_gallery(home: Path) -> dict[str, Any]:
    """Somebody saved and the file closed, then one more and a lock-out in the log alone, as after a power cut."""
    with GalleryStore.open(home) as store:
        store.add(NewPerson("Anna Müller", True, (reference(1), reference(2))), MODEL, embed)
        store.add(NewPerson("gone", False, (reference(4),)), MODEL, embed)
        store.remove("gone")
        (HERE / "people.zip").write_bytes(store.export())
    with GalleryStore.open(home) as store:
        store.add(NewPerson(None, False, (reference(3),)), MODEL, embed)
        store.save_throttle(Throttle(6, 60.0))
        pack(HERE / "gallery.zip", home, ["gallery.db", "gallery.db-wal"])
        gallery = store.load(MODEL, embed)
        people = []
        for record in store.people():
            poses = [[pose.yaw, pose.pitch, pose.roll] for pose in store.show(record.person.name)[1]]
            person = record.person
            people.append({"id": person.id, "name": person.name, "admin": person.admin} |
                          {"created": record.created, "poses": poses})  # fmt: skip
    crops = [hashlib.sha256(encode_png(nobody(number))).hexdigest() for number in (1, 2, 3)]
    return {
        "model": MODEL,
        "people": people,
        "owners": list(gallery.owners),
        "embeddings": gallery.embeddings.tolist(),
        "crops": crops,
        "throttle": [6, 60.0],
    }


OTHER = {
    "camera": {"source": "v4l2", "device": "/dev/video2", "width_px": 640, "height_px": 480, "search_width_px": 640,
               "search_height_px": 480, "rate_fps": 10.0, "pixel_format": "MJPG", "rotation_degrees": 180,
               "stale_after_seconds": 3.0, "frozen_after_seconds": 20.0},
    "finder": {"kind": "yunet", "model": "/opt/yunet.onnx", "score_threshold": 0.7, "full_search_rate_fps": 4.0,
               "idle_search_rate_fps": 0.5, "similar_size_ratio": 0.5},
    "quality": {"min_eye_distance_px": 20.0, "min_brightness": 30.0, "max_brightness": 230.0, "min_contrast": 8.0,
                "min_sharpness": 5.0, "max_yaw": 0.75, "max_pitch": 0.5, "max_roll_degrees": 30.0},
    "model": {"path": "/opt/ours.tflite", "threads": 2, "detection_threshold": 0.61, "verification_threshold": 0.75,
              "ambiguity_margin": 0.25},
    "session": {"required_matches": 4, "refusal_frames": 9, "retry_seconds": 3.0, "silence_seconds": 1.5,
                "cooldown_seconds": 6.0, "refusals_before_lockout": 4, "lockout_seconds": 20.0, "lockout_factor": 3.0,
                "max_lockout_seconds": 600.0},
    "door": {"unlock_seconds": 4.0, "max_unlock_seconds": 8.0},
    "enrolment": {"authorisation": "admin", "references": 6, "hold_seconds": 2.0, "timeout_seconds": 90.0,
                  "min_pose_step": 0.0, "min_interval_seconds": 0.5, "lookalike_share": 0.3,
                  "stuck_after_seconds": 15.0},
    "gpio": {"pin_factory": "mock", "lock_pin": 23, "lock_energise": "to_lock", "lock_active": "low", "led": "rgb",
             "led_pins": [5, 6, 13], "led_active": "low", "buzzer_pin": 19, "button_pin": 26,
             "button_bounce_seconds": 0.1},
    "storage": {"state_directory": "/srv/facelatch"},
    "control": {"socket": "/run/door/control.sock", "group": "door"},
}  # fmt: skip
"""Every key that 0.1.0 knows, none at its default."""


def write_configuration() -> dict[str, Any]:
    lines = []
    for section, keys in OTHER.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    (HERE / "facelatch.toml").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    read, defaults = load(HERE / "facelatch.toml").model_dump(), Config().model_dump()
    assert read == OTHER
    for section, keys in defaults.items():
        assert all(value != read[section][key] for key, value in keys.items()), section
    return {"defaults": defaults}


RUN = ["chain.json", "run/recipe.json", "run/metric.npz", "run/metric.csv", "run/siamese.npz", "run/siamese.csv",
       "run/siamese.keras", "models/siamese.tflite", "models/siamese.json"]  # fmt: skip
"""What is kept of a run: its pictures, its crops and its report are not opened again."""


def small_recipe() -> Recipe:
    recipe = tiny_recipe()
    tower = recipe.tower.model_copy(update={"stem": 4, "widths": (4,), "blocks": (1,), "head": 0, "core": 8})
    return recipe.model_copy(
        update={
            "tower": tower.model_copy(update={"embedding": 8}),
            "metric": recipe.metric.model_copy(update={"steps": 20}),
            "siamese": recipe.siamese.model_copy(update={"steps": 10, "decay_steps": 5, "round_steps": 5}),
        }
    )


def write_run(out: Path) -> dict[str, Any]:
    recipe = small_recipe()
    run_all(Chain(out, recipe=recipe), say=print, quiet=True)
    saved = json.loads((out / "run" / "recipe.json").read_text(encoding="utf-8"))
    used = Recipe.model_validate(saved["recipe"])
    pack(HERE / "run.zip", out, RUN)
    siamese = load_siamese(out / "run" / "siamese.keras")
    crops = np.stack([draw_person(person, picture) for person, picture in ((0, 0), (0, 1), (1, 0))])
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    embeddings = np.asarray(tower(crops, training=False))
    similarity = np.asarray(head([embeddings[[0, 0]], embeddings[[1, 2]]], training=False)).reshape(-1)
    return {
        "recipe_sha256": recipe_hash(used),
        "data": saved["data"],
        "embeddings": embeddings.tolist(),
        "similarity": similarity.tolist(),
        "figures": {stage: figures(out / "run" / f"{stage}.csv") for stage in ("metric", "siamese")},
    }


def figures(table: Path) -> dict[str, float]:
    """What the last round of a stage came to, without the time it took."""
    with table.open(encoding="utf-8") as stream:
        last = list(csv.DictReader(stream))[-1]
    return {name: float(value) for name, value in last.items() if name != "seconds"}


def pack(target: Path, folder: Path, names: list[str]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)


def main() -> None:
    work = Path(tempfile.mkdtemp(prefix="facelatch-"))
    try:
        facts = {"version": "0.1.0", "commit": "91801b1", "gallery": write_gallery(work / "state"),
                 "configuration": write_configuration(), "run": write_run(work / "all")}  # fmt: skip
    finally:
        shutil.rmtree(work)
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (HERE / "facts.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
