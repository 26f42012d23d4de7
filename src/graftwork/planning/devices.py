"""Devices by name: memory, and what their makers say of their speed. One more device is one more entry.

`flops` are those of dense products, without sparsity. What of it a training reaches is in no data sheet: `share` is an
assumption (about what large dense trainings report), and a plan says so; a profile that was measured has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graftwork.core.catalog import Catalog

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device of a data sheet.

    Attributes:
        memory_bytes: that its driver reports.
        flops: a second, dense, by number format.
        bytes_per_s: of its memory.
        share: of `flops` that products of a training reach; assumed.
        source: where the numbers stand.
    """

    memory_bytes: int
    flops: Mapping[str, float]
    bytes_per_s: float
    source: str
    share: float = 0.4


DEVICES: Catalog[Device] = Catalog("device")
DEVICES.add(
    "h100",
    Device(
        memory_bytes=81559 * MIB,
        flops={"bfloat16": 989.4e12, "float16": 989.4e12, "float32": 66.9e12},
        bytes_per_s=3.35e12,
        source="https://resources.nvidia.com/en-us-tensor-core/nvidia-h100-tensor-core-gpu-datasheet (SXM)",
    ),
)
DEVICES.add(
    "h200",
    Device(
        memory_bytes=143771 * MIB,
        flops={"bfloat16": 989.4e12, "float16": 989.4e12, "float32": 66.9e12},
        bytes_per_s=4.8e12,
        source="https://www.nvidia.com/en-us/data-center/h200/ (SXM)",
    ),
)
DEVICES.add(
    "a100-80g",
    Device(
        memory_bytes=81920 * MIB,
        flops={"bfloat16": 312e12, "float16": 312e12, "float32": 19.5e12},
        bytes_per_s=2.039e12,
        source="https://www.nvidia.com/en-us/data-center/a100/ (SXM)",
    ),
)
DEVICES.add(
    "4090",
    Device(
        memory_bytes=24564 * MIB,
        flops={"bfloat16": 165.2e12, "float16": 165.2e12, "float32": 82.6e12},
        bytes_per_s=1.008e12,
        source="NVIDIA Ada GPU architecture white paper, appendix A (float32 accumulation)",
    ),
)
DEVICES.add(
    "l4",
    Device(
        memory_bytes=23034 * MIB,
        flops={"bfloat16": 121e12, "float16": 121e12, "float32": 30.3e12},
        bytes_per_s=300e9,
        source="https://www.nvidia.com/en-us/data-center/l4/ (half of the figures with sparsity)",
    ),
)
