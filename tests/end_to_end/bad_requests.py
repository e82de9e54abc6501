"""Concepts, words, outputs and settings with which a command can do nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from corpus import (
    write_photo,
)
from end_to_end.sound import (
    CONFIG,
    MODEL,
    PERSONALIZE,
    SEGMENT,
    Bad,
    Odd,
    config,
    nothing,
    tensors,
    write,
)


def adapters() -> Iterator[Bad]:
    def truncate() -> None:
        MODEL.write_bytes(MODEL.read_bytes()[:-100])

    unreadable = f"{MODEL}: cannot be read: it is truncated or no safetensors file"
    rows: list[tuple[str, Callable[[], object], str]] = [
        ("truncated", truncate, unreadable),
        (
            "of 0 bytes",
            lambda: MODEL.write_bytes(b""),
            unreadable,
        ),
        (
            "a pickle renamed",
            lambda: MODEL.write_bytes(pickle.dumps({"text": 1})),
            unreadable,
        ),
        ("without its tensors", MODEL.unlink, "mug: no adapter_model.safetensors here"),
        ("without its JSON", CONFIG.unlink, "mug: no adapter_config.json here"),
        ("with a broken JSON", lambda: CONFIG.write_text("{"), f"{CONFIG}: cannot be read"),
        (
            "of a newer format",
            config(format_version=3),
            f"{CONFIG}: 'format_version' is 3, but this version reads up to 2",
        ),
        ("of another library", config(library="peft"), f"{CONFIG}: 'library' is not 'ovss_personal'"),
        ("of another base", config(base_fingerprint="0" * 64, base="san"), "base_fingerprint 000000000000"),
        ("of other N", config(num_proposals=99), "'num_proposals' and 'dim' of adapter_config.json say (99,)"),
        ("of other D", config(dim=640), "'num_proposals' and 'dim' of adapter_config.json say (640,)"),
        ("with a missing key", config(alpha=None), f"{CONFIG}: a field is missing or of the wrong type ('alpha')"),
        ("with an extra tensor", tensors(more=np.zeros(3, np.float32)), f"{MODEL}: has missing or extra tensors: more"),
        ("with a missing tensor", tensors(visual=None), f"{MODEL}: has missing or extra tensors: visual"),
        ("with zeros for a vector", tensors(text=np.zeros(1408, np.float32)), "'text' is"),
        ("with alpha of 400 digits", config(alpha=10**400), "'alpha' is 1000"),
        ("with 300 000 words", config(words=["a"] * 300_000), "'words' has 300000 entries, over 10000"),
        ("whose name is a number", config(concept=5), "'concept' is 5, not text"),
        ("of 200 000 levels", lambda: CONFIG.write_text("[" * 200_000), f"{CONFIG}: cannot be read"),
        ("with NaN", tensors(mask_bias=np.array(np.nan, np.float32)), f"{MODEL}: 'mask_bias' holds NaN"),
    ]
    for what, make, says in rows:
        yield Bad(f"concept {what}", make, SEGMENT, 4, says)
    yield Bad(
        "no such concept", nothing, SEGMENT.replace("mug", "my/own/hat"), 4, "my/own/hat: there is no such folder"
    )
    yield Bad(
        "a misspelt concept",
        nothing,
        SEGMENT.replace("mug", "my/mug") + " --offline",
        4,
        "my/mug: there is no such folder",
    )
    yield Bad("concepts show of no concept", nothing, "concepts show album", 4, "album: no adapter_config.json here")


def words() -> Iterator[Bad]:
    named = "personalize --images album --out learned --iterations 1 --concept"
    rows = [
        ("concept empty", f"{named} ' '", 3, "the concept's name is empty"),
        ("concept with a line break", f"{named} 'my\nmug'", 3, "the concept's name must be one line"),
        ("concept of 400 characters", f"{named} {'a' * 400}", 3, "one line of at most 300 characters"),
        ("class name of 299 tokens", f"{named} mug --class-name {'?' * 299}", 3, "has more than 256 tokens"),
        ("concept that equals a word", f"{SEGMENT} --words 'tree, my mug'", 3, "'my mug' has the same name as a word"),
        ("concept that equals the base's own word", f"{SEGMENT} --as other", 3, "'other' has the same name as a word"),
        ("two concepts of one name", f"{SEGMENT} --concept mug", 3, "'my mug' has the same name as another concept"),
        ("one --as for two concepts", f"{SEGMENT} --concept mug --as a", 2, "--as is given 1 times and --concept 2"),
        ("an empty word", f"{SEGMENT} --words tree,,grass", 3, "a word is empty"),
        ("no such file of words", f"{SEGMENT} --words words.txt", 3, "words.txt: cannot be read"),
        ("neither words nor concepts", "segment photo.png --out out", 2, "there is nothing to look for"),
    ]
    for what, command, code, says in rows:
        yield Bad(what, nothing, command, code, says)


def outputs() -> Iterator[Bad]:
    yield Bad(
        "the concept's folder exists",
        lambda: Path("learned").mkdir(),
        PERSONALIZE,
        3,
        "learned: the output folder exists",
    )
    yield Bad(
        "--overwrite of a folder that is no concept's",
        lambda: write_photo(Path("learned/holiday.png")),
        f"{PERSONALIZE} --overwrite",
        3,
        "learned: the folder holds other files",
    )
    yield Bad(
        "the pictures' folder exists", lambda: write_photo(Path("out/a.png")), SEGMENT, 3, "out: the output exists"
    )
    yield Bad(
        "the sheet exists", lambda: write_photo(Path("sheet.png")), "inspect album", 3, "sheet.png: the output exists"
    )
    yield Bad(
        "a photo where a picture would go, with --overwrite",
        lambda: write_photo(Path("photo.overlay.png")),
        f"{SEGMENT.replace('--out out', '--out .')} --overwrite",
        3,
        "photo.overlay.png: is there already, and no result.json of ours says",
    )
    yield Bad(
        "--out of 300 characters", nothing, SEGMENT.replace("--out out", f"--out {'o' * 300}"), 3, "name too long"
    )
    yield Bad("a file where the folder should be", lambda: Path("out").touch(), f"{SEGMENT} --overwrite", 3, "out")
    yield Bad(
        "a file where a parent should be",
        lambda: Path("there").touch(),
        PERSONALIZE.replace("learned", "there/learned"),
        3,
        "there/learned: cannot be written",
    )


def settings() -> Iterator[Bad]:
    yaml = f"{PERSONALIZE} --base my.yaml"
    rows: list[tuple[str, Callable[[], object], str, int, str]] = [
        (
            "a device that is not there",
            nothing,
            f"{SEGMENT} --device cuda:99",
            2,
            "the device 'cuda:99' is not on this machine",
        ),
        ("no device at all", nothing, f"{SEGMENT} --device gpu", 2, "'gpu' is not a device"),
        ("an unknown base", nothing, f"{SEGMENT} --base embeded", 2, "there is no base 'embeded'"),
        (
            "a base of others that is not trusted",
            write("my.yaml", "base: os.system\n"),
            yaml,
            2,
            "'os.system' is a class that does not come with the program",
        ),
        (
            "a base that cannot be imported",
            write("my.yaml", "base: no.such.Base\n"),
            f"{yaml} --trust-base",
            2,
            "'no.such.Base' cannot be imported",
        ),
        ("no such YAML", nothing, yaml, 3, "my.yaml: no such configuration file"),
        ("an unknown setting", write("my.yaml", "alpa: 0.1\n"), yaml, 3, "my.yaml: line 1: 'alpa' is not a setting"),
        (
            "a setting of the wrong type",
            write("my.yaml", "tiles: many\n"),
            yaml,
            3,
            "my.yaml: line 1: tiles must be a whole number",
        ),
        (
            "weights that are not there",
            write("my.yaml", "weights: nowhere\n"),
            yaml,
            4,
            "nowhere/decoder.safetensors: cannot be read",
        ),
        ("a setting out of range", nothing, f"{PERSONALIZE} --alpha 2", 3, "alpha must be in [0, 1], not 2.0"),
        ("an unknown option", nothing, f"{PERSONALIZE} --shot 5", 2, "No such option"),
        ("an unknown demo album", nothing, "demo --album my_hat --out out", 2, "there is no demo album 'my_hat'"),
        (
            "no such manifest",
            nothing,
            "evaluate nowhere.json",
            3,
            "nowhere.json: the manifest cannot be read: no such file",
        ),
        ("a manifest that is none", write("m.json", "{}"), "evaluate m.json", 3, "m.json: is no manifest"),
        (
            "no cut-outs",
            nothing,
            "benchmark build stamps --out out --stamps album",
            3,
            "album: no 'tuxpaint/stamps' folder",
        ),
    ]
    for row in rows:
        yield Bad(*row)


BAD_REQUESTS = [*adapters(), *words(), *outputs(), *settings()]

ODD_REQUESTS = [
    Odd(
        "words twice",
        nothing,
        f"{SEGMENT} --words tree,grass,tree",
        "the word 'tree' is given twice; the second is dropped",
    ),
    Odd(
        "concept with an unknown key",
        config(colour="red"),
        SEGMENT,
        "has keys that this version does not know, left out: colour",
    ),
]
