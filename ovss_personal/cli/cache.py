"""The verbs over the cache of proposals."""

from __future__ import annotations

import typer

from ovss_personal.cli.shell import DebugFlag, JsonFlag, new_app, print_json, verb


def register(app: typer.Typer) -> None:
    group = new_app("What bases saw in photos, kept for the next time.")
    verb(group, "info", example="ovss-personal cache info")(info)
    verb(group, "clear", example="ovss-personal cache clear")(clear)
    app.add_typer(group, name="cache")


def info(*, as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """Say where the cache is and how much it holds."""
    from ovss_personal.cache import ProposalCache

    cache = ProposalCache()
    entries, size = cache.info()
    if as_json:
        print_json({"folder": str(cache.folder), "entries": entries, "bytes": size, "max_bytes": cache.max_bytes})
    else:
        print(f"{cache.folder}: {entries} entries, {_mebibytes(size)} of at most {_mebibytes(cache.max_bytes)}")


def clear(*, as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """Remove everything the cache holds."""
    from ovss_personal.cache import ProposalCache

    cache = ProposalCache()
    entries, size = cache.clear()
    if as_json:
        print_json({"folder": str(cache.folder), "removed": entries, "bytes": size})
    else:
        print(f"{cache.folder}: removed {entries} entries, {_mebibytes(size)}")


def _mebibytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"
