"""The chain refuses to go on with other people than it began with, and says what it leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from facelatch.errors import InputError
from facelatch_training.chain import Chain, _recipe, run_all
from facelatch_training.made_faces import draw_person
from facelatch_training.prepare import Options
from facelatch_training.recipe import TOY_NAME, load_recipe, shipped_recipe
from facelatch_training.shards import write_png


def begun(out: Path, source: Path, said: list[str]) -> None:
    """A chain that stops at its first step: the folder of people is empty."""
    source.mkdir(exist_ok=True)
    recipe = load_recipe(shipped_recipe())
    with pytest.raises(InputError) as caught:
        run_all(Chain(out, (source,), "nobody", recipe), say=said.append, quiet=True)
    said.append(str(caught.value))


def test_other_people_need_another_folder(tmp_path: Path) -> None:
    said: list[str] = []
    begun(tmp_path / "out", tmp_path / "ours", said)
    begun(tmp_path / "out", tmp_path / "theirs", said)
    assert "chain.json: sources is" in said[-1]
    begun(tmp_path / "out", tmp_path / "ours", said)
    assert "chain.json" not in said[-1]


@pytest.mark.parametrize("what", ["finder", "calibration"])
def test_another_finder_and_other_targets_need_another_folder(tmp_path: Path, what: str) -> None:
    begun(tmp_path / "out", tmp_path / "ours", [])
    recipe = load_recipe(shipped_recipe())
    targets = recipe.calibration.model_copy(update={"enrolled": 3})
    changed = {
        "finder": Chain(tmp_path / "out", (tmp_path / "ours",), "nobody", recipe, finder_named="cascade"),
        "calibration": Chain(
            tmp_path / "out",
            (tmp_path / "ours",),
            "nobody",
            recipe.model_copy(update={"calibration": targets}),
        ),
    }
    with pytest.raises(InputError, match=rf"chain\.json: {what} is"):
        run_all(changed[what], say=lambda _: None, quiet=True)


def test_a_toy_by_the_shipped_recipe_needs_no_teacher(tmp_path: Path) -> None:
    said: list[str] = []
    recipe = _recipe(Chain(tmp_path, recipe=load_recipe(shipped_recipe())), said.append)
    assert recipe.metric.distill_weight == 0
    assert recipe.name == TOY_NAME
    assert "no --teacher given" in said[0]


def test_another_sentence_about_the_data_needs_another_folder(tmp_path: Path) -> None:
    begun(tmp_path / "out", tmp_path / "ours", [])
    with pytest.raises(InputError, match=r"chain\.json: about_data is nobody, this time it is somebody"):
        run_all(Chain(tmp_path / "out", (tmp_path / "ours",), "somebody", load_recipe(shipped_recipe())), say=print)


def test_what_prepare_is_told_goes_through_the_chain(tmp_path: Path) -> None:
    write_png(tmp_path / "ours" / "ann" / "1.png", draw_person(1, 1))
    (tmp_path / "ours" / "ann" / "2.png").write_text("no picture")
    recipe = load_recipe(shipped_recipe())
    for skip, complaint in ((False, "unreadable"), (True, "validation split")):
        options = Options(skip_unreadable=skip)
        chain = Chain(tmp_path / f"{skip}", (tmp_path / "ours",), "nobody", recipe, options=options)
        with pytest.raises(InputError, match=complaint):
            run_all(chain, say=lambda _: None, quiet=True)


def test_a_toy_chain_does_not_take_over_a_folder_of_people(tmp_path: Path) -> None:
    begun(tmp_path / "out", tmp_path / "ours", [])
    with pytest.raises(InputError, match="this time it is nothing"):
        run_all(Chain(tmp_path / "out"), say=lambda _: None, quiet=True)


def test_without_a_teacher_it_says_that_names_alone_must_do(tmp_path: Path) -> None:
    said: list[str] = []
    begun(tmp_path / "out", tmp_path / "ours", said)
    assert "no --teacher given" in said[0]
