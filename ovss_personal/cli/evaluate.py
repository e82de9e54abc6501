"""The verb that measures methods on a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovss_personal.cli.shell import (
    DEFAULT_BASE,
    Base,
    DebugFlag,
    Device,
    JsonFlag,
    LowMemory,
    NoCache,
    Offline,
    Precision,
    Tiles,
    WeightsFile,
    print_json,
    verb,
)
from ovss_personal.errors import UsageError

if TYPE_CHECKING:
    from ovss_personal.benchmarks.manifest import Manifest
    from ovss_personal.config import FitConfig


def register(app: typer.Typer) -> None:
    verb(app, "evaluate", example='ovss-personal evaluate stamps/manifest.json --shots "1,5"')(evaluate)


def evaluate(
    *,
    manifest: Annotated[Path, typer.Argument(help="The manifest.json of a benchmark.")],
    base: Base = DEFAULT_BASE,
    device: Device = None,
    tiles: Tiles = None,
    weights: WeightsFile = None,
    dtype: Precision = None,
    offline: Offline = False,
    low_memory: LowMemory = False,
    shots: Annotated[str, typer.Option(help="From how many photos to learn, by comma.")] = "1,3,5",
    methods: Annotated[
        list[str] | None, typer.Option(help='A method, e.g. "text only"; may be repeated. All if left out.')
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep results here; the same command goes on from them if it is cut off.")
    ] = None,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Also measure the base alone: its best proposals and its background.")
    ] = False,
    no_cache: NoCache = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Measure methods on a benchmark: a Markdown table, in percent."""
    from dataclasses import asdict

    from ovss_personal import api
    from ovss_personal.benchmarks.manifest import read_manifest
    from ovss_personal.cache import ProposalCache
    from ovss_personal.evaluation import report, runner
    from ovss_personal.evaluation.methods import methods as known_methods
    from ovss_personal.evaluation.proposals import base_quality

    benchmark = read_manifest(manifest)
    counts = _counts(shots, benchmark)
    segmenter = api.load_base(
        base,
        device=device,
        tiles=tiles,
        weights=weights,
        dtype=dtype,
        offline=offline or None,
        low_memory=low_memory or None,
    )
    chosen = _chosen(methods or [], known_methods(segmenter.fit_defaults))
    cache = None if no_cache else ProposalCache()
    results = runner.evaluate(segmenter, benchmark, chosen, counts, out, cache)
    quality = base_quality(segmenter, benchmark, cache) if proposals else None
    if as_json:
        print_json(
            {
                "benchmark": benchmark.name,
                "base": {"name": segmenter.name, "fingerprint": segmenter.fingerprint},
                "proposals": quality and asdict(quality),
                "results": [_known(asdict(result)) for result in results],
            }
        )
    else:
        print(report.table(results))
        if quality:
            print(f"\n{report.proposals_line(quality)}")


def _counts(text: str, benchmark: Manifest) -> list[int]:
    """The numbers in "1,3,5", each no more than every concept of the benchmark has shots."""
    most = min((len(concept.shots) for concept in benchmark.concepts), default=0)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= most for part in parts):
        raise UsageError(
            f"--shots '{text}' is no list of numbers from 1 to {most}, the shots that the benchmark has.",
            hint='Separate them by commas, as in --shots "1,3,5".',
        )
    return list(dict.fromkeys(map(int, parts)))


def _chosen(names: list[str], known: dict[str, FitConfig | None]) -> dict[str, FitConfig | None]:
    """The methods of these names, in this order; all if none is named."""
    for name in names:
        if name not in known:
            raise UsageError(f"there is no method '{name}'.", hint=f"The methods are: {'; '.join(known)}.")
    return {name: known[name] for name in names or known}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """A share of nothing is null: JSON has no NaN."""
    return {key: None if value != value else value for key, value in row.items()}
