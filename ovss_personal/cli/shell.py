"""What every verb shares: its registration, its failures, its warnings, its progress bar.

A failure ends in one `error:` line and, where there is a remedy, one `hint:` line on stderr; with `--json` in
one object on stdout. Exit codes are those of `ovss_personal.errors`; 130 is an interruption.
"""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ovss_personal.config import BaseConfig
from ovss_personal.errors import OvssError, OvssWarning, ResourceError, UsageError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.structures import Progress

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
    """

    name: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Base:
        """Raises what `load_base` does."""
        from ovss_personal.bases import load_base

        return load_base(self.name or BaseConfig().base, **self.given)

    def repeated(self) -> list[str]:
        """The arguments that another command needs to use what this one learned."""
        arguments = [] if self.name in (None, BaseConfig().base) else ["--base", str(self.name)]
        for option in fields(BaseConfig):
            if option.metadata["changes_output"] and option.name in self.given:
                arguments += [_flag(option.name), str(self.given[option.name])]
        return arguments


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
    """Run an application with the arguments of this process, and exit. Without arguments it prints its help.

    Args:
        app: what `new_app` made.
        name: the command as the user types it.
    """
    arguments = sys.argv[1:]
    try:
        code = app(arguments or ["--help"], prog_name=name, standalone_mode=False)
    except _ParserError as error:
        path = error.ctx.command_path if error.ctx else name
        code = _told(UsageError(error.format_message(), hint=f"See '{path} --help'."), "--json" in arguments)
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
            with _failures(as_json=options["as_json"], debug=options["debug"]), _warnings():
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
        else:
            parameters.append(parameter)

    def gather(values: dict[str, Any]) -> dict[str, Any]:
        if whole is None:
            return values
        said = {option.name: values.pop(option.name) for option in fields(BaseConfig)}
        name = said.pop("base")
        given = {key: value for key, value in said.items() if value is not None and value is not False}
        return {**values, whole.name: BaseOptions(name, given)}

    return signature.replace(parameters=parameters), gather


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


def print_json(value: object) -> None:
    """Print as JSON, whose numbers are all finite: one that is not is a bug of the caller."""
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def note(text: str) -> None:
    """A line for the reader, not for a program."""
    print(text, file=sys.stderr)


def at_once(text: str) -> None:
    """A line for who watches a terminal, before what takes a second: torch is imported next, then a base is loaded."""
    if sys.stderr.isatty():
        note(text)


def print_error(error: OvssError) -> None:
    note(f"error: {_one_line(str(error))}")
    if error.hint:
        note(f"hint: {_one_line(error.hint)}")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A callback that draws a bar on a terminal once two seconds have passed, and nothing elsewhere."""
    from tqdm import tqdm

    bars: dict[str, tqdm[Any]] = {}

    def show(done: int, total: int, stage: str) -> None:
        if stage not in bars:
            close()
            bars[stage] = tqdm(total=total, desc=stage, delay=2, leave=False, disable=not sys.stderr.isatty())
        bars[stage].update(done - bars[stage].n)

    def close() -> None:
        for bar in bars.values():
            bar.close()
        bars.clear()

    try:
        yield show
    finally:
        close()


@contextmanager
def _warnings() -> Iterator[None]:
    """Print an OvssWarning as one line; what libraries warn of is not for the user."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        note(f"warning: {_one_line(str(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", OvssWarning)
        warnings.showwarning = show
        yield


@contextmanager
def _failures(*, as_json: bool, debug: bool) -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        # The reader has what it wanted, as in `… | head`; nothing more may be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        note("interrupted")
        raise typer.Exit(130) from None
    except Exception as exception:
        if debug:
            import traceback

            traceback.print_exc()
        raise typer.Exit(_told(_as_ovss_error(exception), as_json)) from None


def _told(error: OvssError, as_json: bool) -> int:
    """Tell of a failure; returns its exit code."""
    if as_json:
        print_json(error.to_json())
    else:
        print_error(error)
    return error.exit_code


def _as_ovss_error(exception: Exception) -> OvssError:
    """The exception as one that has a sentence, a hint and an exit code."""
    if isinstance(exception, OvssError):
        return exception
    if _is_out_of_memory(exception):
        return ResourceError(
            "out of memory.",
            hint="Close other programs, use smaller photos, fewer --tiles, --low-memory or --device cpu.",
        )
    if isinstance(exception, OSError) and exception.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            "the disk is full.",
            path=exception.filename,
            hint="Free some space and run the same command again.",
        )
    return OvssError(
        f"internal error: {type(exception).__name__}: {exception}",
        hint="Run it again with --debug and report it.",
    )


def _is_out_of_memory(exception: Exception) -> bool:
    torch = sys.modules.get("torch")  # if nothing has imported it, it is not to blame
    if isinstance(exception, MemoryError) or (torch and isinstance(exception, torch.OutOfMemoryError)):
        return True
    # What torch's CPU allocator raises has no class of its own.
    return isinstance(exception, RuntimeError) and "DefaultCPUAllocator" in str(exception)


def _one_line(text: str) -> str:
    return " ".join(text.split())
