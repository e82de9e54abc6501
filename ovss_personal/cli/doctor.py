"""The verb that examines the installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import typer

from ovss_personal.cli.printing import print_json, say
from ovss_personal.cli.shell import DebugFlag, JsonFlag, verb

_PACKAGES = (
    "ovss-personal",
    "torch",
    "tokenizers",
    "safetensors",
    "numpy",
    "pillow",
    "pycocotools",
)
_REINSTALL = "pip install --force-reinstall --no-deps ovss-personal"
_MIN_FREE = 1024**3  # bytes; the cache alone may take twice that, and evicts when it may not


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is fine, what it is, and the command that mends or adds it."""

    what: str
    fine: bool
    found: str
    mend: str | None = None


def register(app: typer.Typer) -> None:
    verb(app, "doctor", example="ovss-personal doctor")(doctor)


def doctor(*, as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """Look at everything the program needs, and say how to mend it.

    The exit code is 4 if anything is missing.
    """
    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{'ok     ' if finding.fine else 'MISSING'}  {finding.what}: {finding.found}")
            if finding.mend:
                say(f"         {'get' if finding.fine else 'mend'} it with: {finding.mend}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(4)


def examine() -> list[Finding]:
    """Every finding, in the order in which things are needed."""
    findings = [_python(), *map(_package, _PACKAGES)]
    for check in (_device, _base, _demo, _cache, _disk):
        findings.append(_guard(check))
    return [*findings, *_extras(), *_weights()]


def _guard(check: Callable[[], Finding]) -> Finding:
    """A check that raises is a finding too: the doctor itself must not fall ill."""
    try:
        return check()
    except Exception as error:
        return Finding(check.__name__.strip("_"), False, f"{type(error).__name__}: {error}", _REINSTALL)


def _python() -> Finding:
    import platform

    return Finding("python", True, f"{platform.python_version()} on {platform.platform()}")


def _package(name: str) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install {name}")


def _device() -> Finding:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(index) for index in range(count)]
    return Finding("device", True, ", ".join([f"cpu ({torch.get_num_threads()} threads)", *names]))


def _base() -> Finding:
    from ovss_personal.bases import load_base
    from ovss_personal.bases.embedded.files import verify
    from ovss_personal.errors import OvssError

    try:
        base = load_base("embedded")
        verify()
    except OvssError as error:
        return Finding("base embedded", False, str(error), error.hint or _REINSTALL)
    return Finding("base embedded", True, f"loads, its weights are whole, fingerprint {base.fingerprint[:12]}")


def _extras() -> list[Finding]:
    """Of each extra, whether it is installed; the program is whole without."""
    from ovss_personal.bases import EXTRAS, missing_modules

    findings = {}
    for base, (extra, *modules) in EXTRAS.items():
        missing = missing_modules(base)
        named = missing or modules
        found = f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} {'not ' if missing else ''}installed"
        mend = f"pip install 'ovss-personal[{extra}]'" if missing else None
        findings[extra] = Finding(f"extra {extra}", True, found, mend)
    return list(findings.values())


def _weights() -> list[Finding]:
    """Of each base with weights to download, whether they are here; the program is whole without."""
    from ovss_personal.bases.weights import WEIGHTS, locate
    from ovss_personal.errors import OvssError

    findings = []
    for name, spec in WEIGHTS.items():
        what, pull = f"weights {name}", f"ovss-personal weights pull {name}"
        try:
            path = locate(spec)
        except OvssError as error:
            findings.append(Finding(what, False, str(error), error.hint))
            continue
        missing = path is None
        findings.append(Finding(what, True, "not downloaded" if missing else str(path), pull if missing else None))
    return findings


def _demo() -> Finding:
    from ovss_personal.io.demo import demo_albums

    albums = sorted(demo_albums())
    return Finding("demo albums", bool(albums), ", ".join(albums) or "none", None if albums else _REINSTALL)


def _cache() -> Finding:
    from ovss_personal.errors import OvssError
    from ovss_personal.store.cache import default_folder
    from ovss_personal.store.files import atomic_write

    try:
        probe = default_folder() / "doctor.probe"
        atomic_write(probe, b"writable")
        probe.unlink()
    except OvssError as error:
        return Finding("cache folder", False, str(error), "export OVSS_PERSONAL_CACHE=/a/folder/you/may/write/to")
    return Finding("cache folder", True, f"{probe.parent}, writable")


def _disk() -> Finding:
    import shutil

    from ovss_personal.errors import OutputError
    from ovss_personal.store.cache import default_folder

    try:
        folder = default_folder()
    except OutputError as error:
        return Finding("free disk", False, str(error), error.hint)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    mend = None if free >= _MIN_FREE else "ovss-personal cache clear"
    return Finding("free disk", free >= _MIN_FREE, f"{free / 1024**3:.1f} GiB at {folder}", mend)
