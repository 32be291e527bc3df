"""What the calls of an ejected file make, without running any: modules, leaves and symbols."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from archspec.ejecting.constructors import defaults_of
from archspec.ejecting.symbols import Differs, Field, Made, Symbol, Symbols, Tie
from archspec.ejecting.view import imported

TAKEN = frozenset(dir(nn.Module()))
"""Attributes of every module, which hide a child of the same name."""
_NOWHERE = inspect.Parameter.empty

BUILTINS: Mapping[str, Callable[..., Any]] = {
    "range": lambda *given: list(range(*given)),
    "enumerate": lambda given: list(enumerate(iterated(given))),
    "zip": lambda *given, strict=False: list(zip(*map(iterated, given), strict=strict)),
    "len": lambda given: len(iterated(given)),
    "OrderedDict": lambda *given, **more: {**dict(*given), **more},
    **{each.__name__: each for each in (tuple, list, int, float, max, min, bool, sum, abs)},
}


def iterated(value: Any) -> Sequence[Any]:
    """What a loop walks."""
    if isinstance(value, Made):
        return list(value.children.values())
    if isinstance(value, str) or is_items(value):
        return value  # type: ignore[no-any-return]
    raise Differs("a loop over what is no list")


def is_items(value: Any) -> bool:
    """Whether it is a plain tuple or list. Symbols are tuples too."""
    return type(value) in (tuple, list)


def is_symbolic(value: Any) -> bool:
    """Whether only a run would say what it is."""
    if is_items(value):
        return any(map(is_symbolic, value))
    return isinstance(value, Symbol | Field | Made)


def construct(
    path: str, given: Sequence[Any], more: Mapping[str, Any], symbols: Symbols
) -> Made | Symbol:
    """The leaf that a class makes, or what a function gives, with all its arguments by name."""
    defaults, _ = defaults_of(path)
    if len(given) > len(defaults) or (defaults and more.keys() - defaults.keys()):
        raise Differs(f"a call of {path} with arguments that it does not have")
    said = {**dict(zip(defaults, given, strict=False)), **more}
    found: dict[str, Any] = {}
    for name, default in (defaults or dict.fromkeys(said, _NOWHERE)).items():
        value = said.get(name, default)
        if value is _NOWHERE:
            raise Differs(f"a call of {path} without {name}")
        same = not is_symbolic(value) and value == default
        same = same and isinstance(value, bool) is isinstance(default, bool)
        found[name] = default if same else value
    new = symbols.of("new", path, *sorted(found.items()))
    return Made("module", new) if inspect.isclass(imported(path)) else new


def chain(name: str, given: Sequence[Any]) -> Made:
    """An `nn.Sequential`, `nn.ModuleList` or plain `nn.Module`."""
    made = Made()
    made.is_chain, made.is_list = name == "Sequential", name == "ModuleList"
    inside = given[0] if made.is_list and given else given
    if made.is_chain and len(given) == 1 and isinstance(given[0], dict):
        made.children = dict(given[0])
    else:
        made.children = {str(number): each for number, each in enumerate(inside)}
    if not all(isinstance(each, Made) for each in made.children.values()):
        raise Differs("a chain of what is no module")
    return made


class Methods:
    """The methods of modules that a constructor calls."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.ties: list[Tie] = []

    def add_module(self, made: Made, name: str, value: Made) -> None:
        self._check_free(made, name)
        made.children[name] = value

    def append(self, made: Made, value: Made) -> None:
        made.children[str(len(made.children))] = value

    def register_parameter(self, made: Made, name: str, value: Any) -> None:
        if made.new is not None and value is None:
            made.extras.append(self.symbols.of("without", name))
            return
        self._check_free(made, name)
        made.children[name] = value

    def register_buffer(self, made: Made, name: str, value: Any, persistent: bool = True) -> None:
        self._check_free(made, name)
        made.children[name] = as_buffer(value)
        made.children[name].keyless = not persistent

    def requires_grad_(self, made: Made, flag: bool) -> None:
        made.frozen = not flag

    def get_submodule(self, made: Made, path: str) -> Made:
        for name in path.split("."):
            if name not in made.children:
                raise Differs(f"no module {path}")
            made = made.children[name]
        return made

    def _check_free(self, made: Made, name: str) -> None:
        taken = name in TAKEN or name in made.stored or name in made.children
        if taken or not name or "." in name:
            raise Differs(f"torch refuses a child of the name {name!r}")

    def set(self, of: Any, name: str, value: Any) -> None:
        """An assignment to an attribute."""
        if isinstance(value, Field | Made) and (isinstance(of, Field) or of.new is not None):
            base = of if isinstance(of, Field) else Field(of, "")
            target = f"{base.name}.{name}" if base.name else name
            giver = value if isinstance(value, Field) else Field(value, "")
            self.ties.append(Tie(base.of, target, giver.of, giver.name))
        elif isinstance(value, Made):
            if value.kind != "module":
                self._check_free(of, name)
            of.stored.pop(name, None)
            of.children[name] = value
        elif isinstance(of, Made):
            of.stored[name] = value
        else:
            raise Differs(f"an assignment to {name}")


def as_buffer(value: Any) -> Made:
    """A tensor as a child."""
    return value if isinstance(value, Made) else Made("buffer", value)
