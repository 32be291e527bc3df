"""What each torch function is in a spec: one handler a function, in a file for its family.

A handler is a function with the decorator `handles`, called once for each recorded call:

    @handles("softmax", "Tensor.softmax")
    def softmax(lift: Lifter, input: Value, dim: int, _stacklevel: int = 3, dtype: Any = None):
        x = lift(input)
        return lift.node("softmax", x, dim=lift.axis(x, dim), axes=x.axes)

- Names are `func.__name__`; with `Tensor.` before it they mean the method alone, which is looked
  for first. A name stands for its in-place form too (`relu` for `relu_`, `__add__` for `__iadd__`):
  a trace has a new version for what is written, so nothing in a handler knows of it.
- After `lift`, the parameters are those of torch's function, names and defaults, so that Python
  binds a call's arguments; take in both spellings where `torch.f` and `Tensor.f` differ. Arguments
  that stay unknown refuse the call by themselves.
- Tensors come as `Value`; `lift(value)` is the `Lifted` that our nodes give for it, made when it is
  first asked for (a `parameter`, a `constant`). A weight that the op owns is not asked for: see
  `lift.weighted`. Numbers that cannot hold the batch go through `lift.number`.
- `lift.node(op, *inputs, axes=..., **arguments)` makes a node, and returns its `Lifted`, or a tuple
  of them where `axes` is a list of several. Arguments that equal the op's defaults may be given:
  they are not written. Without `axes` the inputs must be plain (the batch first, nothing folded
  into it: `lift.plain`), and the axes follow from the recorded shape of the result.
- Axes: `Lifted.axes` says, for each axis of the real tensor, which of our axes it is made of:
  sizes, and None for the batch. (B * windows, T, C) is `((None, 64), (49,), (96,))`; our value is
  (N, 64, 49, 96). `lift.axis(x, dim)` is our number of an axis, and refuses one that holds the
  batch.
- A handler returns a `Lifted`, or a tuple of them as the function returns tensors. Their axes are
  compared with the recorded shapes. To refuse: `raise cannot(message, help=...)`; the line of
  Python is added.

`leaf("torch.nn.modules.rnn.LSTM")` is the same for a module that is recorded as one call; its
handler takes `module` after `lift`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

HANDLERS: dict[str, Callable[..., Any]] = {}
"""Handlers of functions by name."""
LEAVES: dict[str, Callable[..., Any]] = {}
"""Handlers of modules that are recorded whole, by the path of their class."""

F = TypeVar("F", bound=Callable[..., Any])


def handles(*names: str) -> Callable[[F], F]:
    """Enter a handler under these names. A name that is taken is a mistake."""
    return _entering(HANDLERS, names)


def leaf(*paths: str) -> Callable[[F], F]:
    """Enter a handler of modules of these classes and of those below them."""
    return _entering(LEAVES, paths)


def _entering(table: dict[str, Callable[..., Any]], names: tuple[str, ...]) -> Callable[[F], F]:
    def enter(handler: F) -> F:
        for name in names:
            if name in table:
                raise TypeError(f"{name} has two handlers: {table[name]} and {handler}")
            table[name] = handler
        return handler

    return enter


def name_of(function: Callable[..., Any]) -> str:
    """The name of a torch function; that of a method begins with `Tensor.`."""
    name: str = getattr(function, "__name__", type(function).__name__)
    if name in ("__get__", "__set__"):
        return f"Tensor.{function.__self__.__name__}.{name}"  # type: ignore[attr-defined]
    qualified = getattr(function, "__qualname__", name)
    is_method = hasattr(function, "__objclass__") or qualified.startswith("Tensor.")
    return f"Tensor.{name}" if is_method else name


def handler_of(name: str) -> Callable[..., Any] | None:
    """The handler of a function by what `name_of` gives."""
    bare = name.removeprefix("Tensor.")
    for each in (name, bare, _not_in_place(name), _not_in_place(bare)):
        if each in HANDLERS:
            return HANDLERS[each]
    return None


def _not_in_place(name: str) -> str:
    prefix, bare = ("Tensor.", name[7:]) if name.startswith("Tensor.") else ("", name)
    if bare.startswith("__i") and bare.endswith("__"):
        return f"{prefix}__{bare[3:]}"
    return name if bare.endswith("__") else name.removesuffix("_")


def leaf_of(module: Any) -> Callable[..., Any] | None:
    """The handler of a module that is recorded whole, by its class or one above it."""
    for kind in type(module).__mro__:
        found = LEAVES.get(f"{kind.__module__}.{kind.__qualname__}")
        if found is not None:
            return found
    return None


def is_leaf(module: Any) -> bool:
    """Whether a module is recorded as one call."""
    return leaf_of(module) is not None


def load_handlers() -> None:
    """Import every family, each of which enters its handlers."""
    from importlib import import_module
    from pkgutil import iter_modules

    for found in iter_modules(__path__):
        import_module(f"{__name__}.{found.name}")
