"""A catalog: names to things in code, filled by explicit imports, with a lookup that answers usefully."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from graftwork.core.errors import NotFoundError, did_you_mean

T = TypeVar("T")


class Catalog(Generic[T]):
    """Named things of one kind.

    >>> colours = Catalog[int]("colour")
    >>> colours.add("red", 1)
    >>> colours["rde"]
    Traceback (most recent call last):
    graftwork.core.errors.NotFoundError: no colour named 'rde'. Did you mean 'red'? There are: red.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> None:
        """Put `item` in under `name`. Raises ValueError for a name that is taken."""
        if name in self._items:
            raise ValueError(f"{self._noun} {name!r} is in the catalog already")
        self._items[name] = item

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __getitem__(self, name: str) -> T:
        if name in self._items:
            return self._items[name]
        parts = (
            f"no {self._noun} named {name!r}.",
            did_you_mean(name, self),
            f"There are: {', '.join(self)}.",
        )
        raise NotFoundError(" ".join(part for part in parts if part))
