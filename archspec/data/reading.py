"""Picture files, by one rule wherever they are read: training, evaluation, prediction, your code.

- Formats: BMP, GIF, JPEG, PNG, PPM (PGM, PBM), TIFF and WebP, told apart by their content.
- Of an animated file or one of several pages, the first picture.
- At most 8192 × 8192 pixels, or as many in other proportions; more are refused before decoding.
- Turned as EXIF says. EXIF that is damaged says nothing: the picture is read as it lies.
- Transparent parts lie on white.
- Grey pictures (1, 8 or 16 bits, with alpha or without) give one channel; 16 bits are scaled to 8,
  65535 to 255. Palettes and all others that have colours give three.
- Pictures of 32-bit whole or floating-point numbers, or in L*a*b*, have no range that is known to
  be black to white: they are refused.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from archspec.data.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Those that PIL decodes by itself: others (EPS) would start another program."""

SUFFIXES = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)

MOST_PIXELS = 8192 * 8192
"""A small file may claim any size: this many pixels take half a gigabyte while they are decoded."""

GREY = ("1", "L", "LA", "La")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")

ORIENTATION, BITS, PHOTOMETRIC = 0x0112, 258, 262
"""Tags of TIFF, and of EXIF, which is written in TIFF's form."""

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
)
"""What PIL raises for what is no picture, or one that is cut off or altered."""


class PictureForm(NamedTuple):
    """What a look at a picture shows: 1 channel (grey) or 3 (colour), and its size."""

    channels: int
    height: int
    width: int


def read_picture(path: str | Path) -> Image:
    """The picture of a file, the right way up: grey as mode L, colour as RGB.

    Raises `PictureError`.
    """
    with _opened(path) as image:
        try:
            image.load()
        except DAMAGE as error:
            raise PictureError(path, _reason(error)) from None
        # PIL has turned a TIFF while it decoded it, and then says 1.
        way = _turns().get(_orientation(image))
        image = plain(image, path)
        return image if way is None else image.transpose(way)


def look(path: str | Path) -> PictureForm:
    """What `read_picture` would give, from the head of the file alone. Raises `PictureError`."""
    with _opened(path) as image:
        _check_mode(image, path)
        width, height = image.size
        # PIL gives the size of a TIFF the right way up, and that of others as they lie.
        if image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8):
            width, height = height, width
        return PictureForm(1 if image.mode in GREY or _is_sixteen(image) else 3, height, width)


def plain(image: Image, name: object) -> Image:
    """A PIL image as 8-bit grey (L) or colour (RGB), by the rules of this module.

    Raises `PictureError`, with that name, for a mode of which the range is not known.
    """
    _check_mode(image, name)
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    if _is_sixteen(image):
        return _eight_bits(image)
    mode = "L" if image.mode in GREY else "RGB"
    if not image.has_transparency_data:
        return image.convert(mode)
    from PIL.Image import new

    # By way of what PIL can convert to RGBA: it has no direct way from premultiplied alpha.
    for step in ({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode), "RGBA"):
        image = image if image.mode == step else image.convert(step)
    white = new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white if mode == "RGB" else white.convert(mode)


# --- opening -------------------------------------------------------------------------------------


@contextmanager
def _opened(path: str | Path) -> Iterator[Image]:
    """The file's image, not decoded yet. Raises `PictureError`."""
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError, open

    # What PIL warns of (odd metadata, sizes) is of no use to the user, or is refused.
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        try:
            # Opened here: PIL maps a file that it knows by name, and garbles a turned TIFF so.
            file = stack.enter_context(Path(path).open("rb"))
            image = stack.enter_context(open(file, formats=FORMATS))
        except UnidentifiedImageError:
            known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
            raise PictureError(path, f"it is no picture in {known}, or damaged") from None
        except DecompressionBombError:
            raise PictureError(path, f"it has too many pixels, {_limit()}") from None
        except DAMAGE as error:
            raise PictureError(path, _reason(error)) from None
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise PictureError(path, f"it has {width} × {height} pixels, {_limit()}")
        yield image


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _limit() -> str:
    return f"and at most {MOST_PIXELS:,} are read"


# --- what is in it -------------------------------------------------------------------------------


def _check_mode(image: Image, name: object) -> None:
    if image.mode not in (*GREY, *COLOUR) and not _is_sixteen(image):
        kinds = {"I": "32-bit whole numbers", "F": "floating-point numbers"}
        kind = kinds.get(image.mode, f"the mode {image.mode}")
        raise PictureError(
            name,
            f"its pixels are {kind}, and nothing says which are black and white: "
            "convert it to 8 or 16 bits",
        )


def _is_sixteen(image: Image) -> bool:
    # PIL reads a PGM of up to 16 bits into 32, with 65535 for white.
    return image.mode in SIXTEEN or (image.mode == "I" and image.format == "PPM")


def _eight_bits(image: Image) -> Image:
    """16-bit grey as 8-bit: 65535 becomes 255, and what was 8 bits before comes back as it was."""
    import numpy
    from PIL.Image import fromarray

    tags: Any = getattr(image, "tag_v2", {})
    values = numpy.asarray(image).astype(numpy.uint32)
    # Scanners write 12 bits too. A TIFF may say that 0 is white.
    white = (1 << int(tags.get(BITS, (16,))[0])) - 1
    if tags.get(PHOTOMETRIC) == 0:
        values = white - numpy.minimum(values, white)
    return fromarray(((values * 255 + white // 2) // white).astype(numpy.uint8))


def _orientation(image: Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or none that can be read."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        return 1
    return found if isinstance(found, int) else 1


def _turns() -> dict[int, Transpose]:
    # Not PIL's `exif_transpose`: it writes the rest of the EXIF anew, and fails where it cannot.
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
