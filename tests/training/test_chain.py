"""The chain refuses to go on with other people than it began with, and says what it leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from facelatch.errors import InputError
from facelatch_training.chain import Chain, run_all
from facelatch_training.made_faces import draw_person
from facelatch_training.prepare import Options
from facelatch_training.recipe import load_recipe, shipped_recipe
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
