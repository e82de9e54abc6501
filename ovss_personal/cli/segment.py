"""The verb that labels photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ovss_personal.cli.printing import at_once, print_error, print_json, progress_bar, say
from ovss_personal.cli.shell import (
    DEFAULT_BASE,
    BaseOptions,
    DebugFlag,
    JsonFlag,
    NoCache,
    Overwrite,
    verb,
)
from ovss_personal.errors import ImageError, OutputError, UsageError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base as BaseSegmenter
    from ovss_personal.engine.find import Finder
    from ovss_personal.painting.segmentation import Segmentation
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.concept import Concept


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
    concept: Annotated[list[Path] | None, typer.Option(help="The folder of a concept; may be repeated.")] = None,
    name: Annotated[
        list[str] | None, typer.Option("--as", help="Another name for the concept; once for each --concept.")
    ] = None,
    overwrite: Overwrite = False,
    base: BaseOptions = DEFAULT_BASE,
    no_cache: NoCache = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Label every pixel of photos with words and concepts.

    Each photo gets NAME.labels.png (an index into the words), NAME.CONCEPT.png (0 or 255) and
    NAME.overlay.png; all of them share one result.json, which is written last. A photo that cannot be read
    is reported, the others are done, and the exit code is 3. A word that contains a concept, as in "hat on my dog",
    is composed of what was learned and the rest; result.json says how.
    """
    from ovss_personal.io.images import find_images
    from ovss_personal.io.vocabulary import check_concepts
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.files import atomic_write, locked

    sources = find_images(photos)
    _check_free(out, overwrite)
    at_once(f"segmenting {len(sources)} {'photo' if len(sources) == 1 else 'photos'} …")
    from ovss_personal.engine.find import Finder  # imports torch, which takes a second

    concepts = _load_concepts(concept or [], name or [])
    vocabulary = _vocabulary(words, concepts)
    check_concepts([item.name for item in concepts], vocabulary)
    targets = _plan(sources, [item.name for item in concepts], out)
    segmenter = base.load()
    finder = Finder(segmenter, vocabulary, concepts)
    result_file = out / "result.json"
    with locked(out), progress_bar() as progress:
        _check_free(out, overwrite)  # another process may just have finished
        with suppress(OSError):  # it would no longer be true of the pictures beside it
            result_file.unlink()
        work = _Work(segmenter, finder, None if no_cache else ProposalCache(), quiet=as_json)
        for number, (source, files) in enumerate(zip(sources, targets, strict=True)):
            progress(number, len(sources), "segmenting")
            work.do(source, files, only=len(sources) == 1)
        result = {**_facts(segmenter, finder, concepts), "photos": work.done, "failed": work.failed}
        atomic_write(result_file, json.dumps(result, ensure_ascii=False, indent=1).encode())
    if as_json:
        print_json(result)
    else:
        say(f"{len(work.done)} of {len(sources)} photos done, the facts in {result_file}")
    if work.failed:
        raise typer.Exit(ImageError.exit_code)


@dataclass
class _Work:
    """Photo after photo; `done` and `failed` are what result.json says of them."""

    segmenter: BaseSegmenter
    finder: Finder
    cache: ProposalCache | None
    quiet: bool
    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def do(self, source: Path, files: _Files, only: bool) -> None:
        """One photo; if it cannot be read, that is told, and raised if it is the `only` one."""
        from ovss_personal.engine.see import see

        try:
            found = self.finder.find(see(self.segmenter, source, self.cache))
        except ImageError as error:
            if only:
                raise
            self.failed.append({"photo": str(source), **error.to_json()})
            print_error(error)
            return
        _write_pictures(found, files)
        self.done.append({"photo": str(source), **_describe(found, files)})
        if not self.quiet:
            say(_line(source, found, files.overlay))


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


def _load_concepts(folders: Sequence[Path], names: Sequence[str]) -> list[Concept]:
    """The concepts under the names that the user chose for them."""
    from ovss_personal.store.concept import Concept

    if names and len(names) != len(folders):
        raise UsageError(
            f"--as is given {len(names)} times and --concept {len(folders)} times.",
            hint="Give --as once for each --concept, in the same order, or not at all.",
        )
    concepts = [Concept.from_pretrained(folder) for folder in folders]
    return [replace(item, name=name) for item, name in zip(concepts, names, strict=True)] if names else concepts


def _vocabulary(words: str | None, concepts: Sequence[Concept]) -> tuple[str, ...]:
    """The words that the user chose, or else the class names of the concepts."""
    from ovss_personal.io.vocabulary import resolve_words

    if words is not None:
        vocabulary = resolve_words(words)
    else:
        names = {item.name for item in concepts}
        vocabulary = tuple(dict.fromkeys(item.class_name for item in concepts if item.class_name not in names))
    if not vocabulary and not concepts:
        raise UsageError("there is nothing to look for.", hint="Pass --words, --concept or both.")
    return vocabulary


def _check_free(out: Path, overwrite: bool) -> None:
    """Raises OutputError if there is something at `out` already."""
    if not overwrite and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError("the output exists.", path=out, hint="Pass --overwrite or choose another --out.")


class _Files(NamedTuple):
    """Where the pictures of one photo go; `concepts` in the order of the segmentation's."""

    labels: Path
    overlay: Path
    concepts: tuple[Path, ...]


def _plan(sources: Sequence[Path], concepts: Sequence[str], out: Path) -> list[_Files]:
    """The files of each photo; no two photos or concepts share one, whatever their names."""
    from ovss_personal.store.files import safe_name, unused_name

    suffixes = ["labels", "overlay"]
    for concept in concepts:
        suffixes.append(unused_name(safe_name(concept), suffixes))
    stems: list[str] = []
    for source in sources:
        stems.append(unused_name(source.stem, stems))
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
        atomic_write(path, buffer.getvalue())
    atomic_write(files.labels, index_png(found.labels))


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
