"""How an adapter is laid out in a folder: one form a kind of `adapter_config.json`, and the catalog that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftwork.core.catalog import Catalog
from graftwork.core.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.adapter import Adapter
    from graftwork.adapters.asked import Asked
    from graftwork.base.facts import BaseFacts

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"

AskedByKey = Mapping[str, "Asked"]
ParamsByKey = Mapping[str, Mapping[str, "Tensor"]]
Header = Mapping[str, tuple[int, ...]]
"""Shapes of the tensors in a file, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileForm:
    """A form of adapter folder. All of it is strict: what is not understood is refused.

    Attributes:
        name: `peft_type` in the config.
        holds: whether this form can hold an adapter.
        config: the config of an adapter on a base that its user calls so.
        asked: what a config says holds at each place, by key. Raises SpecError with all that is wrong. It is given the
            header of the tensors, and what the card says was asked, None without one.
        names: names of the file's tensors with the shapes that they must have.
        pack: the tensors by name.
        unpack: params by key, from tensors whose names and shapes are as `names` says.
    """

    name: str
    holds: Callable[[Adapter], bool]
    config: Callable[[Adapter, BaseFacts, str], dict[str, Any]]
    asked: Callable[[Mapping[str, Any], BaseFacts, Header, Spec | None], AskedByKey]
    names: Callable[[AskedByKey], Header]
    pack: Callable[[Adapter], Mapping[str, Tensor]]
    unpack: Callable[[AskedByKey, Mapping[str, Tensor]], ParamsByKey]


FORMS: Catalog[FileForm] = Catalog("form of adapter folder")


def one_tensor_a_param(
    name_of: Callable[[str, Asked, str], str],
) -> tuple[
    Callable[[AskedByKey], Header],
    Callable[[Adapter], Mapping[str, Tensor]],
    Callable[[AskedByKey, Mapping[str, Tensor]], ParamsByKey],
]:
    """`names`, `pack` and `unpack` where every param is one tensor: `name_of(key, asked, param)` says its name."""

    def names(asked: AskedByKey) -> Header:
        return {
            name_of(key, here, param): tuple(shape)
            for key, here in asked.items()
            for param, shape in here.method.shapes(here.spec, here.place).items()
        }

    def pack(adapter: Adapter) -> Mapping[str, Tensor]:
        return {
            name_of(key, here.asked, param): tensor
            for key, here in adapter.placed.items()
            for param, tensor in here.params.items()
        }

    def unpack(asked: AskedByKey, tensors: Mapping[str, Tensor]) -> ParamsByKey:
        return {
            key: {param: tensors[name_of(key, here, param)] for param in here.method.shapes(here.spec, here.place)}
            for key, here in asked.items()
        }

    return names, pack, unpack
