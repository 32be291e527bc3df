"""Where texts come from: files beside the one that names them, and the bundled library.

Nothing is read from outside the folder of the spec that the user named, unless the caller allows
it: a spec from elsewhere must not be able to look around.
"""

from __future__ import annotations

import codecs
import os
import stat
from functools import cache

from archspec.diagnostics.diagnostic import Code, Refusal, Source
from archspec.diagnostics.suggestions import certain_word, did_you_mean
from archspec.text.limits import Limits

# Paths are texts here: importing pathlib takes longer than reading a spec.
_PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BLOCKS = os.path.join(_PACKAGE, "blocks")
# An installed wheel carries the specs inside the package; a checkout has them beside it.
SPECS = os.path.join(_PACKAGE, "specs")
if not os.path.isdir(SPECS):
    SPECS = os.path.join(os.path.dirname(_PACKAGE), "specs")
SUFFIX = ".yaml"


@cache
def bundled() -> tuple[str, ...]:
    """Names of the bundled specs, such as `densenet` and `torchvision/resnet18`."""
    return _names_below(SPECS)


@cache
def library_blocks() -> frozenset[str]:
    """Names of the standard blocks."""
    return frozenset(_names_below(BLOCKS))


def _names_below(folder: str) -> tuple[str, ...]:
    found = []
    for root, _, files in os.walk(folder):
        inside = os.path.relpath(root, folder)
        prefix = "" if inside == "." else inside.replace(os.sep, "/") + "/"
        found += [prefix + name[: -len(SUFFIX)] for name in files if name.endswith(SUFFIX)]
    return tuple(sorted(found))


def read_text(
    path: str | os.PathLike[str],
    limits: Limits,
    shown: str | None = None,
    library: bool = False,
    pipes: bool = False,
) -> Source:
    """A file's text. Raises `Refusal` where it cannot be read as UTF-8 within the limits.

    With `pipes` it may be no regular file: what a user names himself, he also feeds and ends.
    """
    path = os.fspath(path)
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) and not (pipes and _is_pipe(found.st_mode)):
            raise Refusal(f"{path[:200]} is not a file", code=Code.FILE)
        size = found.st_size
        limits.check("text_bytes", size, f"the size of {os.path.basename(path)} in bytes")
        with open(path, "rb") as file:
            data = file.read(limits.text_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise Refusal(f"cannot read {path[:200]}: {reason}", code=Code.FILE) from None
    return decoded(data, path, limits)._replace(name=shown or path, library=library)


def is_pipe(path: str) -> bool:
    """Whether it is a pipe or a device, as `<(…)` of a shell and /dev/stdin are."""
    try:
        return _is_pipe(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _is_pipe(mode: int) -> bool:
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def decoded(data: bytes, name: str, limits: Limits) -> Source:
    """Bytes as a text. Raises `Refusal` where they are too many, or not UTF-8."""
    limits.check("text_bytes", len(data), f"the size of {name} in bytes")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Refusal(
            f"{name} is not UTF-8 text: byte {data[error.start]:#04x} at line {line}",
            code=Code.ENCODING,
            help="save it as UTF-8",
        ) from None
    return Source(name, text)


def shown(path: str) -> str:
    """The name that a file is shown under: one of archspec's own blocks without its folder."""
    if _is_below(path, BLOCKS):
        return "archspec/blocks" + path[len(BLOCKS) :].replace(os.sep, "/")
    return path


def stem(path: str) -> str:
    """The file's name without its suffix."""
    return os.path.splitext(os.path.basename(path))[0]


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def find_spec(name: str, beside: str | None) -> str:
    """The file of a path or of a bundled name. Raises `Refusal` where there is none.

    A path wins over a bundled name; `beside` is the folder that relative paths start from.
    """
    path = os.path.join(beside or "", name)
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return path
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError):
        raise Refusal(f"{name[:200]!r} is not a file name", code=Code.FILE) from None
    if name in bundled():
        return os.path.join(SPECS, name + SUFFIX)
    near = did_you_mean(name, bundled())
    short = near or "`archspec list` names the bundled specs"
    raise Refusal(
        f"there is no file {name[:200]!r}, and no bundled spec of that name",
        code=Code.FILE,
        expected="a path, or a bundled name",
        help=short,
        replacement=certain_word(name, bundled()),
    )


def inside(path: str, root: str | None, anywhere: bool) -> str:
    """`path`, resolved; unless it may be `anywhere`, one outside `root` is refused.

    Symbolic links are followed. Without a `root` only archspec's own files may be read.
    """
    try:
        resolved = os.path.realpath(path)
    except (OSError, ValueError):  # a NUL byte
        raise Refusal(f"{path[:200]!r} leads to no file", code=Code.FILE) from None
    allowed = [SPECS, BLOCKS] if root is None else [root, SPECS, BLOCKS]
    if anywhere or any(_is_below(resolved, os.path.realpath(folder)) for folder in allowed):
        return resolved
    if root is None:
        raise Refusal(
            f"a text that stands in no folder can read no file: {path[:200]}",
            code=Code.OUTSIDE,
            expected="the name of a bundled spec",
            help="name the folder that it may read: loads(..., folder=…)",
        )
    raise Refusal(
        f"{path[:200]} lies outside the folder of the spec",
        code=Code.OUTSIDE,
        expected="a file in that folder, or below it",
        help="allow it with --allow-outside, or load(..., allow_outside=True)",
    )
