"""The verb that labels photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ovss_personal.cli.chosen import load_concepts, vocabulary_of
from ovss_personal.cli.failures import as_ovss_error
from ovss_personal.cli.printing import at_once, note, print_error, print_json, progress_bar, say
from ovss_personal.cli.shell import DEFAULT_BASE, BaseOptions, DebugFlag, JsonFlag, NoCache, Overwrite, verb
from ovss_personal.errors import InputError, OutputError, UsageError, counted

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base as BaseSegmenter
    from ovss_personal.engine.find import Finder
    from ovss_personal.painting.segmentation import Segmentation
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.concept import Concept
    from ovss_personal.store.record import RunRecord

_NAME_BYTES = 240  # of a picture's name: file systems allow 255, of which a dot, .png and a number take some


def register(app: typer.Typer) -> None:
    verb(
        app,
        "segment",
        example='ovss-personal segment garden.jpg --concept concepts/my_bird --words "bird, tree" --out out',
    )(segment)


def segment(
    *,
    photos: Annotated[list[Path], typer.Argument(help="Photos, folders of photos, or patterns such as 'trip/*.jpg'.")],
    out: Annotated[Path, typer.Option(help="The folder for the pictures and result.json.")],
    words: Annotated[
        str | None,
        typer.Option(
            help="""Words by comma, "coco-stuff", or a text file with a word a line; if left out, the class of each
            concept."""
        ),
    ] = None,
    concept: Annotated[
        list[str] | None, typer.Option(help="The folder of a concept, or hf://USER/NAME; may be repeated.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--as", help="Another name for the concept; once for each --concept.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Also write what was found as coco, labelme, yolo, cvat or png; by comma."),
    ] = None,
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --out; photos done stay.")] = False,
    base: BaseOptions = DEFAULT_BASE,
    no_cache: NoCache = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Label every pixel of photos with words and concepts.

    Each photo gets NAME.labels.png (an index into the words), NAME.CONCEPT.png (0 or 255) and
    NAME.overlay.png; all of them share one result.json, which is written last. A photo that cannot be done
    is reported, the others are done, and the exit code is 3. What is done is kept as it goes: the same command with
    --resume goes on where it stopped. A word that contains a concept, as in "hat on my dog", is composed of what was
    learned and the rest; result.json says how. Each --format gets a folder of its own in --out.
    """
    from ovss_personal.io.images import find_images
    from ovss_personal.io.vocabulary import check_concepts
    from ovss_personal.io.writers import chosen_formats, written
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.files import atomic_write, locked
    from ovss_personal.store.record import RESULT, RunRecord, check_folders, check_targets, photo_name

    if overwrite and resume:
        raise UsageError("--overwrite and --resume contradict each other.", hint="Pass one of them.")
    sources = find_images(photos)
    chosen = chosen_formats(formats or [], sources)
    _check_free(out, overwrite or resume)
    at_once(f"segmenting {counted(len(sources), 'photo')} …")
    from ovss_personal.engine.find import Finder  # imports torch, which takes a second

    concepts = load_concepts(concept or [], name or [], bool(base.given.get("offline")))
    vocabulary = vocabulary_of(words, concepts)
    check_concepts([item.name for item in concepts], vocabulary)
    segmenter = base.load()
    finder = Finder(segmenter, vocabulary, concepts)
    record = RunRecord(out, _run_of(segmenter, vocabulary, concepts))
    with locked(out), progress_bar() as progress:
        _check_free(out, overwrite or resume)  # another process may just have finished
        if resume:
            record.go_on(sources)
        done = {entry["photo"] for entry in record.done}
        targets = _plan(sources, [item.name for item in concepts], out, record.done)
        check_targets(out, (path for files in targets for path in files.all()), sources)
        check_folders(out, chosen)
        if overwrite:
            record.clear()
        work = _Work(segmenter, finder, None if no_cache else ProposalCache(), record, quiet=as_json)
        for number, (source, files) in enumerate(zip(sources, targets, strict=True)):
            progress(number, len(sources), "segmenting")
            if photo_name(source) not in done:
                work.do(source, files, only=len(sources) == 1)
        facts = {**_facts(segmenter, finder, concepts), "formats": chosen}
        result = record.finish(facts, [photo_name(source) for source in sources])
        for path, data in written(chosen, result["photos"], out).items():
            atomic_write(path, data, through_links=False)
    if as_json:
        print_json(result)
    else:
        before = f" ({len(done)} of them before)" if done else ""
        count = f"{len(sources) - len(record.failed)} of {counted(len(sources), 'photo')}"
        say(f"{count} done{before}, the facts in {out / RESULT}")
    if record.failed:
        note(f"not done: {', '.join(entry['photo'] for entry in record.failed)}; --resume tries them again")
        raise typer.Exit(InputError.exit_code)


@dataclass
class _Work:
    """Photo after photo, into one record."""

    segmenter: BaseSegmenter
    finder: Finder
    cache: ProposalCache | None
    record: RunRecord
    quiet: bool

    def do(self, source: Path, files: _Files, only: bool) -> None:
        """One photo; whatever is the matter with it is told, and raised if it is the `only` one.

        Raises:
            ResourceError: the disk is full, so that no other photo can be done either.
        """
        from ovss_personal.engine.see import see
        from ovss_personal.io.files import sha256_file
        from ovss_personal.store.record import photo_name

        try:
            sha256 = sha256_file(source)
            found = self.finder.find(see(self.segmenter, source, self.cache))
        except Exception as exception:
            return self._fail(source, exception, only)
        try:
            _write_pictures(found, files)
        except OutputError as error:
            return self._fail(source, error, only)
        self.record.add({"photo": photo_name(source), "sha256": sha256, **_describe(found, files)})
        if not self.quiet:
            say(_line(source, found, files.overlay))

    def _fail(self, source: Path, exception: Exception, only: bool) -> None:
        from ovss_personal.store.record import photo_name

        if only:
            raise exception
        error = as_ovss_error(exception)
        if error.path is None:
            error.path = str(source)
        self.record.failed.append({"photo": photo_name(source), **error.to_json()})
        print_error(error)


def _run_of(segmenter: BaseSegmenter, words: Sequence[str], concepts: Sequence[Concept]) -> str:
    """sha256 of all that photos of one result have in common."""
    import hashlib

    parts = [segmenter.fingerprint, list(words), [[item.name, item.fingerprint] for item in concepts]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _facts(segmenter: BaseSegmenter, finder: Finder, concepts: Sequence[Concept]) -> dict[str, Any]:
    """What result.json says of the whole run."""
    from ovss_personal.engine.find import way_of

    return {
        "versions": _versions(),
        "base": {"name": segmenter.name, "fingerprint": segmenter.fingerprint},
        "concepts": [item.name for item in concepts],
        "composed": [
            {
                "word": word,
                "plain": composition.plain,
                "concepts": [item.name for item in composition.concepts],
                "way": way_of(segmenter),
            }
            for word, composition in finder.compositions.items()
        ],
    }


def _check_free(out: Path, may_exist: bool) -> None:
    """Raises OutputError if there is something at `out` already that may not be."""
    from ovss_personal.store.record import photos_done

    if out.exists() and not out.is_dir():
        raise OutputError("the output exists and is no folder.", path=out, hint="Choose another --out.")
    if not may_exist and out.exists() and any(out.iterdir()):
        done = photos_done(out)
        raise OutputError(
            "the output exists.",
            path=out,
            hint=(f"{done} photos are done in it: pass --resume to go on, " if done else "Pass ")
            + "--overwrite or choose another --out.",
        )


class _Files(NamedTuple):
    """Where the pictures of one photo go; `concepts` in the order of the segmentation's."""

    labels: Path
    overlay: Path
    concepts: tuple[Path, ...]

    def all(self) -> list[Path]:
        return [self.labels, self.overlay, *self.concepts]


def _plan(sources: Sequence[Path], concepts: Sequence[str], out: Path, done: Sequence[dict[str, Any]]) -> list[_Files]:
    """The files of each photo; no two photos or concepts share one, whatever their names.

    Args:
        done: what a record says of photos that have theirs already.
    """
    from ovss_personal.store.files import file_stem, safe_name, unused_name

    suffixes = ["labels", "overlay"]
    for concept in concepts:
        suffixes.append(unused_name(safe_name(concept), suffixes))
    room = _NAME_BYTES - max(len(suffix.encode()) for suffix in suffixes)
    taken = [entry["overlay"].removesuffix(".overlay.png") for entry in done]
    stems: list[str] = []
    for source in sources:
        stems.append(unused_name(file_stem(source.stem, room), [*taken, *stems]))
    paths = [[out / f"{stem}.{suffix}.png" for suffix in suffixes] for stem in stems]
    return [_Files(labels, overlay, tuple(masks)) for labels, overlay, *masks in paths]


def _write_pictures(found: Segmentation, files: _Files) -> None:
    import io

    from PIL import Image

    from ovss_personal.painting.overlay import index_png
    from ovss_personal.store.files import atomic_write

    masks = [Image.fromarray(found.mask(concept)).convert("L") for concept in found.concepts]
    for path, picture in zip((files.overlay, *files.concepts), (found.overlay(), *masks), strict=True):
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        atomic_write(path, buffer.getvalue(), through_links=False)
    atomic_write(files.labels, index_png(found.labels), through_links=False)


def _describe(found: Segmentation, files: _Files) -> dict[str, Any]:
    """The size and files of a photo and, of each word: is it there, how surely, how much of it, its RLE."""
    shapes = {annotation["category"]: annotation["segmentation"] for annotation in found.to_coco()}
    height, width = found.labels.shape
    masks = dict(zip(found.concepts, files.concepts, strict=True))
    return {
        "size": {"height": height, "width": width},
        "labels": files.labels.name,
        "overlay": files.overlay.name,
        "words": [
            {
                "word": word,
                "mask": masks[word].name if word in masks else None,
                "present": found.present(word),
                "score": found.score(word),
                "area": found.area(word),
                "segmentation": shapes.get(word),
            }
            for word in found.words
        ],
    }


def _line(source: Path, found: Segmentation, overlay: Path) -> str:
    order = [*found.concepts, *(word for word in found.words if word not in found.concepts)]
    shares = [f"{word} {found.area(word):.1%}" for word in order if found.present(word)]
    absent = [f"no {concept}" for concept in found.concepts if not found.present(concept)]
    return f"{source}: {', '.join(absent + shares)} -> {overlay}"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("ovss-personal", "torch", "numpy")}
