"""The text of an ejected file, read as the program that it is: which modules it makes, and how they
are wired. Nothing of it runs.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from archspec.ejecting.calling import (
    BUILTINS,
    TAKEN,
    Methods,
    chain,
    construct,
    is_items,
    is_symbolic,
    iterated,
)
from archspec.ejecting.symbols import Differs, Field, Global, Made, Symbol, Symbols
from archspec.record import Record

Env = dict[str, Any]
_NOTHING = object()
"""What statements give that do not return."""
_GLOBALS = {
    "torch": Global("torch"),
    "nn": Global("torch.nn"),
    "F": Global("torch.nn.functional"),
}
_OPERATORS: Mapping[str, Any] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "USub": operator.neg,
    "Not": operator.not_,
    "In": lambda a, b: a in b,
    "NotIn": lambda a, b: a not in b,
    "UAdd": operator.pos,
    "MatMult": operator.matmul,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
    "Invert": operator.invert,
}


class Ran(Record):
    """A module of a class of the file that ran, with what it was given and what it gave."""

    path: str
    given: Symbol
    result: Symbol


class Interpreter:
    """Reads the classes of one file. `paths` are those of the names that the file imports.

    `training` is what modules find in `self.training`.
    """

    def __init__(self, text: str, paths: Mapping[str, str], symbols: Symbols) -> None:
        tree = ast.parse(text)
        self.classes = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef)}
        self.paths, self.symbols, self.training = paths, symbols, False
        self.methods = Methods(symbols)
        self.ran: list[Ran] = []
        # The classes whose code runs, the innermost last. They stay where something differs.
        self.inside: list[str] = []

    # --- statements -----------------------------------------------------------------------------

    def run(self, body: Sequence[ast.stmt], env: Env) -> Any:
        """Runs statements; what they return, or a mark that they return nothing."""
        for each in body:
            if (given := self._statement(each, env)) is not _NOTHING:
                return given
        return _NOTHING

    def _statement(self, node: ast.stmt, env: Env) -> Any:
        match node:
            case ast.Return(value=ast.expr() as value):
                return self.value(value, env)
            case ast.Assign(targets=[target], value=value):
                self._assign(target, self.value(value, env), env)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self.value(value, env), env)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                env[name] = self._operate(op, env[name], self.value(value, env))
            case ast.If(test=test, body=body, orelse=orelse):
                return self.run(body if self._truth(self.value(test, env)) else orelse, env)
            case ast.For(target=target, iter=walked, body=body):
                if not _walks_modules(walked):
                    return self._for(target, self.value(walked, env), body, env)
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Expr(value=ast.Call() as call):
                self._do(call, env)
            case _:
                raise Differs(f"a statement that is not known: {ast.unparse(node)[:60]}")
        return _NOTHING

    def _for(self, target: ast.expr, walked: Any, body: Sequence[ast.stmt], env: Env) -> Any:
        for each in iterated(walked):
            self._assign(target, each, env)
            if (given := self.run(body, env)) is not _NOTHING:
                return given
        return _NOTHING

    def _do(self, call: ast.Call, env: Env) -> None:
        """A call for what it does: of a method, or of a function that changes a module."""
        if ast.unparse(call.func).startswith("nn.init."):
            return  # first values come from the graph, by the paths of weights
        if ast.unparse(call.func) == "super().__init__":
            given = self._items(call.args, env)
            env["self"].children.update(chain("Sequential", given).children)
            return
        given, more = self._arguments(call, env)
        if ast.unparse(call.func).endswith("._non_persistent_buffers_set.add"):
            assert isinstance(call.func, ast.Attribute) and isinstance(
                call.func.value, ast.Attribute
            )
            self.value(call.func.value.value, env).children[given[0]].keyless = True
            return
        if isinstance(call.func, ast.Name) and given and isinstance(given[0], Made):
            path = self.paths.get(call.func.id, call.func.id)
            given[0].extras.append(self.symbols.of("computed", path, given[1:], more))
            return
        self._called(call.func, given, more, env)

    def _assign(self, target: ast.expr, value: Any, env: Env) -> None:
        match target:
            case ast.Name(id=name):
                env[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part, each in zip(parts, self.unpacked(value, len(parts)), strict=True):
                    self._assign(part, each, env)
            case ast.Attribute(value=of, attr=name):
                self.methods.set(self.value(of, env), name, value)
            case ast.Subscript(value=ast.Attribute(value=of), slice=ast.Constant(value=name)):
                made = self.value(of, env)
                made.children[name] = value if isinstance(value, Made) else Made("buffer", value)
            case _:
                raise Differs("an assignment that is not known")

    def unpacked(self, value: Any, count: int) -> Sequence[Any]:
        if is_items(value):
            if len(value) != count:
                raise Differs("another number of values than names")
            return value  # type: ignore[no-any-return]
        return [self.symbols.of("unpacked", value, number) for number in range(count)]

    def _truth(self, value: Any) -> bool:
        if is_symbolic(value) and not isinstance(value, Made):
            raise Differs("a condition that only a run could decide")
        return bool(value)

    # --- expressions ----------------------------------------------------------------------------

    def value(self, node: ast.expr, env: Env) -> Any:
        """What an expression gives."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._named(name, env)
            case ast.Attribute(value=of, attr=name):
                return self._attribute(self.value(of, env), name)
            case ast.Call(func=func):
                given, more = self._arguments(node, env)
                return self._called(func, given, more, env)
            case ast.Tuple(elts=parts):
                return tuple(self._items(parts, env))
            case ast.List(elts=parts):
                return self._items(parts, env)
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return {self.value(k, env): self.value(v, env) for k, v in pairs if k}
            case ast.BinOp(left=left, op=op, right=right):
                return self._operate(op, self.value(left, env), self.value(right, env))
            case ast.UnaryOp(op=op, operand=operand):
                return self._operate(op, self.value(operand, env))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                chosen = self._truth(self.value(test, env))
                return self.value(body if chosen else orelse, env)
        return self._other(node, env)

    def _other(self, node: ast.expr, env: Env) -> Any:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._compare(op, self.value(left, env), self.value(right, env))
            case ast.BoolOp(op=op, values=values):
                stop = isinstance(op, ast.Or)
                found: Any = None
                for each in values:
                    found = self.value(each, env)
                    if self._truth(found) is stop:
                        break
                return found
            case ast.Subscript(value=of, slice=position):
                return self._item(self.value(of, env), self.value(position, env))
            case ast.Slice(lower=lower, upper=upper, step=step):
                bounds = [None if b is None else self.value(b, env) for b in (lower, upper, step)]
                return slice(bounds[0], bounds[1], None if bounds[2] == 1 else bounds[2])
            case ast.JoinedStr(values=values):
                return "".join([self._text(each, env) for each in values])
            case (
                ast.ListComp(elt=elt, generators=[each])
                | ast.GeneratorExp(elt=elt, generators=[each])
            ):
                inside = dict(env)
                made = []
                for item in iterated(self.value(each.iter, env)):
                    self._assign(each.target, item, inside)
                    made.append(self.value(elt, inside))
                return made
        raise Differs(f"an expression that is not known: {ast.unparse(node)[:60]}")

    def _text(self, node: ast.expr, env: Env) -> str:
        inner = node.value if isinstance(node, ast.FormattedValue) else node
        return str(self.value(inner, env))

    def _named(self, name: str, env: Env) -> Any:
        if name in env:
            return env[name]
        return _GLOBALS.get(name) or Global(self.paths.get(name, name))

    def _attribute(self, of: Any, name: str) -> Any:
        if isinstance(of, Global):
            return Global(f"{of.path}.{name}")
        if isinstance(of, Field):
            return Field(of.of, f"{of.name}.{name}")
        if not isinstance(of, Made):
            return self.symbols.of("attribute", of, name)
        if name in of.stored:
            return of.stored[name]
        if name == "training":
            return self.training
        if of.new is not None:
            return Field(of, name)
        if name in ("_modules", "_parameters", "_buffers"):
            return dict(of.children)
        if name in TAKEN or name not in of.children:
            raise Differs(f"no attribute {name}")
        return of.children[name]

    def _item(self, of: Any, position: Any) -> Any:
        if isinstance(of, Made) and of.new is None:
            of, position = of.children, str(position)
        if (is_items(of) or isinstance(of, dict)) and not is_symbolic(position):
            try:
                return of[position]
            except (KeyError, IndexError) as error:
                raise Differs(f"nothing at {position}") from error
        return self.symbols.of("item", of, position)

    def _operate(self, op: ast.AST, *values: Any) -> Any:
        name = type(op).__name__
        if is_symbolic(values) and not (name == "Add" and isinstance(values[0], list)):
            return self.symbols.of(name, *values)
        try:
            return _OPERATORS[name](*values)
        except (TypeError, ZeroDivisionError) as error:
            raise Differs(f"numbers that cannot be computed: {values}") from error

    def _compare(self, op: ast.AST, left: Any, right: Any) -> Any:
        if isinstance(op, ast.Is | ast.IsNot):
            return (left is right) is isinstance(op, ast.Is)
        return self._operate(op, left, right)

    # --- calls ----------------------------------------------------------------------------------

    def _items(self, parts: Sequence[ast.expr], env: Env) -> list[Any]:
        found: list[Any] = []
        for part in parts:
            if isinstance(part, ast.Starred):
                found += iterated(self.value(part.value, env))
            else:
                found.append(self.value(part, env))
        return found

    def _arguments(self, call: ast.Call, env: Env) -> tuple[list[Any], dict[str, Any]]:
        more = {each.arg: self.value(each.value, env) for each in call.keywords if each.arg}
        return self._items(call.args, env), more

    def _called(self, func: ast.expr, given: list[Any], more: dict[str, Any], env: Env) -> Any:
        if isinstance(func, ast.Attribute):
            of = self.value(func.value, env)
            if isinstance(of, list) and func.attr == "append":
                return of.append(*given)
            if isinstance(of, Made) and hasattr(self.methods, func.attr):
                return getattr(self.methods, func.attr)(of, *given, **more)
            target = self._attribute(of, func.attr)
        elif isinstance(func, ast.Name) and func.id == "getattr":
            return self._attribute(given[0], str(given[1]))
        elif isinstance(func, ast.Name) and func.id in self.classes:
            return self.instance(func.id, given, more)
        else:
            target = self.value(func, env)
        if isinstance(target, Made):
            return self.applied(target, given, more)
        if not isinstance(target, Global):
            return self.symbols.of("call", target, given, more)
        return self._built(target.path, given, more)

    def _built(self, path: str, given: list[Any], more: dict[str, Any]) -> Any:
        """What a class or function of another package gives."""
        if path in BUILTINS and not any(isinstance(each, Symbol) for each in given):
            return BUILTINS[path](*given, **more)
        if path == "torch.nn.Parameter":
            return Made("parameter", self.symbols.of("call", path, given, more))
        package, _, name = path.rpartition(".")
        if path in ("torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.Module"):
            return chain(name, given)
        if path in self.paths.values() or package == "torch.nn":
            return construct(path, given, more, self.symbols)
        return self.symbols.of("call", Global(path), given, more)

    def instance(self, name: str, given: Sequence[Any], more: Mapping[str, Any]) -> Made:
        """A module of a class of the file."""
        made = Made(of=name)
        made.is_chain = any(ast.unparse(each) == "nn.Sequential" for each in self._bases(name))
        method = self._method(name, "__init__")
        if method is None and not made.is_chain:
            return made
        assert method is not None
        self.inside.append(name)
        self.run(method.body, self._bound(method, [made, *given], more))
        self.inside.pop()
        return made

    def _bases(self, name: str) -> Sequence[ast.expr]:
        return self.classes[name].bases

    def _method(self, of: str, name: str) -> ast.FunctionDef | None:
        body = self.classes[of].body
        found = [each for each in body if isinstance(each, ast.FunctionDef) and each.name == name]
        return found[0] if found else None

    def _bound(self, method: ast.FunctionDef, given: Sequence[Any], more: Mapping[str, Any]) -> Env:
        names = [each.arg for each in method.args.args]
        defaults = method.args.defaults
        env = {
            name: self.value(default, {})
            for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True)
        }
        env |= dict(zip(names, given, strict=False)) | dict(more)
        if len(given) > len(names) or env.keys() != set(names):
            raise Differs(f"a call of {method.name} with other arguments than it has")
        return env

    def applied(self, made: Made, given: Sequence[Any], more: Mapping[str, Any]) -> Any:
        """What a module gives."""
        if made.new is not None:
            return self.symbols.of("applied", made, given, more)
        method = None if made.of is None else self._method(made.of, "forward")
        result: Any
        self.inside += [made.of] if made.of else []
        if method is not None:
            result = self.run(method.body, self._bound(method, [made, *given], more))
        elif made.is_chain and len(given) == 1:
            (result,) = given
            for each in made.children.values():
                result = self.applied(each, [result], {})
        else:
            raise Differs("a call of what is no module")
        del self.inside[len(self.inside) - bool(made.of) :]
        path = self.symbols.paths[id(made)]
        self.ran.append(Ran(path, self.symbols.of(*given), self.symbols.of(result)))
        return result


def _walks_modules(walked: ast.expr) -> bool:
    """Whether a loop fills kernels, which come from the graph."""
    return ast.unparse(walked) == "self.modules()"
