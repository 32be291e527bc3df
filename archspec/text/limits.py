"""Bounds on the work that any text can cause, stated in one place."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.record import Record


class Limits(Record):
    """Upper bounds. Each is named in the error it causes; a caller may raise them."""

    text_bytes: int = 4_000_000
    """Size of one file."""
    nesting: int = 150
    """Depth of nested YAML collections; libyaml itself allows 1,000 from its version 0.2.6 on."""
    depth: int = 60
    """Groups and blocks within each other, in the text or in the expanded graph."""
    values: int = 500_000
    """YAML values of one file, aliases counted at every use."""
    scalar_length: int = 20_000
    """Characters of one scalar."""
    expression_length: int = 2_000
    """Characters of one expression."""
    expression_depth: int = 60
    """Nesting of one expression."""
    list_length: int = 100_000
    """Elements of one list made by an expression."""
    evaluation_steps: int = 2_000_000
    """Work of one compilation: list elements that its expressions make or walk, nodes that are met,
    iterations and the names that each of them sees."""
    repeat: int = 100_000
    """Iterations of one repeat."""
    nodes: int = 100_000
    """Nodes of the expanded graph, those of a reused block counted once."""
    runs: int = 1_000_000
    """Ops that one pass through the graph runs, those of a reused block at every use."""
    errors: int = 200
    """Mistakes that one answer lists, and warnings; the search for more mistakes ends there."""
    files: int = 64
    """Files that one spec may bring in by `extends` and `use`."""
    modules: tuple[str, ...] = ()
    """Packages whose code `module` nodes may run, by name: those below one are allowed with it."""

    def check(self, name: str, value: int, what: str) -> None:
        """Refuse where `value` is over the limit called `name`."""
        limit: int = getattr(self, name)
        if value > limit:
            raise Refusal(
                f"{what} is over the limit of {limit:,} ({name})",
                code=Code.LIMIT,
                expected=f"at most {limit:,}",
                found=f"{value:,}" if value < 10**18 else "far more",
                help=f"a caller can raise it: load(..., limits=Limits({name}=...))",
            )

    def check_module(self, path: str) -> None:
        """Refuse the code at `path` of a package that is not allowed."""
        if not any(f"{path}.".startswith(f"{package}.") for package in self.modules):
            package = path.partition(".")[0]
            raise Refusal(
                f"{path} is code of the package {package}, which is not allowed",
                code=Code.MODULE,
                help=f"where you trust it, allow it: --allow-module {package}, "
                f"or load(..., allow_modules=[{package!r}])",
            )


DEFAULT = Limits()
