"""The verbs over weights that are downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovss_personal.cli.printing import print_error, print_json, say
from ovss_personal.cli.shell import DebugFlag, JsonFlag, new_app, verb
from ovss_personal.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from ovss_personal.bases.weights import Verified, WeightSpec

_AGAINST = {
    "known": "agrees with the sha256 that we know",
    "beginning": "holds the right tensors, and its sha256 begins with the digits that we know",
    "recorded": "agrees with the sha256 recorded on first use",
    "nothing": "holds the right tensors, but we know no sha256 to compare with",
}


def register(app: typer.Typer) -> None:
    group = new_app("The weights of bases that do not come with the program.")
    verb(group, "list", example="ovss-personal weights list")(list_weights)
    verb(group, "pull", example="ovss-personal weights pull san_vit_b_16")(pull)
    verb(group, "verify", example="ovss-personal weights verify")(verify)
    app.add_typer(group, name="weights")


def list_weights(*, as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """List the weights that can be had, their licences, and where those are that are here."""
    from dataclasses import asdict

    from ovss_personal.bases.weights import WEIGHTS, locate

    places = {name: locate(spec) for name, spec in WEIGHTS.items()}
    if as_json:
        print_json([{**asdict(spec), "path": _text(places[name])} for name, spec in WEIGHTS.items()])
        return
    for name, spec in WEIGHTS.items():
        here = places[name] or f"not here; get it with: ovss-personal weights pull {name}"
        needs = f"; needs {' and '.join(spec.needs)}" if spec.needs else ""
        say(f"{name}: {spec.file}, licence {spec.licence} ({spec.page}){needs}: {here}")


def pull(
    *,
    name: Annotated[str, typer.Argument(help="As `weights list` names it.")],
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Download weights and those that they need into the cache, unless they are there already and whole."""
    from ovss_personal.bases import weights

    rows = []
    for spec in _specs(name):
        found = weights.pull(spec)
        rows.append(_row(spec.name, found))
        if not as_json:
            say(_line(spec.name, found))
    if as_json:
        print_json(rows)


def verify(
    *,
    name: Annotated[str | None, typer.Argument(help="As `weights list` names it; all here if left out.")] = None,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Hash the weights that are here, and say what the hash was compared with.

    The exit code is 4 if any are damaged, or if those named, or what they need, are not here.
    """
    from ovss_personal.bases import weights

    specs = list(weights.WEIGHTS.values()) if name is None else _specs(name)
    rows: list[dict[str, Any]] = []
    for spec in specs:
        try:
            found = weights.verify(spec)
            if found is None and name is not None:
                raise WeightsError(f"{spec.name} is not here.", hint=f"ovss-personal weights pull {name}")
        except WeightsError as error:
            rows.append({"name": spec.name, **error.to_json()})
            if not as_json:
                print_error(error)
            continue
        if found is not None:
            rows.append(_row(spec.name, found))
            if not as_json:
                say(_line(spec.name, found))
    if as_json:
        print_json(rows)
    elif not rows:
        say("no weights are here")
    if any("error" in row for row in rows):
        raise typer.Exit(WeightsError.exit_code)


def _specs(name: str) -> list[WeightSpec]:
    """The weights of that name and those that they need."""
    from ovss_personal.bases.weights import WEIGHTS

    if name not in WEIGHTS:
        raise UsageError(f"there are no weights '{name}'.", hint=f"The weights are: {', '.join(WEIGHTS)}.")
    return [WEIGHTS[each] for each in (name, *WEIGHTS[name].needs)]


def _row(name: str, found: Verified) -> dict[str, Any]:
    return {"name": name, "path": str(found.path), "sha256": found.sha256, "against": found.against}


def _line(name: str, found: Verified) -> str:
    return f"{name}: {found.path} {_AGAINST[found.against]} ({found.sha256})"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
