"""Names of classes, which may be any text, as Markdown and as labels of an axis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from archspec.data.text import one_line

LONGEST = 32
"""Letters of a label; longer names would leave no room for the picture."""

SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)|^[#+-]")
"""What Markdown (GitHub's too) would take for markup, within a line."""

OWN = "DejaVu Sans"
"""The font that comes with matplotlib."""

MOST_FONTS = 4


def markdown(text: str) -> str:
    """`text` as it will be shown: one line, with no markup, fit for a table."""
    return SPECIAL.sub(lambda found: f"\\{found[0]}", escape(one_line(text), quote=False))


class AxisLabels(NamedTuple):
    """Labels of the classes, and the fonts that have all their letters.

    Where no font has them, the labels are the classes' numbers, from 0, and `numbered` is true.
    """

    texts: list[str]
    fonts: list[str]
    numbered: bool


def axis_labels(classes: Sequence[str]) -> AxisLabels:
    """What stands at the axes of a picture with those classes."""
    texts = [_shortened(one_line(name)) for name in classes]
    fonts = _fonts({ord(letter) for text in texts for letter in text})
    if fonts is None:
        return AxisLabels([str(number) for number in range(len(classes))], [OWN], True)
    return AxisLabels(texts, fonts, False)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _fonts(letters: set[int]) -> list[str] | None:
    """Fonts that together have all letters, matplotlib's own first; None where some are missing."""
    from matplotlib.font_manager import FontEntry, fontManager

    def order(entry: FontEntry) -> tuple[bool, bool, str, str]:
        return entry.name != OWN, entry.style != "normal", entry.name, entry.fname

    families: list[str] = []
    for entry in sorted(fontManager.ttflist, key=order):
        # "Last Resort" has a box for every letter.
        if entry.name in families or "resort" in entry.name.lower():
            continue
        missing = _missing(entry.fname, letters)
        if missing < letters or not families:
            families.append(entry.name)
            letters = missing
        if not letters:
            return families
        if len(families) == MOST_FONTS:
            return None
    return None


def _missing(path: str, letters: set[int]) -> set[int]:
    """The letters that a font file lacks. These are all where matplotlib cannot draw with it."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # FreeType's errors
        return letters
    if not font.scalable:  # bitmaps, as emoji are, of one size
        return letters
    return {letter for letter in letters if not font.get_char_index(letter)}
