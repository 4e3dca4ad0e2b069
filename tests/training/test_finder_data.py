"""The face finder's training data: geometry, composing, targets."""

from __future__ import annotations

import io
import tarfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_doubles import CROP_LABEL, NO_BOXES, REPO, crop_with_discs, finder_recipe

from facelatch.errors import ConfigError, InputError
from facelatch.vision.finder_decode import cells, decode, merge
from facelatch_training.finder.data.degrade import degrade, occlude
from facelatch_training.finder.data.faces import Photo, read_tar, split
from facelatch_training.finder.data.labels import iou, mirror, move, plausible, visible_share
from facelatch_training.finder.data.scenes import CANVAS, Stock, compose
from facelatch_training.finder.data.targets import targets
from facelatch_training.finder.recipe import is_validation, load_recipe

RECIPE = finder_recipe()


def made_sprite(seed: int = 0) -> Photo:
    """A crop with a grey face and one pure-coloured disc on each landmark."""
    return Photo(
        name=f"{seed}.png", image=crop_with_discs(90 + seed), faces=CROP_LABEL[None].copy(), ignore=NO_BOXES
    )


def made_stock() -> Stock:
    rng = np.random.default_rng(1)
    empty = [rng.integers(0, 80, (240, 320, 3)).astype(np.uint8) for _ in range(3)]
    photos = []
    for number in range(4):
        image = np.full((200, 180, 3), 70, np.uint8)
        image[40:152, 30:142] = made_sprite(number).image
        shift = np.array([[1, 0, 30], [0, 1, 40]], np.float64)
        photos.append(
            Photo(name=f"p{number}", image=image, faces=move(CROP_LABEL[None], shift), ignore=NO_BOXES)
        )
    return Stock(photos, [made_sprite(n) for n in range(4)], empty)


boxes = st.tuples(st.floats(-50, 300), st.floats(-50, 200), st.floats(1, 200), st.floats(1, 200))


@given(boxes, boxes)
def test_overlap_is_symmetric_between_0_and_1_and_1_with_itself(one, other):
    first, second = np.array([one], np.float32), np.array([other], np.float32)
    there, back = float(iou(first, second)[0, 0]), float(iou(second, first)[0, 0])
    assert there == pytest.approx(back, abs=1e-3)  # single precision, far from the origin
    assert 0 <= there <= 1 + 1e-3
    assert float(iou(first, first)[0, 0]) == pytest.approx(1, abs=1e-4)


@given(st.floats(-90, 90), st.floats(0.2, 4), st.floats(-100, 100), st.floats(-100, 100))
def test_moving_a_label_there_and_back_gives_its_landmarks_again(degrees, scale, x, y):
    matrix = cv2.getRotationMatrix2D((50, 60), degrees, scale)
    matrix[:, 2] += x, y
    back = move(move(CROP_LABEL[None], matrix), cv2.invertAffineTransform(matrix))
    np.testing.assert_allclose(back[0, 4:], CROP_LABEL[4:], atol=2e-3)
    centre = CROP_LABEL[:2] + CROP_LABEL[2:4] / 2
    np.testing.assert_allclose(back[0, :2] + back[0, 2:4] / 2, centre, atol=2e-3)


def test_mirroring_twice_is_nothing_and_once_keeps_left_on_the_left():
    once = mirror(CROP_LABEL[None], 112)
    np.testing.assert_allclose(mirror(once, 112)[0], CROP_LABEL, atol=1e-4)
    points = once[0, 4:].reshape(5, 2)
    assert points[0, 0] < points[1, 0]
    assert points[3, 0] < points[4, 0]


def test_a_mirrored_or_scattered_face_is_not_plausible():
    assert plausible(CROP_LABEL)
    swapped = CROP_LABEL.copy()
    swapped[4:8] = CROP_LABEL[[6, 7, 4, 5]]
    assert not plausible(swapped)
    stray = CROP_LABEL.copy()
    stray[4] = 300
    assert not plausible(stray)


def test_visible_share_of_a_box_cut_in_half_is_a_half():
    assert visible_share(np.array([[-10, 0, 20, 20], [5, 5, 5, 5], [50, 0, 5, 5]], np.float32), 40, 40).tolist() == [
        0.5, 1.0, 0.0,
    ]  # fmt: skip


def test_the_same_seed_composes_the_same_picture_and_another_seed_another():
    stock = made_stock()
    first, again, other = (compose(stock, RECIPE.data, np.random.default_rng(s)) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert not np.array_equal(first.image, other.image)


def test_composed_labels_lie_on_what_they_label():
    """Where a landmark was painted in pure colour, the composed picture has that colour."""
    plain = RECIPE.data.model_copy(update={"degrade_share": 0.0, "smallest_px": 60.0, "largest_px": 120.0})
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]])
    right = wrong = 0
    for seed in range(60):
        scene = compose(made_stock(), plain, np.random.default_rng(seed))
        for face in scene.faces:
            for point, colour in zip(face[4:].reshape(5, 2), colours, strict=True):
                x, y = round(float(point[0])), round(float(point[1]))
                if 0 <= x < CANVAS[0] and 0 <= y < CANVAS[1]:
                    hit = np.abs(scene.image[y, x].astype(int) - colour).max() < 80
                    right, wrong = right + hit, wrong + (not hit)
    assert right > 150
    assert wrong < 0.1 * right  # another photo may lie over a part of a face


def test_pictures_without_faces_are_composed_too():
    scenes = [compose(made_stock(), RECIPE.data, np.random.default_rng(seed)) for seed in range(40)]
    assert any(not len(scene.faces) for scene in scenes)
    assert all(scene.image.shape == (CANVAS[1], CANVAS[0], 3) for scene in scenes)


def test_degrading_keeps_shape_and_type_and_is_seeded():
    image = made_stock().photos[0].image
    for seed in range(40):
        bad = degrade(image, np.random.default_rng(seed))
        assert bad.shape == image.shape
        assert bad.dtype == np.uint8
        np.testing.assert_array_equal(bad, degrade(image, np.random.default_rng(seed)))


def test_an_occlusion_covers_a_part_of_the_face_and_leaves_the_original_alone():
    photo = made_stock().photos[0]
    before = photo.image.copy()
    after = occlude(photo.image, photo.faces, np.random.default_rng(2))
    np.testing.assert_array_equal(photo.image, before)
    x, y, w, h = photo.faces[0, :4].astype(int)
    changed = (after != before).any(axis=2)[y : y + h, x : x + w].mean()
    assert 0.02 < changed < 0.6


sides = st.floats(18, 200)


@settings(max_examples=60, deadline=None)
@given(sides, st.floats(0, 320), st.floats(0, 240), st.floats(-30, 30))
def test_what_training_asks_for_is_what_the_daemon_reads(side, x, y, degrees):
    """Targets as outputs, decoded by the daemon's own code, give the label back."""
    scale = side / float(np.sqrt(CROP_LABEL[2] * CROP_LABEL[3]))
    matrix = cv2.getRotationMatrix2D((56, 58), degrees, scale)
    matrix[:, 2] += x - 56, y - 58
    face = move(CROP_LABEL[None], matrix)
    table = targets(face, NO_BOXES, (320, 240), 14.0)
    score = np.where(table[:, 0] > 0.5, 5.0, -20.0).astype(np.float32)
    rows = merge(decode(score, table[:, 3:7], table[:, 7:17], cells(320, 240), 0.5))
    assert len(rows) == 1
    np.testing.assert_allclose(rows[0, :14], face[0], atol=0.02)
    assert table[table[:, 0] > 0.5, 1].sum() == pytest.approx(1, abs=1e-5)


def test_a_face_too_small_or_doubtful_is_neither_asked_for_nor_punished():
    tiny = np.concatenate([[100, 100, 10, 10], np.full(10, 105)]).astype(np.float32)
    flags = targets(tiny[None], np.array([[200, 100, 40, 40]], np.float32), (320, 240), 14.0)[:, 0]
    assert not (flags == 1).any()
    centres = cells(320, 240)[0]
    unasked = centres[flags == -1]
    assert len(unasked)
    inside = (np.abs(unasked - [105, 105]) <= 5).all(axis=1) | (np.abs(unasked - [220, 120]) <= 20).all(
        axis=1
    )
    assert inside.all()


def test_photos_are_split_by_a_hash_of_the_name_not_by_order():
    photos = [
        Photo(
            name=f"{n:05d}.webp",
            image=np.zeros((1, 1, 3), np.uint8),
            faces=NO_BOXES,
            ignore=NO_BOXES,
        )
        for n in range(2000)
    ]
    train, kept = split(photos, RECIPE)
    names = {photo.name for photo in train}, {photo.name for photo in kept}
    assert not names[0] & names[1]
    assert 0.12 < len(kept) / 2000 < 0.18
    assert {p.name for p in split(photos[::-1], RECIPE)[1]} == names[1]
    assert all(is_validation(name, RECIPE) for name in names[1])


def test_a_tar_with_something_that_is_no_image_is_refused_by_name(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a.webp")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(InputError, match=r"x\.tar: a\.webp"):
        list(read_tar(path))
    with pytest.raises(InputError, match="no such file"):
        list(read_tar(tmp_path / "missing.tar"))


def test_a_recipe_with_several_faults_names_all_of_them(tmp_path):
    path = tmp_path / "finder.toml"
    text = (REPO / "config" / "finder.toml").read_text()
    path.write_text(text.replace("seed =", "sed =").replace("batch = 32", "batch = -1", 1))
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    for word in ("seed", "sed", "fit.batch", "finder.toml"):
        assert word in str(caught.value)


def test_a_recipe_that_is_no_text_is_a_fault_of_the_recipe(tmp_path):
    """As one with a wrong key is: a line that names the file, no traceback."""
    path = tmp_path / "finder.toml"
    path.write_bytes(b"seed = 1 # \xff")
    with pytest.raises(ConfigError, match=r"finder\.toml: not a TOML file"):
        load_recipe(path)
