"""Options that several commands share, and what is made of their values.

Options that belong together reach a command as one value: `@finder_options` adds `--finder` and its like, and the
command gets a `FinderChoice` in its argument `finder`. In `--help` they stand where the decorator stands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from facelatch_training.data.cropping import Finder
    from facelatch_training.data.prepare import Options
    from facelatch_training.recipe import Recipe, Targets

FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
ANY = click.Path(path_type=Path)

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def grouped(argument: str, make: Callable[..., object], options: Sequence[Decorator]) -> Decorator:
    """Adds `options` to a command that takes, in `argument`, what `make` makes of their values (by keyword)."""
    names = [parameter.name for parameter in _parameters(options)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**values: Any) -> Any:
            own = {name: values.pop(name) for name in names}
            return command(**values, **{argument: make(**own)})

        for option in reversed(options):  # as decorators: the last one is nearest to the function
            option(run)
        return run

    return decorate


def _parameters(options: Sequence[Decorator]) -> list[click.Parameter]:
    @click.command()
    def empty() -> None: ...

    for option in options:
        option(empty)
    return empty.params


@dataclass(frozen=True)
class FinderChoice:
    """Which face finder looks at raw pictures."""

    kind: str
    finder_model: Path | None
    finder_score: float | None
    aligned: bool = False
    """Whether no finder is needed, as the pictures are crops already."""

    def score(self, default: float) -> float:
        """The least score of a find, `default` where none is asked for."""
        return default if self.finder_score is None else self.finder_score

    def open(self, default_score: float) -> Finder:
        """The finder. Raises ModelError or InputError."""
        from facelatch_training.data.cropping import open_finder

        return open_finder(self.kind, self.finder_model, self.score(default_score))

    def open_for(self, sources: Sequence[Path], default_score: float) -> Finder | None:
        """The finder that folders of pictures need; None where all `sources` are crops already, or crop sets."""
        raw = not self.aligned and any(not (source / "faces.csv").is_file() for source in sources)
        return self.open(default_score) if raw else None


_FINDER = (
    click.option(
        "--finder",
        "kind",
        type=click.Choice(["network", "yunet", "cascade"]),
        default="network",
        show_default=True,
        help="Who finds the face in raw pictures.",
    ),
    click.option("--finder-model", type=FILE, help="Model file of the finder (needed for yunet)."),
    click.option(
        "--finder-score",
        type=click.FloatRange(0, 1),
        help="Least score of a find.  [default: 0.1 for evaluate, 0.5 for prepare and all, 0.6 for collect]",
    ),
)
_ALIGNED = click.option("--aligned", is_flag=True, help="The pictures are aligned 112x112 crops already.")

finder_options = grouped("finder", FinderChoice, (*_FINDER, _ALIGNED))
"""Gives the command a FinderChoice as `finder`."""
camera_finder_options = grouped("finder", FinderChoice, _FINDER)
"""The same for a camera, whose pictures are never crops."""


def _prepare_options(
    validation: float, seed: int, families: Path | None, keep_singles: bool, skip_unreadable: bool
) -> Options:
    from facelatch_training.data.prepare import Options

    return Options(
        validation_share=validation,
        seed=seed,
        keep_singles=keep_singles,
        skip_unreadable=skip_unreadable,
        families=families,
    )


prepare_options = grouped(
    "options",
    _prepare_options,
    (
        click.option(
            "--validation",
            type=click.FloatRange(0, 1),
            default=0.1,
            show_default=True,
            help="Share of families.",
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="Of the split."),
        click.option("--families", type=FILE, help="A csv with the columns identity and family."),
        click.option("--keep-singles", is_flag=True, help="Keep people with one picture, as strangers."),
        click.option(
            "--skip-unreadable", is_flag=True, help="Leave damaged pictures out instead of stopping."
        ),
    ),
)
"""Gives the command the `Options` of `data.prepare` as `options`."""


@dataclass(frozen=True)
class TargetChoice:
    """Which of the recipe's targets are replaced; None or empty leaves one as it is."""

    fmr: float | None
    far_per_attempt: float | None
    frr_varied: float | None
    frr_still: float | None
    worst_slice: float | None
    seconds_to_grant: float | None
    enrolled: int | None
    references: tuple[int, ...]
    frames: tuple[int, ...]
    accept_unmet: bool
    """Whether thresholds are written although the targets are missed."""

    @property
    def changes(self) -> dict[str, object]:
        """The targets that were asked for, by their name in the recipe."""
        values = {name: value for name, value in vars(self).items() if name != "accept_unmet"}
        return {name: value for name, value in values.items() if value not in (None, ())}

    def targets(self, recipe: Recipe) -> Targets:
        """The recipe's targets with those that were asked for."""
        return type(recipe.calibration).model_validate({**recipe.calibration.model_dump(), **self.changes})


_RATE = click.FloatRange(0, 1, min_open=True, max_open=True)

target_options = grouped(
    "target_choice",
    TargetChoice,
    (
        click.option("--target-fmr", "fmr", type=_RATE, help="False matches of one comparison."),
        click.option(
            "--target-far", "far_per_attempt", type=_RATE, help="False grants of a stranger's visit."
        ),
        click.option(
            "--target-frr-varied", "frr_varied", type=_RATE, help="False refusals of a visitor who moves."
        ),
        click.option(
            "--target-frr-still", "frr_still", type=_RATE, help="False refusals of a visitor who holds still."
        ),
        click.option(
            "--target-worst-slice",
            "worst_slice",
            type=click.FloatRange(1),
            help="FMR of covered faces, in multiples of --target-fmr.",
        ),
        click.option(
            "--target-seconds",
            "seconds_to_grant",
            type=click.FloatRange(0, min_open=True),
            help="Median time to a grant.",
        ),
        click.option("--enrolled", type=click.IntRange(1), help="People in the gallery."),
        click.option(
            "--references",
            type=click.IntRange(1, 64),
            multiple=True,
            help="Repeat to let it choose a number.",
        ),
        click.option(
            "--frames", type=click.IntRange(1, 20), multiple=True, help="Repeat to let it choose a number."
        ),
        click.option(
            "--accept-unmet",
            is_flag=True,
            help="Write the safest thresholds although the targets are missed.",
        ),
    ),
)
"""Gives the command a TargetChoice as `target_choice`."""
