"""The verbs that make benchmarks and measure methods on them."""

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
    NoCache,
    Offline,
    Overwrite,
    Precision,
    Tiles,
    WeightsFile,
    new_app,
    print_json,
    verb,
)
from ovss_personal.errors import OutputError, UsageError

if TYPE_CHECKING:
    from ovss_personal.benchmarks.manifest import Manifest
    from ovss_personal.config import FitConfig


def register(app: typer.Typer) -> None:
    build = new_app("Make a benchmark: its pictures, and a manifest of what they show.")
    verb(build, "stamps", example="ovss-personal benchmark build stamps --out stamps")(build_stamps)
    group = new_app("What methods are measured on.")
    group.add_typer(build, name="build")
    app.add_typer(group, name="benchmark")
    verb(app, "evaluate", example='ovss-personal evaluate stamps/manifest.json --shots "1,5"')(evaluate)


def build_stamps(
    *,
    out: Annotated[Path, typer.Option(help="The folder for pictures and manifest.json.")],
    birds: Annotated[int, typer.Option(min=1, help="How many concepts.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same bytes.")] = 0,
    stamps: Annotated[
        Path | None, typer.Option(help="Where the Debian packages are unpacked; fetched if left out.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make "my bird" among other birds, from photographic cut-outs on photographs."""
    from ovss_personal.benchmarks.stamps import build
    from ovss_personal.composites.sources import Sources, fetch
    from ovss_personal.io.files import locked

    manifest = out / "manifest.json"
    if manifest.exists() and not overwrite:
        raise OutputError("the benchmark exists.", path=manifest, hint="Pass --overwrite or choose another --out.")
    sources = fetch() if stamps is None else Sources(stamps)
    with locked(out):
        build(out, sources, birds, seed)
    if as_json:
        print_json({"manifest": str(manifest)})
    else:
        print(f"next: ovss-personal evaluate {manifest}")


def evaluate(
    *,
    manifest: Annotated[Path, typer.Argument(help="The manifest.json of a benchmark.")],
    base: Base = DEFAULT_BASE,
    device: Device = None,
    tiles: Tiles = None,
    weights: WeightsFile = None,
    dtype: Precision = None,
    offline: Offline = False,
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
    segmenter = api.load_base(base, device=device, tiles=tiles, weights=weights, dtype=dtype, offline=offline or None)
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
