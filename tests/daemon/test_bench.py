"""What `facelatch bench` says of the processor, and of a peer timed in turns with us."""

from __future__ import annotations

from pathlib import Path

import pytest

from facelatch.diagnosis import peer
from facelatch.diagnosis.bench import Call
from facelatch.diagnosis.processor import Processor, processor


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
            Processor("Raspberry Pi 4 Model B Rev 1.4", ()),
        ),
        (
            "Features\t: fp asimd asimdhp asimddp\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
            Processor("Raspberry Pi 5 Model B Rev 1.0", ("asimddp",)),
        ),
        (
            "model\t\t: 17\nmodel name\t: One processor\nflags\t\t: sse avx2 avx512_vnni\n\n"
            "model name\t: Another\nflags\t\t: avx_vnni\n",
            Processor("One processor", ("avx512_vnni",)),
        ),
    ],
)
def test_the_processor_is_named_with_its_dot_products(said: str, found: Processor, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(said)
    assert processor(tmp_path / "cpuinfo") == found


def test_a_kernel_that_says_nothing_of_its_processor_leaves_the_architecture(tmp_path: Path) -> None:
    found = processor(tmp_path / "none")
    assert found.name
    assert found.dot_products == ()


def test_a_ratio_in_turns_is_the_same_however_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second call takes thrice as long, and the machine gets slower all the time."""
    spent, calls = [0.0], [0]

    def costs(seconds: float) -> Call:
        def call() -> None:
            calls[0] += 1
            slowed = 1 + calls[0] / 1000
            spent[0] += seconds * slowed * (3 if calls[0] % 2 else 1)

        return call

    monkeypatch.setattr("time.process_time", lambda: spent[0])
    (ratio,) = peer.ratios({"embed": costs(0.001), "align": costs(0.5)}, {"embed": costs(0.004)}, 20)
    assert ratio.stage == "embed"
    assert ratio.lower_quartile <= ratio.median <= ratio.upper_quartile
    assert ratio.median == pytest.approx(0.25, rel=0.01)
