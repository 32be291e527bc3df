"""Names for parameters by what all of them are for: they are found one by one."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.folding.class_scope import Made
from archspec.folding.columns import Column
from archspec.folding.naming import Names
from archspec.folding.scopes import RESERVED
from archspec.folding.terms import Constant, Item, Name, Term

_SIZES = {"out_channels": "channels", "out_features": "features"}
_VAGUE = frozenset(("shape", "unflattened_size", "value", "size", "dims", "full", "axes"))
_OTHERS = {"p": "drop_rate", "dropout_p": "drop_rate"}

FEWEST_LISTED = 3
"""So many numbers of channels are one list: `channels: [64, 96, 128]`."""


class Renamed:
    """New names for parameters.

    `terms` are what stands for the old ones, `lists` the parameters that became one list.
    """

    def __init__(self, params: Sequence[Made], gives: Sequence[Column], taken: set[str]) -> None:
        self.terms: dict[str, Term] = {}
        self.lists: dict[str, list[Made]] = {}
        free = [each for each in params if not each.derived and not each.is_known]
        fixed = {each.name for each in params if each not in free}
        self.names = Names({*RESERVED, *fixed, *taken})
        for word, plural in _SIZES.items():
            of_word = [each for each in free if _word(each) == word]
            self._sizes(of_word, word, plural, gives)
            free = [each for each in free if each not in of_word]
        for each in free:
            self._rename(each, _word(each))

    def _sizes(self, params: list[Made], word: str, plural: str, gives: Sequence[Column]) -> None:
        """What a list gives is called so; what it computes with has other names."""
        last = [each for each in params if any(each.column.within(column) for column in gives)]
        others = [each for each in params if each not in last[-1:]]
        for each in last[-1:]:
            self._rename(each, word)
        if len(others) >= FEWEST_LISTED:
            name = self.names.new(plural)
            self.lists[name] = others
            for number, each in enumerate(others):
                self.terms[each.name] = Item(Name(name), Constant(number))
            return
        inner = last or len(others) > 1 or plural in self.names.taken
        for each in others:
            self._rename(each, "hidden" if inner else plural)

    def _rename(self, made: Made, word: str) -> None:
        name = self.names.new(word)
        self.terms[made.name] = Name(name)


def _word(made: Made) -> str:
    words = [_OTHERS.get(word, word) for word in made.wanted]
    return next((word for word in words if word not in _VAGUE), "size")
