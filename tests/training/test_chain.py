"""The chain refuses to go on with other people than it began with, and says what it leaves out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from facelatch.errors import InputError
from facelatch_training.chain import Chain, _exported_model, _recipe, _refuse_unmeasurable, run_all
from facelatch_training.data.made_faces import draw_person, write_crop_set
from facelatch_training.data.prepare import Options
from facelatch_training.files import TrainingError, write_png
from facelatch_training.recipe import TOY_NAME, load_recipe, shipped_recipe, tiny_recipe


def begun(out: Path, source: Path, messages: list[str]) -> None:
    """A chain that stops at its first step: the folder of people is empty."""
    source.mkdir(exist_ok=True)
    recipe = load_recipe(shipped_recipe())
    with pytest.raises(InputError) as caught:
        run_all(
            Chain(
                out=out,
                sources=(source,),
                about_data="nobody",
                recipe=recipe,
            ),
            say=messages.append,
            quiet=True,
        )
    messages.append(str(caught.value))


def test_other_people_need_another_folder(tmp_path: Path) -> None:
    messages: list[str] = []
    begun(tmp_path / "out", tmp_path / "ours", messages)
    begun(tmp_path / "out", tmp_path / "theirs", messages)
    assert "chain.json: sources is" in messages[-1]
    begun(tmp_path / "out", tmp_path / "ours", messages)
    assert "chain.json" not in messages[-1]


def test_another_finder_needs_another_folder(tmp_path: Path) -> None:
    begun(tmp_path / "out", tmp_path / "ours", [])
    recipe = load_recipe(shipped_recipe())
    with pytest.raises(InputError, match=r"chain\.json: finder is nothing, this time it is cascade"):
        run_all(
            Chain(
                out=tmp_path / "out",
                sources=(tmp_path / "ours",),
                about_data="nobody",
                recipe=recipe,
                finder_named="cascade",
            ),
            say=lambda _: None,
            quiet=True,
        )


def test_too_few_people_to_calibrate_on_are_told_before_the_training(tmp_path: Path) -> None:
    """Twelve people can be split and trained on, but no rate can be told from two of them."""
    for person in range(12):
        for number in range(3):
            write_png(tmp_path / "ours" / f"p{person}" / f"{number}.png", draw_person(person, number))
    messages: list[str] = []
    chain = Chain(
        out=tmp_path / "out",
        sources=(tmp_path / "ours",),
        about_data="drawn",
        recipe=load_recipe(shipped_recipe()),
        options=Options(validation_share=0.4),
    )
    with pytest.raises(InputError, match="each half of a calibration needs 8"):
        run_all(chain, say=messages.append, quiet=True)
    assert "fit" not in messages


def test_rates_that_cannot_be_told_are_refused_before_the_training_unless_accepted(tmp_path: Path) -> None:
    data = write_crop_set(tmp_path / "set", people=120)
    recipe = load_recipe(shipped_recipe())
    recipe = recipe.model_copy(update={"calibration": recipe.calibration.model_copy(update={"enrolled": 2})})
    chain = Chain(out=tmp_path / "out", sources=(data,), about_data="drawn", recipe=recipe)
    with pytest.raises(TrainingError, match="cannot be told from") as caught:
        _refuse_unmeasurable(chain, recipe, data)
    assert "--accept-unmet" in caught.value.hint
    _refuse_unmeasurable(dataclasses.replace(chain, accept_unmet=True), recipe, data)


@pytest.mark.parametrize("same", [True, False])
def test_a_finished_model_is_calibrated_anew_for_other_targets_only(
    tmp_path: Path, tiny_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    recipe, calibrated = tiny_recipe(), []
    targets = recipe.calibration.model_copy(update={"enrolled": recipe.calibration.enrolled + (not same)})
    (tmp_path / "models").mkdir()
    for file in (model := tiny_model(extra={"calibration": {"asked": targets.model_dump(mode="json")}}),
                 model.with_suffix(".json")):  # fmt: skip
        file.rename(tmp_path / "models" / file.name)
    monkeypatch.setattr(
        "facelatch_training.chain._calibrate", lambda *arguments: calibrated.append(arguments[1])
    )
    target = _exported_model(Chain(tmp_path), recipe, tmp_path, lambda _: None)
    assert calibrated == ([] if same else [target])


def test_a_toy_by_the_shipped_recipe_needs_no_teacher(tmp_path: Path) -> None:
    messages: list[str] = []
    recipe = _recipe(Chain(tmp_path, recipe=load_recipe(shipped_recipe())), messages.append)
    assert recipe.metric.distill_weight == 0
    assert recipe.name == TOY_NAME
    assert "no --teacher given" in messages[0]


def test_another_sentence_about_the_data_needs_another_folder(tmp_path: Path) -> None:
    begun(tmp_path / "out", tmp_path / "ours", [])
    with pytest.raises(InputError, match=r"chain\.json: about_data is nobody, this time it is somebody"):
        run_all(
            Chain(
                out=tmp_path / "out",
                sources=(tmp_path / "ours",),
                about_data="somebody",
                recipe=load_recipe(shipped_recipe()),
            ),
            say=print,
        )


def test_what_prepare_is_told_goes_through_the_chain(tmp_path: Path) -> None:
    write_png(tmp_path / "ours" / "ann" / "1.png", draw_person(1, 1))
    (tmp_path / "ours" / "ann" / "2.png").write_text("no picture")
    recipe = load_recipe(shipped_recipe())
    for skip, complaint in ((False, "unreadable"), (True, "one usable picture: ann")):
        options = Options(skip_unreadable=skip)
        chain = Chain(
            out=tmp_path / f"{skip}",
            sources=(tmp_path / "ours",),
            about_data="nobody",
            recipe=recipe,
            options=options,
        )
        with pytest.raises(InputError, match=complaint):
            run_all(chain, say=lambda _: None, quiet=True)


def test_a_toy_chain_does_not_take_over_a_folder_of_people(tmp_path: Path) -> None:
    begun(tmp_path / "out", tmp_path / "ours", [])
    with pytest.raises(InputError, match="this time it is nothing"):
        run_all(Chain(tmp_path / "out"), say=lambda _: None, quiet=True)


def test_without_a_teacher_it_says_that_names_alone_must_do(tmp_path: Path) -> None:
    messages: list[str] = []
    begun(tmp_path / "out", tmp_path / "ours", messages)
    assert "no --teacher given" in messages[0]
