"""Puts nodes into a tree of lists: where their weights are, and else where they are computed.

A list is a module of the spec. One whose nodes read what is computed from it, outside, in a circle
is dissolved: its nodes join the list around it under names with dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from archspec.importing.lifting import Edge, Node
from archspec.importing.trace import Invocation, cannot, refused


class Scope:
    """A list at a path. `name` is how the list around it calls it, which may have dots."""

    __slots__ = ("items", "name", "names", "path")

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name
        self.items: list[Item] = []
        self.names: dict[Item, str] = {}

    def nodes(self) -> Iterator[Node]:
        for item in self.items:
            yield from nodes_of(item)

    def __repr__(self) -> str:
        return f"<scope {self.path or 'of the network'}: {len(self.items)} items>"


class Share:
    """A module that is applied again: `nodes` are those of this use, `of` is its first one."""

    __slots__ = ("items", "of")

    def __init__(self, of: str, items: list[Node]) -> None:
        self.of, self.items = of, items

    def __repr__(self) -> str:
        return f"<share of {self.of}>"


Item: TypeAlias = Node | Scope | Share


def nodes_of(item: Item) -> Iterator[Node]:
    """Every node of an item, at any depth."""
    if isinstance(item, Node):
        yield item
    elif isinstance(item, Share):
        yield from item.items
    else:
        yield from item.nodes()


def arranged(nodes: Sequence[Node], keys: Sequence[str], tied: Iterable[Sequence[str]]) -> Scope:
    """The tree of the nodes. `keys` are those of the state dict, whose order lists keep.

    `tied` are keys of one parameter each, whose owners must stand in one list.

    Raises `SpecError` where a module is applied again out of reach of its first use.
    """
    root = _placed(nodes)
    _without_sources(root)
    for group in tied:
        _bring_together(root, group)
    _without_cycles(root)
    order = {key: number for number, key in enumerate(keys)}
    _sort(root, {node: number for number, node in enumerate(nodes)}, order)
    return root


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _placed(nodes: Sequence[Node]) -> Scope:
    """Every node in the list of its path, in the order of the run."""
    owners = {node.owner for node in nodes if node.owner is not None}
    paths = {""}
    for owner in owners:
        path = _parent(owner)
        while path not in paths:
            paths.add(path)
            path = _parent(path)
    scopes = {"": Scope("", "")}

    def scope_at(path: str) -> Scope:
        if path not in scopes:
            around = scope_at(_parent(path))
            scopes[path] = Scope(path, path.rpartition(".")[2])
            around.items.append(scopes[path])
        return scopes[path]

    counts: dict[int, int] = {}
    for node in nodes:
        counts[id(node.inside)] = counts.get(id(node.inside), 0) + 1
    shares: dict[object, Share] = {}
    seen: set[str] = set()
    for node in nodes:
        again = _again(node, paths, owners)
        if again is None and node.owner is not None and node.owner in seen:
            here = _list_of(node.inside.path if node.inside else "", paths)
            shares[node] = _shared(scope_at(_parent(node.owner)), node.owner, here, node)
        elif again is not None:
            if again not in shares:
                here = _list_of(again.parent.path if again.parent else "", paths)
                shares[again] = _shared(scope_at(_parent(again.path)), again.path, here, node)
            else:
                shares[again].items.append(node)
        elif node.owner is not None:
            seen.add(node.owner)
            scope = scope_at(_parent(node.owner))
            scope.items.append(node)
            scope.names[node] = node.owner.rpartition(".")[2]
        else:
            _place_freely(node, scope_at, paths, owners, counts)
    return scopes[""]


def _shared(scope: Scope, path: str, here: str, node: Node) -> Share:
    if scope.path != here:
        raise refused(
            cannot(f"{path} is applied again in another part of the module than its first use"),
            node.place,
        )
    made = Share(path, [node])
    scope.items.append(made)
    return made


def _list_of(path: str, paths: set[str]) -> str:
    while path not in paths:
        path = _parent(path)
    return path


def _again(node: Node, paths: set[str], owners: set[str]) -> Invocation | None:
    """The outermost call of a module with weights, around a node, that is not its first."""
    if node.inside is None:
        return None
    found = None
    for each in node.inside.chain():
        if each.number and (
            each.path in paths or (each.path in owners and node.owner == each.path)
        ):
            found = each
    return found


def _place_freely(
    node: Node,
    scope_at: object,
    paths: set[str],
    owners: set[str],
    counts: dict[int, int],
) -> None:
    """A node without keys: in the list that computes it, by its module's name where it has one."""
    path = node.inside.path if node.inside is not None else ""
    scope: Scope = scope_at(_list_of(path, paths))  # type: ignore[operator]
    scope.items.append(node)
    alone = node.inside is not None and counts[id(node.inside)] == 1 and not node.inside.number
    if path not in paths and path not in owners and alone and _parent(path) == scope.path:
        scope.names[node] = path.rpartition(".")[2]


def _without_sources(scope: Scope) -> None:
    """Dissolve lists that read nothing: a block has an input."""
    for item in list(scope.items):
        if isinstance(item, Scope):
            _without_sources(item)
            inside = set(item.nodes())
            read = {edge.node for node in inside for edge in reads_of(node)}
            if read <= inside:
                _dissolve(scope, item)


def _dissolve(scope: Scope, inner: Scope) -> None:
    """Put the items of a list into the one around it, under names with dots."""
    place = scope.items.index(inner)
    scope.items[place : place + 1] = inner.items
    for item in inner.items:
        if isinstance(item, Scope):
            item.name = f"{inner.name}.{item.name}"
        elif item in inner.names:
            scope.names[item] = f"{inner.name}.{inner.names[item]}"
    spread = [item for item in scope.items if isinstance(item, Share) and item.of == inner.path]
    for share in spread:
        _spread(scope, inner, share)


def _spread(scope: Scope, inner: Scope, share: Share) -> None:
    """A share of a list that is dissolved becomes shares of what it held."""
    place = scope.items.index(share)
    first = list(inner.nodes())
    if len(first) != len(share.items):
        raise refused(cannot(f"{share.of} does something else when it is applied again"),
                      share.items[0].place)  # fmt: skip
    again = dict(zip(first, share.items, strict=True))
    made: list[Item] = []
    for item in inner.items:
        nodes = [again[node] for node in nodes_of(item)]
        if isinstance(item, Scope):
            made.append(Share(item.path, nodes))
        elif isinstance(item, Share):
            made.append(Share(item.of, nodes))
        elif item.owner is not None:
            made.append(Share(item.owner, nodes))
        else:
            made += nodes
    scope.items[place : place + 1] = made


def _bring_together(root: Scope, keys: Sequence[str]) -> None:
    """Dissolve lists until the owners of these keys stand in one."""
    while True:
        homes = [_home(root, _parent(key)) for key in keys]
        if any(home is None for home in homes):
            return
        first = homes[0]
        deepest = max(homes, key=lambda home: len(home) if home else 0)
        assert first is not None and deepest is not None
        if all(home is not None and home[-1] is first[-1] for home in homes):
            return
        _dissolve(deepest[-2], deepest[-1])


def _home(scope: Scope, path: str) -> list[Scope] | None:
    """The lists from the root to the one in which the node at a path stands."""
    for item in scope.items:
        if isinstance(item, Node) and item.owner == path:
            return [scope]
        if isinstance(item, Scope):
            found = _home(item, path)
            if found is not None:
                return [scope, *found]
    return None


def reads_of(node: Node) -> Iterator[Edge]:
    """The edges that a node reads, those in the place of its weights among them."""
    yield from node.inputs
    for edge in node.weights.values():
        if isinstance(edge, Edge):
            yield edge


def _dependencies(scope: Scope) -> dict[Item, set[Item]]:
    """For each item of a list those whose values it reads, or whose module it uses again."""
    holder = {node: item for item in scope.items for node in nodes_of(item)}
    needs: dict[Item, set[Item]] = {}
    for item in scope.items:
        needs[item] = set()
        for node in nodes_of(item):
            for edge in reads_of(node):
                if isinstance(edge.node, Node):
                    source = holder.get(edge.node)
                    if source is not None and source is not item:
                        needs[item].add(source)
    for item in scope.items:
        if isinstance(item, Share):
            for other in scope.items:
                same = isinstance(other, Scope) and other.path == item.of
                if same or (isinstance(other, Node) and other.owner == item.of):
                    needs[item].add(other)
    return needs


def _without_cycles(scope: Scope) -> None:
    while True:
        circle = _circle(_dependencies(scope))
        if not circle:
            break
        inner = [item for item in circle if isinstance(item, Scope)]
        free = [item for item in circle if isinstance(item, Node) and item.owner is None]
        if len(inner) == 1 and len(free) + 1 == len(circle):
            for node in free:
                scope.items.remove(node)
                scope.names.pop(node, None)
            inner[0].items += free
        elif inner:
            for each in inner:
                _dissolve(scope, each)
        else:
            first = next(nodes_of(next(iter(circle))))
            raise refused(
                cannot("a module applied again here is needed before and after itself"), first.place
            )
    for item in scope.items:
        if isinstance(item, Scope):
            _without_cycles(item)


def _circle(needs: dict[Item, set[Item]]) -> set[Item]:
    """Items that need each other, as many as do; empty where none do (Tarjan, 1972)."""
    index: dict[Item, int] = {}
    low: dict[Item, int] = {}
    stack: list[Item] = []
    on_stack: set[Item] = set()
    for start in needs:
        if start in index:
            continue
        work = [(start, iter(needs[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            item, ahead = work[-1]
            following = next(ahead, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[item])
                if low[item] == index[item]:
                    found = set()
                    while True:
                        each = stack.pop()
                        on_stack.discard(each)
                        found.add(each)
                        if each is item:
                            break
                    if len(found) > 1:
                        return found
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(needs[following])))
            elif following in on_stack:
                low[item] = min(low[item], index[following])
    return set()


def _sort(scope: Scope, order: dict[Node, int], keys: dict[str, int]) -> None:
    """Items after what they need: as they ran, unless the state dict has another order."""
    needs = _dependencies(scope)
    ran = sorted(scope.items, key=lambda item: min(order[node] for node in nodes_of(item)))
    owned = {
        kind: {item: place for item in ran if (place := _first_key(item, kind, keys)) is not None}
        for kind in ("parameter", "constant", "module")
    }
    in_order = {kind: sorted(places, key=places.__getitem__) for kind, places in owned.items()}
    tries: list[list[Item]] = [[], in_order["module"], [i for k in owned for i in in_order[k]]]
    for first in tries:
        made = _after([*first, *ran], needs)
        if all(
            [item for item in made if item in places] == in_order[kind]
            for kind, places in owned.items()
        ):
            break
    scope.items = made
    for item in made:
        if isinstance(item, Scope):
            _sort(item, order, keys)


def _after(wanted: Sequence[Item], needs: dict[Item, set[Item]]) -> list[Item]:
    """The items in the wanted order, each behind all that it needs."""
    place = {item: number for number, item in reversed(list(enumerate(wanted)))}
    made: dict[Item, None] = {}
    for start in wanted:
        work: list[tuple[Item, bool]] = [(start, False)]
        while work:
            item, ready = work.pop()
            if item in made:
                continue
            if ready:
                made[item] = None
                continue
            work.append((item, True))
            ahead = sorted(needs[item], key=lambda each: place[each], reverse=True)
            work += [(each, False) for each in ahead]
    return list(made)


def _first_key(item: Item, kind: str, keys: dict[str, int]) -> int | None:
    """Where the state dict has the first key of an item; None for one of another kind."""
    if isinstance(item, Share):
        return None
    path = item.path if isinstance(item, Scope) else item.owner
    own = item.op if isinstance(item, Node) and item.op in ("parameter", "constant") else "module"
    if path is None or own != kind:
        return None
    if own != "module":
        return keys.get(path)
    found = [number for key, number in keys.items() if key.startswith(f"{path}.")]
    return min(found, default=None)
