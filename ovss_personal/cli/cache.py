"""The verbs over the cache of proposals and words."""

from __future__ import annotations

import typer

from ovss_personal.cli.printing import print_json, say
from ovss_personal.cli.shell import DebugFlag, JsonFlag, new_app, verb


def register(app: typer.Typer) -> None:
    group = new_app("What bases saw in photos, kept for the next time.")
    verb(group, "info", example="ovss-personal cache info")(info)
    verb(group, "clear", example="ovss-personal cache clear")(clear)
    app.add_typer(group, name="cache")


def info(*, as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """Say where the cache is and how much it holds."""
    from ovss_personal.store.cache import ProposalCache

    cache = ProposalCache()
    entries, size = cache.info()
    if as_json:
        print_json({"folder": str(cache.folder), "entries": entries, "bytes": size, "max_bytes": cache.max_bytes})
    else:
        say(f"{cache.folder}: {entries} entries, {_mebibytes(size)} of at most {_mebibytes(cache.max_bytes)}")


def clear(*, as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """Remove what bases saw in photos and made of words. Weights stay."""
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.words import clear_words

    cache = ProposalCache()
    (entries, size), (files, more) = cache.clear(), clear_words()
    if as_json:
        print_json({"folder": str(cache.folder), "removed": entries + files, "bytes": size + more})
    else:
        say(f"{cache.folder}: removed {entries + files} entries, {_mebibytes(size + more)}")


def _mebibytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"
