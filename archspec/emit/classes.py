"""Classes of emitted modules: made from source text, equal for equal text, picklable by value.

A generated class exists in no file, so pickle cannot find it by name. Its instances carry the
class's name and source instead, and the class is made again where they are loaded.

`inspect.getsource` finds the text of a class by the file of its module, so each class has a module
of its own: an empty one, whose file is the class's text in `linecache`.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
import textwrap
import types
import weakref
from typing import Any, ClassVar

from torch import nn

from archspec.emit import namespace


class Aside(nn.Module):
    """Keeps torch's own attributes where a child bears the name of one, as `training`."""

    def __setattr__(self, name: str, value: Any) -> None:
        own = vars(self)
        hidden = name in own and any(
            name in own[held] for held in ("_modules", "_parameters", "_buffers")
        )
        if hidden:
            own[name] = value
        else:
            super().__setattr__(name, value)


class _ByValue(nn.Module):
    """Pickles and copies instances of a generated class by its name and source.

    A class that others derive from a generated one, as FSDP and parametrizations do, is pickled
    in torch's own way.
    """

    code: ClassVar[str | None] = None
    """Source of the generated `forward`; None where `nn.Sequential` does the work."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        cls = type(self)
        if "code" not in vars(cls):
            return super().__reduce_ex__(protocol)
        aside = (True,) if issubclass(cls, Aside) else ()
        return _restore, (cls.__name__, cls.code, *aside), vars(self)


class Generated(_ByValue):
    """Base of the modules whose `forward` is generated; `code` holds its source."""

    code: ClassVar[str]


class Chain(_ByValue, nn.Sequential):
    """Base of the blocks that are plain chains: an `nn.Sequential` with the block's name."""


_classes: weakref.WeakValueDictionary[tuple[str, str | None, bool], type[_ByValue]] = (
    weakref.WeakValueDictionary()
)


def make_class(name: str, source: str | None, aside: bool = False) -> type[_ByValue]:
    """The class `name` whose `forward` has this source, or a `Chain` where there is none.

    With `aside` its children may bear names of torch's attributes. Equal arguments give one class
    as long as an instance of it lives.
    """
    cls = _classes.get((name, source, aside))
    if cls is None:
        digest = hashlib.sha256(f"{name}\n{source}\n{aside}".encode()).hexdigest()[:12]
        module = f"{namespace.__name__}.{name}_{digest}"
        members: dict[str, Any] = {"code": source, "__module__": module, "__firstlineno__": 1}
        if source is None:
            cls = type(name, (Chain,), members)
            body = '"""A chain of its children, in their order."""\n'
        else:
            filename = f"<archspec {name} {digest}>"
            members["forward"] = make_function(source, filename, vars(namespace))
            cls = type(name, (Aside, Generated) if aside else (Generated,), members)
            body = source
            _keep_source(cls, filename, source)
        bases = ", ".join(base.__name__ for base in cls.__bases__)
        sys.modules[module] = types.ModuleType(module)
        sys.modules[module].__file__ = f"<archspec class {name} {digest}>"
        weakref.finalize(cls, sys.modules.pop, module, None)
        text = f"class {name}({bases}):\n{textwrap.indent(body, '    ')}"
        _keep_source(cls, f"<archspec class {name} {digest}>", text)
        _classes[name, source, aside] = cls
    return cls


def _keep_source(cls: type, filename: str, text: str) -> None:
    """Tracebacks, debuggers and `inspect.getsource` find the text as long as the class lives."""
    # Without a time it is never stale.
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    weakref.finalize(cls, linecache.cache.pop, filename, None)


def make_function(source: str, filename: str, variables: dict[str, Any]) -> types.FunctionType:
    """The one function that `source` defines, with `variables` as its globals.

    The text is compiled but never executed: a definition needs no run to yield its code.
    """
    module = compile(source, filename, "exec", dont_inherit=True)
    (code,) = (const for const in module.co_consts if isinstance(const, types.CodeType))
    return types.FunctionType(code, variables)


def class_name(name: str) -> str:
    """The name of a block or spec as a class name: `vgg_block` becomes `VggBlock`."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name).split()
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return f"Net{joined}" if not joined or joined[0].isdigit() else joined


def _restore(name: str, source: str | None, aside: bool = False) -> nn.Module:
    cls = make_class(name, source, aside)
    return cls.__new__(cls)
