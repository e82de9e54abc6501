"""The verb that measures methods on a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ovss_personal.cli.printing import at_once, note, print_json, progress_bar, say_lines
from ovss_personal.cli.shell import UNNAMED_BASE, BaseOptions, DebugFlag, JsonFlag, NoCache, verb
from ovss_personal.errors import UsageError, counted

if TYPE_CHECKING:
    from ovss_personal.benchmarks.manifest import Manifest
    from ovss_personal.evaluation.experiment import Experiment


def register(app: typer.Typer) -> None:
    verb(app, "evaluate", example="ovss-personal evaluate configs/experiments/table2_stamps.yaml --out out/stamps")(
        evaluate
    )
    verb(app, "report", example="ovss-personal report out/table1_fss_san out/table1_cub_san")(report_of_runs)


def evaluate(
    *,
    what: Annotated[Path, typer.Argument(help="An experiment's YAML, or the manifest.json of a benchmark.")],
    base: BaseOptions = UNNAMED_BASE,
    shots: Annotated[str | None, typer.Option(help='From how many photos to learn, by comma; else "1,3,5".')] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(help="A method, e.g. prompt; may be repeated. Without: all but seggpt, +album."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Keep results and the report here; the same command goes on from them if it is cut off."),
    ] = None,
    sheets: Annotated[
        int,
        typer.Option(min=0, max=10_000, help="Draw what was found on a photo of each of so many concepts, in --out."),
    ] = 0,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Also measure the base alone: its best proposals and its background.")
    ] = False,
    by_concept: Annotated[bool, typer.Option("--by-concept", help="Also print a table with a row a concept.")] = False,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: on the cluster that RAY_ADDRESS names, or one started here.")
    ] = "local",
    workers: Annotated[
        int, typer.Option(min=1, max=1024, help="Processes, each with a base of its own and one thread.")
    ] = 1,
    cache_limit: Annotated[
        float, typer.Option(min=0, max=1e6, help="GB that what the base saw may take on the disk.")
    ] = 16.0,
    no_cache: NoCache = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Measure methods on a benchmark: tables in percent, the paper's numbers beside ours.

    Of a benchmark of instances, the base alone: its best proposals, and whether it names true masks rightly."""
    import tempfile
    from dataclasses import asdict

    from ovss_personal.benchmarks.instances import is_instances
    from ovss_personal.benchmarks.manifest import read_manifest
    from ovss_personal.evaluation.experiment import overridden
    from ovss_personal.store.cache import ProposalCache

    if not cache_limit >= 0:
        raise UsageError("--cache-limit must be a number of GB, not nan.")
    if sheets and not out:
        raise UsageError("--sheets needs --out, the folder to draw in.")
    experiment = overridden(
        _experiment(what),
        base=base.name,
        options=base.given,
        methods=tuple(methods) if methods else None,
        shots=_numbers(shots) if shots else None,
        by_concept=by_concept or None,
        trust_base=base.trusted or None,
    )
    if is_instances(experiment.manifest):
        if shots or methods or experiment.methods or sheets or experiment.by_concept or engine == "ray" or workers > 1:
            raise UsageError(
                "a benchmark of instances has no concepts, so there is nothing to learn from shots by methods.",
                path=experiment.manifest,
                hint="Give only the benchmark, options of the base, --out, --no-cache and --json.",
            )
        return _evaluate_instances(experiment, out, None if no_cache else int(cache_limit * 1e9), as_json)
    benchmark = read_manifest(experiment.manifest)
    _check_shots(experiment, benchmark)
    at_once(f"evaluating {counted(len(benchmark.concepts), 'concept')} of {benchmark.name} …")
    from ovss_personal.bases import load_base
    from ovss_personal.evaluation import cells, engines, report, runner  # these import torch, which takes a second
    from ovss_personal.evaluation.examiner import Examiner, Job
    from ovss_personal.evaluation.proposals import base_quality

    segmenter = load_base(**experiment.base_options())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if no_cache else ProposalCache().folder
        job = Job(
            base=experiment.base_options(),
            manifest=Path(experiment.manifest),
            methods=experiment.chosen(segmenter.fit_defaults, segmenter.paper_defaults),
            shots=experiment.shots,
            seeds=experiment.seeds,
            cache=(folder, int(cache_limit * 1e9)),
        )
        examiner = Examiner(segmenter, benchmark, job.methods, job.shots, job.seeds, job.opened_cache())

        def announce(images: int, size: int) -> None:
            note(f"{counted(images, 'image')}; what the base sees in them takes about {size / 1e6:,.1f} MB in {folder}")

        with engines.engine(engine, examiner, job, workers) as chosen, progress_bar() as progress:
            results = runner.evaluate(examiner, out, chosen, progress, announce)
        quality = base_quality(segmenter, benchmark, examiner.cache) if proposals else None
        run = cells.Run(benchmark.name, segmenter.name, results, experiment.table, experiment.by_concept)
        if out:
            report.write(run, out, quality)
        if out and sheets:
            from ovss_personal.evaluation.sheets import write_sheets

            write_sheets(examiner, out, sheets)
    if as_json:
        print_json(
            {
                "benchmark": benchmark.name,
                "base": {"name": segmenter.name, "fingerprint": segmenter.fingerprint},
                "proposals": quality and asdict(quality),
                "results": [result.to_json() for result in results],
                "summary": report.summary(run),
            }
        )
    else:
        say_lines(report.markdown(run, quality))


def _evaluate_instances(experiment: Experiment, out: Path | None, cache_bytes: int | None, as_json: bool) -> None:
    """Of a base: `cache_bytes` is what may be kept of what it sees, None is nothing."""
    from ovss_personal.benchmarks.instances import read_instances

    benchmark = read_instances(experiment.manifest)
    at_once(f"measuring {counted(len(benchmark.photos), 'photo')} of {benchmark.name} …")
    from ovss_personal.bases import load_base
    from ovss_personal.evaluation import engines, instances  # these import torch, which takes a second
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.files import atomic_write

    base = load_base(**experiment.base_options())
    cache = None if cache_bytes is None else ProposalCache(max_bytes=cache_bytes)
    with engines.one_thread(), progress_bar() as progress:
        measured = instances.measure(base, benchmark, cache, progress)
    table = instances.markdown(benchmark, base.name, measured)
    if out:
        atomic_write(out / "report.md", table.encode())
    if as_json:
        identity = {"name": base.name, "fingerprint": base.fingerprint}
        print_json({"base": identity, **instances.facts(benchmark, measured)})
    else:
        say_lines(table)


def report_of_runs(
    *,
    folders: Annotated[list[Path], typer.Argument(help="What --out of evaluate named; any number.")],
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Print the paper's tables 1, 2, 4, 6 and 7 with the numbers of finished evaluations beside the paper's."""
    from ovss_personal.evaluation import report

    runs = [report.read_run(folder) for folder in folders]
    if as_json:
        print_json({"runs": [{"benchmark": r.benchmark, "base": r.base, "summary": report.summary(r)} for r in runs]})
    else:
        say_lines(report.paper_tables(runs))


def _experiment(what: Path) -> Experiment:
    from ovss_personal.evaluation.experiment import Experiment, read_experiment

    return read_experiment(what) if what.suffix in (".yaml", ".yml") else Experiment(manifest=str(what))


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(
            f"--shots '{text}' is no list of whole numbers.", hint='Separate them by commas, as in --shots "1,3,5".'
        )
    return tuple(dict.fromkeys(map(int, parts)))


def _check_shots(experiment: Experiment, benchmark: Manifest) -> None:
    most = min((len(concept.shots) for concept in benchmark.concepts), default=0)
    if max(experiment.shots) > most:
        raise UsageError(
            f"{max(experiment.shots)} shots are more than the {most} that the benchmark has of every concept.",
            hint=f'Choose fewer, as in --shots "{most}".',
        )
