"""What every verb shares: its registration, its options, its warnings.

A failure ends in one `error:` line and, where there is a remedy, one `hint:` line on stderr; with `--json` in
one object on stdout. Exit codes are those of `ovss_personal.errors`; 130 is an interruption.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ovss_personal import __version__
from ovss_personal.cli.failures import failures, told
from ovss_personal.cli.printing import note, one_line, say
from ovss_personal.config import BaseConfig
from ovss_personal.errors import OvssWarning, UsageError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
DebugFlag = Annotated[bool, typer.Option("--debug", help="On failure, print the whole traceback.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep what the base saw.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]


@dataclass(frozen=True)
class BaseOptions:
    """What a command line says of the base. A verb's one parameter of this type becomes the options of `BaseConfig`.

    Attributes:
        name: what `--base` names; None if it was left out and the verb has no default.
        given: the other options, those that were given; as `load_base` takes them.
        trusted: whether a class of the user's own may be loaded.
    """

    name: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = False

    def load(self) -> Base:
        """Raises what `load_base` does."""
        from ovss_personal.bases import load_base

        return load_base(self.name or BaseConfig().base, **self.trust(), **self.given)

    def trust(self) -> dict[str, bool]:
        """What `load_base` is called with beside the options."""
        return {"trust": True} if self.trusted else {}

    def repeated(self) -> list[str]:
        """The arguments that another command needs to use what this one learned."""
        arguments = [] if self.name in (None, BaseConfig().base) else ["--base", str(self.name)]
        for option in fields(BaseConfig):
            if option.metadata["changes_output"] and option.name in self.given:
                arguments += [_flag(option.name), str(self.given[option.name])]
        return [*arguments, "--trust-base"] if self.trusted else arguments


# The defaults of such a parameter.
DEFAULT_BASE = BaseOptions(BaseConfig().base)
UNNAMED_BASE = BaseOptions()


# What the parser raises. Newer versions of typer carry a click of their own, so its class is asked for here.
_ParserError: Any = typer.BadParameter.__bases__[0]


def new_app(help: str | None = None, **more: Any) -> typer.Typer:
    """A plain typer application: no rich boxes, which cost start-up time and break in pipes."""
    return typer.Typer(
        help=help,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **more,
    )


def run(app: typer.Typer, name: str) -> None:
    """Run an application with the arguments of this process, and exit. Without any it prints its help; with
    `--version`, which version it is.

    Args:
        app: what `new_app` made.
        name: the command as the user types it.
    """
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        say(f"ovss-personal {__version__}")
        sys.exit(0)
    # Read when torch is imported. A thread that waits for another then sleeps: where other programs want the cores, two
    # threads that spin take four times as long as one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(arguments or ["--help"], prog_name=name, standalone_mode=False)
    except _ParserError as error:
        path = error.ctx.command_path if error.ctx else name
        code = told(UsageError(error.format_message(), hint=f"See '{path} --help'."), "--json" in arguments)
    sys.exit(code)


def verb(app: typer.Typer, name: str, *, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose keyword arguments `as_json` and `debug` say how its failures are told.

    A parameter annotated `BaseOptions` is expanded into the options of a base.

    Args:
        app: what to register it with.
        name: as the user types it.
        example: a command line for the end of its `--help`.
    """

    def register(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def guarded(**options: Any) -> None:
            with failures(as_json=options["as_json"], debug=options["debug"]), _warnings():
                command(**gather(options))
                sys.stdout.flush()  # a closed pipe must show here, not when the interpreter ends

        guarded.__signature__, gather = _expanded(command)  # type: ignore[attr-defined]
        app.command(name, epilog=f"\b\nExample:\n  {example}")(guarded)
        return guarded

    return register


def _expanded(command: Callable[..., None]) -> tuple[inspect.Signature, _Gather]:
    """A command's signature with the options of a base in place of its BaseOptions, and what puts them together."""
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    whole: inspect.Parameter | None = None
    for parameter in signature.parameters.values():
        if parameter.annotation is BaseOptions:
            whole = parameter
            parameters += [_parameter(option, parameter.default) for option in fields(BaseConfig)]
            parameters.append(_TRUST)
        else:
            parameters.append(parameter)

    def gather(values: dict[str, Any]) -> dict[str, Any]:
        if whole is None:
            return values
        said = {option.name: values.pop(option.name) for option in fields(BaseConfig)}
        name, trusted = said.pop("base"), values.pop(_TRUST.name)
        given = {key: value for key, value in said.items() if value is not None and value is not False}
        return {**values, whole.name: BaseOptions(name, given, trusted)}

    return signature.replace(parameters=parameters), gather


_TRUST = inspect.Parameter(
    "trust_base",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--trust-base", help="Run the code of a base that does not come with the program.")
    ],
)
_Gather = Callable[[dict[str, Any]], dict[str, Any]]


def _parameter(option: Field[Any], default: BaseOptions) -> inspect.Parameter:
    """A field of `BaseConfig` as an option that is None, or for a switch False, if it is not given."""
    least, most = option.metadata["bounds"] or (None, None)
    info = typer.Option(_flag(option.name), help=option.metadata["help"], min=least, max=most)
    kind = Path if option.metadata["path"] else get_type_hints(BaseConfig)[option.name]
    switch = kind is bool
    value: Any = False if switch else default.name if option.name == "base" else None
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=value,
        annotation=Annotated[kind if switch else kind | None, info],
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


@contextmanager
def _warnings() -> Iterator[None]:
    """Print an OvssWarning as one line; what libraries warn of is not for the user."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        note(f"warning: {one_line(str(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", OvssWarning)
        warnings.showwarning = show
        yield
