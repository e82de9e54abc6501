"""Everything that can go wrong for a user, and the exit code each one ends in.

::

    OvssError                      1   never raised itself
    ├── UsageError                 2   options that contradict each other, an unknown name or device
    ├── InputError                 3   a file of the user's that cannot be used
    │   ├── ImageError                 broken, too small, too large, not an image
    │   ├── MaskError                  empty, wrong size, unreadable, ambiguous labels
    │   ├── ShotsError                 photos and masks that do not pair, or too few of them
    │   ├── VocabularyError            empty word, clash of names
    │   ├── ConfigError                unknown key, wrong type in a YAML
    │   └── OutputError                output exists, is locked or cannot be written
    ├── ArtifactError              4   something we read that was made by a program
    │   ├── WeightsError               weights missing, corrupt, other checksum, offline
    │   └── ConceptError               concept missing, corrupt or fitted on another base
    └── ResourceError              5   memory or disk ran out

Warnings meant for the user are `OvssWarning`; the command line prints them as one line each.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "ArtifactError",
    "ConceptError",
    "ConfigError",
    "ImageError",
    "InputError",
    "MaskError",
    "OutputError",
    "OvssError",
    "OvssWarning",
    "ResourceError",
    "ShotsError",
    "UsageError",
    "VocabularyError",
    "WeightsError",
    "counted",
]


class OvssError(Exception):
    """One sentence that says what is wrong, the file it is about, and what to do.

    Args:
        message: what was expected and what was found, in one sentence.
        path: the file or folder it is about, if any.
        hint: what the user can do now, if it is not obvious from the message.
    """

    exit_code = 1

    def __init__(self, message: str, *, path: str | Path | None = None, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.path = None if path is None else str(path)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path is not None else self.message

    def to_json(self) -> dict[str, dict[str, str | int | None]]:
        """The object that `--json` prints in place of a result."""
        return {
            "error": {
                "code": self.exit_code,
                "message": self.message,
                "path": self.path,
                "hint": self.hint,
            }
        }


class UsageError(OvssError):
    exit_code = 2


class InputError(OvssError):
    exit_code = 3


class ImageError(InputError):
    pass


class MaskError(InputError):
    pass


class ShotsError(InputError):
    pass


class VocabularyError(InputError):
    pass


class ConfigError(InputError):
    pass


class OutputError(InputError):
    pass


class ArtifactError(OvssError):
    exit_code = 4


class WeightsError(ArtifactError):
    pass


class ConceptError(ArtifactError):
    pass


class ResourceError(OvssError):
    exit_code = 5


class OvssWarning(UserWarning):
    """Something the user should know of that does not stop the work."""


def counted(number: int, noun: str) -> str:
    """A number and what is counted, whose plural ends in s.

    >>> counted(1, "shot"), counted(5, "shot")
    ('1 shot', '5 shots')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
