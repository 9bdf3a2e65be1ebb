"""From a method and a path to a route: one dictionary look-up a segment."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.api.route import Route


class Place:
    """An address, and the routes there by method.

    Attributes:
        literals, any, with_verb: what is below it: by segment, for any segment, and for any that
            ends so (`{key}:rotate`).
        public: whether its routes need no key.
    """

    __slots__ = ("any", "literals", "public", "routes", "with_verb")

    def __init__(self) -> None:
        self.literals: dict[bytes, Place] = {}
        self.any: Place | None = None
        self.with_verb: dict[bytes, Place] = {}
        self.routes: dict[str, Route] = {}
        self.public = False

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that it takes, for Allow."""
        return tuple(sorted((*self.routes, "OPTIONS")))

    def parted(self, part: bytes) -> tuple[Place | None, bytes]:
        """What is below it for a segment that ends with a verb, and what stands before that."""
        argument, colon, verb = part.rpartition(b":")
        below = self.with_verb.get(colon + verb)
        return below, part if below is None else argument


class Router:
    """A tree of path segments. Segments are compared as they came: `%2F` is no slash."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = Place()
        for route in routes:
            self._add(route)

    def find(self, path: bytes) -> tuple[Place | None, list[bytes]]:
        """What is at a raw path, and its variable segments; None where there is nothing."""
        place = self._root
        arguments: list[bytes] = []
        for part in path.split(b"/"):
            below = place.literals.get(part)
            if below is None:
                if place.with_verb:
                    below, part = place.parted(part)  # noqa: PLW2901  # the rest of it is a verb
                below = below or place.any
                if below is None:
                    return None, arguments
                arguments.append(part)
            place = below
        return (place if place.routes else None), arguments

    def _add(self, route: Route) -> None:
        place = self._root
        for part in route.pattern.encode().split(b"/"):
            if part.startswith(b"{") and not part.endswith(b"}"):
                verb = part[part.index(b"}") + 1 :]
                place = place.with_verb.setdefault(verb, Place())
            elif part.startswith(b"{"):
                place.any = place.any or Place()
                place = place.any
            else:
                place = place.literals.setdefault(part, Place())
        place.routes[route.method] = route
        if route.method == "GET":
            place.routes.setdefault("HEAD", route)
        place.public = route.public
