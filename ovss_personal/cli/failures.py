"""How a command ends that cannot do its work: in one sentence, and with the exit code of `ovss_personal.errors`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ovss_personal.cli.printing import note, print_error, print_json, print_traceback
from ovss_personal.errors import InputError, OvssError, ResourceError


@contextmanager
def failures(*, as_json: bool, debug: bool) -> Iterator[None]:
    """Tells of whatever the block raises, and ends it in a `typer.Exit`."""
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
            print_traceback()
        raise typer.Exit(told(as_ovss_error(exception), as_json)) from None


def told(error: OvssError, as_json: bool) -> int:
    """Tell of a failure; returns its exit code."""
    if as_json:
        print_json(error.to_json())
    else:
        print_error(error)
    return error.exit_code


def as_ovss_error(exception: Exception) -> OvssError:
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
    if isinstance(exception, OSError) and exception.errno is not None and exception.filename is not None:
        # What a user's path can be in ways that nobody has thought of: a loop of links, gone meanwhile.
        return InputError(
            f"cannot be used: {os.strerror(exception.errno)}.",
            path=os.fsdecode(exception.filename) if isinstance(exception.filename, (str, bytes)) else None,
            hint="Check the path and its permissions, or choose another.",
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
