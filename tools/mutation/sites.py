"""Where and how a source file can be mutated: small edits of its text, found through its tree.

What no test should hold is left alone: docstrings, annotations, `__all__`, decorators, assertions,
texts of errors and messages, and arguments such as `strict` and `encoding`.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from itertools import pairwise

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, ...]] = {
    ast.Add: ("-",),
    ast.Sub: ("+",),
    ast.Mult: ("+", "//"),
    ast.Div: ("*",),
    ast.FloorDiv: ("*", "/"),
    ast.Mod: ("*",),
    ast.Pow: ("*",),
    ast.BitOr: ("&",),
    ast.BitAnd: ("|",),
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
KEPT_KEYWORDS = {"strict", "encoding", "file", "flush", "stacklevel"}


@dataclass(frozen=True)
class Mutation:
    """One edit: the text of `file` from `start` to `end` becomes `new`.

    `line` is where the edit is. A test that runs a line of `lines` can notice it. If it changes
    what runs `at_import` of the module, any test can.
    """

    kind: str
    file: str
    line: int
    start: int
    end: int
    new: str
    lines: tuple[int, int]
    at_import: bool

    def applied(self, source: str) -> str:
        return source[: self.start] + self.new + source[self.end :]


def mutations(file: str, source: str) -> list[Mutation]:
    """The mutations of a file's text, in its order. A few may not be valid Python."""
    found = set(Finder(file, source).run())
    return sorted(found, key=lambda each: (each.start, each.end, each.kind, each.new))


def is_another_program(source: str, mutation: Mutation) -> bool:
    """Whether the mutated text is valid Python that differs in more than its looks."""
    try:
        tree = ast.parse(mutation.applied(source))
    except SyntaxError:
        return False
    return ast.dump(tree) != ast.dump(ast.parse(source))


class Finder:
    """Walks a file's tree, and knows which statement and function it is in."""

    def __init__(self, file: str, source: str) -> None:
        self.file, self.source = file, source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.rows = source.splitlines()
        self.found: list[Mutation] = []
        self.lines = (1, 1)
        self.inside = False  # of a function

    def run(self) -> list[Mutation]:
        for statement in ast.parse(self.source).body:
            self.statement(statement)
        return self.found

    # --- places in the text --------------------------------------------------------------------

    def offset(self, line: int, column: int) -> int:
        """The offset of a place, whose column is in bytes as in the tree."""
        return self.starts[line - 1] + len(self.rows[line - 1].encode()[:column].decode())

    def start(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        return self.offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.offset(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.expr | ast.keyword) -> str:
        return self.source[self.start(node) : self.end(node)]

    def add(self, kind: str, start: int, end: int, new: str) -> None:
        line = self.source.count("\n", 0, start) + 1
        # The number of lines stays, so that the rest of the file keeps its place.
        new += "\n" * (self.source.count("\n", start, end) - new.count("\n"))
        edit = Mutation(kind, self.file, line, start, end, new, self.lines, not self.inside)
        self.found.append(edit)

    def replace(self, kind: str, node: ast.expr | ast.stmt, new: str) -> None:
        self.add(kind, self.start(node), self.end(node), new)

    def operator(self, kind: str, left: ast.expr, right: ast.expr, news: tuple[str, ...]) -> None:
        """The operator between two operands, without parentheses and comments around it."""
        start, end = self.end(left), self.start(right)
        between = self.source[start:end]
        try:
            found = list(tokenize.generate_tokens(io.StringIO(f"({between}\n)").readline))
        except (tokenize.TokenError, IndentationError):
            return
        words = [
            t for t in found if t.type in (tokenize.OP, tokenize.NAME) and t.string not in "()"
        ]
        if not words:
            return
        starts = [0, *(i + 1 for i, c in enumerate(between) if c == "\n")]
        first, last = words[0], words[-1]
        # The parenthesis that was put before the text moves the first line by one.
        a = starts[first.start[0] - 1] + first.start[1] - (first.start[0] == 1)
        b = starts[last.end[0] - 1] + last.end[1] - (last.end[0] == 1)
        for new in news:
            self.add(kind, start + a, start + b, new)

    # --- statements ----------------------------------------------------------------------------

    def body(self, statements: list[ast.stmt]) -> None:
        for number, statement in enumerate(statements):
            docstring = isinstance(statement, ast.Expr) and isinstance(
                statement.value, ast.Constant
            )
            if not (docstring and number == 0):
                self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        inner: list[ast.stmt] = getattr(node, "body", [])
        last = inner[0].lineno - 1 if inner else node.end_lineno or node.lineno
        self.lines = (node.lineno, max(last, node.lineno))
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.function(node)
            case ast.ClassDef():
                self.body(node.body)
            case ast.Assert() | ast.Import() | ast.ImportFrom():
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                pass
            case _:
                self.removal(node)
                self.inner_of(node)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.expression(default)
        match node.body:
            case [*body, ast.Return(value=ast.Constant(value=None))]:
                pass  # a function without `return` gives None too
            case body:
                pass
        outside, self.inside = self.inside, True
        self.body(body)
        self.inside = outside

    def removal(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete():
                self.replace("removed statement", node, "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                self.replace("removed statement", node, "pass")
            case ast.Return(value=ast.expr()) | ast.Break() | ast.Continue():
                self.replace("removed statement", node, "pass")

    def inner_of(self, node: ast.stmt) -> None:
        """The expressions of a statement, then the statements in it."""
        if isinstance(node, ast.Raise):
            return  # what an error says
        if isinstance(node, ast.If | ast.While):
            self.condition(node.test)
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr) and name != "annotation":
                self.expression(value)
            elif isinstance(value, list):
                for each in value:
                    if isinstance(each, ast.expr):
                        self.expression(each)
                    elif isinstance(each, ast.withitem):
                        self.expression(each.context_expr)
                    elif isinstance(each, ast.match_case):
                        self.case(each)
                    elif isinstance(each, ast.excepthandler):
                        self.body(each.body)
        for name in ("body", "orelse", "finalbody"):
            self.body(getattr(node, name, []))

    def case(self, node: ast.match_case) -> None:
        if node.guard is not None:
            self.condition(node.guard)
            self.expression(node.guard)
        self.body(node.body)

    # --- expressions ---------------------------------------------------------------------------

    def condition(self, test: ast.expr) -> None:
        if not isinstance(test, ast.Compare | ast.UnaryOp):  # their own mutations negate them
            self.replace("negated condition", test, f"not ({self.text(test)})")
        self.replace("dropped condition", test, "True")
        self.replace("dropped condition", test, "False")

    def expression(self, node: ast.expr) -> None:
        match node:
            case ast.JoinedStr():
                return  # a text for people
            case ast.Constant():
                self.constant(node)
            case ast.Compare():
                for left, op, right in zip(
                    [node.left, *node.comparators], node.ops, node.comparators, strict=False
                ):
                    self.operator("comparison", left, right, COMPARISONS[type(op)])
            case ast.BoolOp():
                self.boolean(node)
            case ast.BinOp():
                self.operator(
                    "arithmetic", node.left, node.right, ARITHMETIC.get(type(node.op), ())
                )
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                self.replace("dropped sign", node, f"({self.text(node.operand)})")
            case ast.IfExp():
                self.condition(node.test)
            case ast.Call():
                self.call(node)
            case ast.Lambda():
                self.lambda_(node)
                return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child)
            elif isinstance(child, ast.keyword) and child.arg not in KEPT_KEYWORDS:
                self.expression(child.value)
            elif isinstance(child, ast.comprehension):
                self.comprehension(child)

    def lambda_(self, node: ast.Lambda) -> None:
        outside, self.inside = self.inside, True
        self.expression(node.body)
        self.inside = outside

    def comprehension(self, node: ast.comprehension) -> None:
        self.expression(node.iter)
        for test in node.ifs:
            self.condition(test)
            self.expression(test)

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.replace("constant", node, str(not value))
        elif isinstance(value, int):
            self.replace("constant", node, str(value + 1))
            if value > 0:
                self.replace("constant", node, str(value - 1))
        elif isinstance(value, float):
            self.replace("constant", node, repr(value * 2 if value else 1.0))
            self.replace("constant", node, repr(value / 2 if value else -1.0))

    def boolean(self, node: ast.BoolOp) -> None:
        other = "or" if isinstance(node.op, ast.And) else "and"
        values = node.values
        for left, right in pairwise(values):
            self.operator("boolean operator", left, right, (other,))
        for value in values:
            neutral = "True" if isinstance(node.op, ast.And) else "False"
            self.replace("dropped condition", value, neutral)

    def call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
        if name in NAMES:
            end = self.end(node.func)
            self.add("swapped function", end - len(name), end, NAMES[name])
        for one, other in pairwise(node.args):
            starred = isinstance(one, ast.Starred) or isinstance(other, ast.Starred)
            if not starred and name not in ("min", "max"):  # theirs have no order
                between = self.source[self.end(one) : self.start(other)]
                swapped = self.text(other) + between + self.text(one)
                self.add("swapped arguments", self.start(one), self.end(other), swapped)
        for before, argument in pairwise([*node.args, *node.keywords]):
            name = getattr(argument, "arg", None)  # of a keyword
            if name and name not in KEPT_KEYWORDS:
                self.add("dropped argument", self.end(before), self.end(argument), "")
