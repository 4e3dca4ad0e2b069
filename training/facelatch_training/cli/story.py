"""The commands that tell the story: report, and all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.errors import InputError
from facelatch_training.cli.options import (
    ANY,
    EXISTING_FILE,
    FILE,
    FOLDER,
    FinderChoice,
    TargetChoice,
    finder_options,
    prepare_options,
    target_options,
)
from facelatch_training.cli.output import say

if TYPE_CHECKING:
    from facelatch_training.data.prepare import Options
    from facelatch_training.recipe import Recipe


@click.command()
@click.argument("model", type=FILE)
@click.option("--data", type=FOLDER, required=True, help="Prepared crops; the validation split is used.")
@click.option("--run", type=FOLDER, help="Run folder with the recipe and the learning curves.")
@click.option("--peer", type=FOLDER, help="Folder of the reference network, measured on the same crops.")
@click.option("--html", "page", type=ANY, default="runs/report.html", show_default=True)
@click.option("--card", type=ANY, help="[default: README.md beside MODEL]")
@click.option("--overwrite", is_flag=True, help="Replace a card that is there.")
def report(
    model: Path,
    data: Path,
    run: Path | None,
    peer: Path | None,
    page: Path,
    card: Path | None,
    overwrite: bool,
) -> None:
    """Measure MODEL whole and by slice; write one HTML page and the model card."""
    card = card or model.with_name("README.md")
    if card.exists() and not overwrite:  # before minutes of measuring
        raise InputError(f"{card}: exists already", hint="name another file with --card, or --overwrite")
    from facelatch_training.report.card import write_card
    from facelatch_training.report.gather import gather_findings
    from facelatch_training.report.html import write_html

    findings = gather_findings(model, data, run=run, peer=peer)
    write_html(findings, page)
    card = write_card(findings, card)
    say(f"wrote {page} and {card}")


@click.command("all")
@click.argument("sources", nargs=-1, type=FOLDER)
@click.option("--out", type=ANY, default="runs/all", show_default=True, help="Everything is made here.")
@click.option(
    "--recipe", "recipe_file", type=FILE, help="[default: config/training.toml; a tiny one without SOURCES]"
)
@click.option("--teacher", type=FOLDER, help="Folder of the reference network, for distillation.")
@click.option(
    "--init",
    "initial",
    type=EXISTING_FILE,
    help="Fine-tune this siamese.keras instead of training anew.",
)
@click.option("--about-data", help="One sentence for the manifest: the data and its terms (with SOURCES).")
@prepare_options
@finder_options
@target_options
def all_(
    sources: tuple[Path, ...],
    out: Path,
    recipe_file: Path | None,
    teacher: Path | None,
    initial: Path | None,
    about_data: str | None,
    options: Options,
    finder: FinderChoice,
    target_choice: TargetChoice,
) -> None:
    """Do everything: prepare, fit, export, calibrate, evaluate, report.

    Without SOURCES people are drawn and a tiny model is trained in a minute or two: it shows the chain, and
    it opens no door.
    """
    from facelatch_training.chain import TOY, Chain, run_all
    from facelatch_training.data.cropping import PREPARE_SCORE

    if sources and about_data is None:
        raise InputError(
            "what are these pictures?", hint="--about-data 'one sentence: the data and its terms'"
        )
    opened = finder.open_for(sources, PREPARE_SCORE)
    named = f"{finder.kind} {finder.finder_model or ''} {finder.score(PREPARE_SCORE)}"
    chain = Chain(
        out=out,
        sources=sources,
        about_data=about_data if sources and about_data else TOY,
        recipe=_recipe(sources, recipe_file, target_choice),
        teacher=teacher,
        initial=initial,
        finder=opened,
        finder_named="none" if opened is None else named,
        options=options,
        accept_unmet=target_choice.accept_unmet,
    )
    findings = run_all(chain, say=say)
    say(
        f"made {out / 'models' / findings.model}, {out / 'report.html'} and the model card beside the model"
    )
    if not findings.manifest.opens_doors:
        say("This model opens no door: it was trained on drawn people.")


def _recipe(
    sources: tuple[Path, ...], recipe_file: Path | None, target_choice: TargetChoice
) -> Recipe | None:
    """The recipe with the targets asked for; None for drawn people without a recipe, who have a tiny one."""
    from facelatch_training.recipe import load_recipe, shipped_recipe

    if not sources and target_choice.changes:
        raise click.UsageError("targets go with SOURCES; drawn people have targets of their own")
    if not sources and recipe_file is None:
        return None
    recipe = load_recipe(recipe_file or shipped_recipe())
    if sources:
        recipe = recipe.model_copy(update={"calibration": target_choice.targets(recipe)})
    return recipe
