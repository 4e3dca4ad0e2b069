"""`facelatch verify`, `check` and `bench`: why would it open, is all well, how fast is it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from facelatch.cli.settings import Settings, as_json, person_name


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--person", type=person_name, help="Compare with this person only (1:1).")
@as_json
@click.pass_obj
def verify(settings: Settings, image: Path, person: str | None) -> None:
    """Explain what the door would say to a picture.

    Shows the face found, its quality, how many references of whom it resembles, both thresholds and the
    verdict; to root and whoever may export also every similarity. Exit code 0 when it matches, 1 when it does not.
    """
    from facelatch.app import build
    from facelatch.cli.asking import judging
    from facelatch.decoder.reader import read_image
    from facelatch.diagnosis import explain
    from facelatch.line import stills

    config = settings.config()
    picture = read_image(image)
    line = build.build_line(config)
    observation = stills.observe_image(line, picture, stills.NOBODY)
    record = explain.explained(line, observation, judging(config, line, person))
    settings.show(record, _as_text(record))
    sys.exit(0 if record["matched"] else 1)


def _as_text(record: dict[str, Any]) -> str:
    lines = []
    if "face" in record:
        face = record["face"]
        lines.append(
            f"face         {face['width']:.0f}x{face['height']:.0f} px at ({face['x']:.0f}, {face['y']:.0f}), "
            f"score {face['score']:.2f}"
        )
    if "pose" in record:
        lines.append(
            "pose         " + ", ".join(f"{key} {value:+.2f}" for key, value in record["pose"].items())
        )
    for one in record.get("people", []):
        marks = "  ".join(
            f"{value:.3f}{'*' if value >= record['detection_threshold'] else ' '}"
            for value in one.get("similarities", [])
        )
        counts = f"{one['detections']} of {one['references']} images"
        lines.append(f"{one['name']:<12} {marks or counts}")
    lines.append(f"detection    threshold {record['detection_threshold']:.4g} (* = a detection)")
    lines.append(f"verification threshold {record['verification_threshold']:.4g} of a person's references")
    verdict = (
        f"MATCH {record['person']} ({record['share']:.0%})"
        if record["matched"]
        else f"NO: {record['reason']}"
    )
    lines.append(f"verdict      {verdict}: {record['hint']}")
    if "liveness" in record:
        lines.append(f"liveness     {record['liveness']}")
    return "\n".join(lines)


@click.command()
@click.option("--no-hardware", is_flag=True, help="Leave out camera and pins, which a running daemon holds.")
@as_json
@click.pass_obj
def check(settings: Settings, no_hardware: bool) -> None:
    """Try everything the door needs; each is ok or gets a hint.

    Model, finder, camera, pins, gallery, storage, permissions, clock, journal, who could change configuration or
    model, the health of the machine, and the wiring. Exit code 1 when one is at fault; a warning is none.
    """
    from facelatch.diagnosis import check as checks

    config = settings.config()
    settings.show(
        {"item": "config", "ok": True, "detail": settings.origin()}, f"ok    config       {settings.origin()}"
    )
    failed = False
    for finding in checks.check(config, with_hardware=not no_hardware, file=settings.file()):
        failed |= not finding.ok
        mark = "FAULT" if not finding.ok else "WARN " if finding.warning else "ok   "
        further = "\n" + " " * len(f"{mark} {'':<12} ")  # of a drawing
        text = f"{mark} {finding.item:<12} {finding.detail.replace(chr(10), further)}"
        settings.show(asdict(finding), text + (f"\n      hint: {finding.hint}" if finding.hint else ""))
    sys.exit(1 if failed else 0)


@click.command()
@click.option(
    "--peer",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with yunet*.onnx and mobilefacenet.param/.bin to compare with (needs ncnn).",
)
@click.option("--repeats", type=click.IntRange(5, 10_000), default=100, show_default=True)
@click.option(
    "--people",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="How many are enrolled while the longest turn is measured. Thousands take minutes.",
)
@as_json
@click.pass_obj
def bench(settings: Settings, peer: Path | None, repeats: int, people: int) -> None:
    """Print what a frame costs on this machine, stage by stage.

    Median and 95th percentile of finding, aligning, embedding and comparing; frames per second, CPU while
    nobody is there, memory, start-up time; and the longest turn of the loop, which while the door is unlocked
    must stay well below the half a second after which the lock's keeper relocks.
    """
    from facelatch.app import build
    from facelatch.diagnosis import bench as benchmark
    from facelatch.diagnosis import peer as peers
    from facelatch.diagnosis import turns
    from facelatch.diagnosis.processor import processor

    if peer is not None:
        peers.require(peer)  # before minutes of measuring
    config = settings.config()
    ready = benchmark.ready_seconds(config)
    line = build.build_line(config)
    stages = benchmark.stages(config, line)
    rows = [benchmark.row(stage, benchmark.timings(call, repeats)) for stage, call in stages.items()]
    ratios = peers.ratios(stages, peers.stages(config, peer), repeats) if peer is not None else []
    report: dict[str, Any] = {
        "processor": asdict(processor()),
        "stages": [asdict(row) for row in rows],
        "peer": [asdict(ratio) for ratio in ratios],
        "frames_per_second": 1e3 / rows[-1].median_ms,
        "idle_cpu_share": benchmark.idle_cpu_share(config, line),
        "resident_mb": benchmark.resident_mb(),
        "ready_seconds": ready,
        "import_seconds": benchmark.import_seconds(),
        "turns": asdict(turns.measured(config, line, people)),
    }
    settings.show(report, _bench_text(report))


def _bench_text(report: dict[str, Any]) -> str:
    processor = report["processor"]
    products = ", ".join(processor["dot_products"]) or "none"
    lines = [f"{processor['name']}; 8-bit dot products: {products}", f"{'stage':<28} {'median':>9} {'p95':>9}"]
    lines += [
        f"{row['stage']:<28} {row['median_ms']:7.2f}ms {row['p95_ms']:7.2f}ms" for row in report["stages"]
    ]
    if report["peer"]:
        heads = f"{'ours':>9} {'peer':>9}   ours/peer (middle half)"
        lines += ["", f"{'in turns, processor time':<28} {heads}"]
    lines += [
        f"{one['stage']:<28} {one['ours_ms']:7.2f}ms {one['peer_ms']:7.2f}ms   {one['median']:.2f} "
        f"({one['lower_quartile']:.2f} to {one['upper_quartile']:.2f})"
        for one in report["peer"]
    ]
    ready = report["ready_seconds"]
    lines += [
        "",
        f"frames per second            {report['frames_per_second']:.0f}",
        f"CPU while nobody is there    {report['idle_cpu_share']:.1%} of one core",
        f"resident memory              {report['resident_mb']:.0f} MB",
        f"start to READY               {'never' if ready is None else f'{ready:.2f} s'}",
        f"import of facelatch.cli      {report['import_seconds']:.3f} s",
        f"longest turn, {report['turns']['people']} people   {report['turns']['longest_ms']:.0f} ms; "
        f"one that changes the gallery {report['turns']['changing_ms']:.0f} ms",
    ]
    return "\n".join(lines)
