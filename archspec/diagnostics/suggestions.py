"""The known word that an unknown one is near to, and whether it is certain that it was meant."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

from archspec.diagnostics.diagnostic import Edit, Help, Span, bare

_MOST_NAMES = 1000
"""Names that are compared with a misspelt one: past that, a suggestion costs too much."""


NEAR = 0.7
"""How alike a word must be to be suggested (difflib's ratio): below it, another word was meant."""


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A help text naming the nearest known word, or None where nothing is near."""
    names = list(known)
    if len(names) > _MOST_NAMES:
        return None
    return _near(word, names, certain_word(word, names))


def _near(word: str, names: Sequence[str], certain: str | None) -> str | None:
    near = certain or _begun(word, names) or _alike(word, names)
    return f"did you mean {near!r}?" if near else None


def _begun(word: str, names: Sequence[str]) -> str | None:
    """The first name that `word` is the beginning of, or the longest that begins `word`."""
    letters = bare(word)
    if len(letters) >= 4:
        for name in names:
            if bare(name).startswith(letters):
                return name
    within = [n for n in names if len(bare(n)) >= 6 and letters.startswith(bare(n))]
    return max(within, key=len, default=None)


def _alike(word: str, names: Sequence[str]) -> str | None:
    import difflib  # for a mistake alone

    by_letters = {bare(name): name for name in reversed(names)}
    found = difflib.get_close_matches(bare(word), by_letters, n=1, cutoff=NEAR)
    return by_letters[found[0]] if found else None


def suggestion(word: str, known: Iterable[str], span: Span, taken: Container[str] = ()) -> Help:
    """The help for an unknown word, with an edit where it is certain what was meant.

    A word of `taken` stands there already, and cannot stand twice.
    """
    names = list(known)
    certain = certain_word(word, names)
    edits = () if certain is None or certain in taken else (Edit(span, certain),)
    return Help(_near(word, names, certain) if len(names) <= _MOST_NAMES else None, edits)


def certain_word(word: str, known: Iterable[str]) -> str | None:
    """The one known word that `word` must be a slip of; None where two are as near, or none.

    A slip is another case or another use of `_` and `-`, or one letter that is wrong, missing, too
    many or swapped with the next; in a word of eight letters or more it may be two such. These are
    no slips, for they have a meaning of their own:

    - another digit, or another letter that stands alone: `max_pool1d` of `max_pool2d`, `q_proj` of
      `k_proj`;
    - a known name with another number: `resnext18` of `resnet18`, where there is a `resnext50`;
    - a name that torch has, such as `exp2`, unless it is a plural or singular;
    - a word of three letters, which one letter makes another word.
    """
    digits, known = _DIGITS.findall(word), list(known)
    names = {name for name in known if not digits or _DIGITS.findall(name) in ([], digits)}
    if not 2 <= len(word) <= 60 or len(names) > _MOST_NAMES:
        return None
    alike = [name for name in names if bare(name) == bare(word)]
    if alike:
        return alike[0] if len(alike) == 1 else None
    most = 2 if len(word) >= 8 else 1
    near = [name for name in names if abs(len(name) - len(word)) <= most]
    near = [name for name in near if _slips(name, word, most) <= most]
    stems = {_stem(name) for name in known} if digits else set()
    if len(near) != 1 or _stem(word) in stems - {_stem(near[0])}:
        return None
    return near[0] if _is_slip(word, near[0]) else None


_DIGITS = re.compile(r"\d+")

_ALONE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z](?![A-Za-z0-9])|(?<=[a-z])[A-Z]\b")
"""A letter that tells one of several like names from the others: `branch_a`, `convA`."""

_NUMBERED = re.compile(r"\d(?![A-Za-z])|\dd\b")
"""A digit at the end of a part, which is no slip of the finger as in `k3rnel_size`."""


def _is_slip(word: str, name: str) -> bool:
    """Whether a word that is as near as a slip can have no meaning of its own."""
    from archspec.diagnostics.torch_names import is_name_or_argument  # for a mistake alone

    if min(len(word), len(name)) < 4:
        return False
    wanted, digits = _DIGITS.findall(name), _DIGITS.findall(word)
    # The dimensions of an op are forgotten easily: `max_pool`.
    forgotten = not digits and re.search(r"\dd$", name)
    if (digits != wanted and not forgotten) if wanted else _NUMBERED.search(word):
        return False
    if (alone := _ALONE.findall(name)) and alone != _ALONE.findall(word):
        return False
    # Two slips at once make other words: `decoders` of `encoders`, `col_pool` of `row_pool`.
    if _slips(name, word, 2) == 2 and not _parts_begin_alike(word, name):
        return False
    return word in (f"{name}s", name.removesuffix("s")) or not is_name_or_argument(word)


def _parts_begin_alike(word: str, name: str) -> bool:
    """Whether the parts between underscores have the same first letters."""
    return [part[:1] for part in word.split("_")] == [part[:1] for part in name.split("_")]


def _stem(name: str) -> str:
    """What stands before the first digit."""
    return _DIGITS.split(name, maxsplit=1)[0]


def _slips(a: str, b: str, most: int) -> int:
    """Letters to change, insert, remove or swap with a neighbour (Damerau's distance).

    Past `most` it is any greater number: most words are so unlike that a few letters show it.
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            break
    return row[-1]
