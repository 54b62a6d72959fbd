"""The device that trains, and the numbers that suit it.

bfloat16 is faster where there are instructions for it. Elsewhere PyTorch emulates it, and an epoch takes several times
as long as in float32.
"""

from __future__ import annotations

from gxevent.errors import OptionError
from gxevent.train.backend import torch

BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""As PyTorch names them: the first two of x86, the others of ARM."""


def open_device(name: str) -> torch.device:
    """The device of that name; ``"auto"`` is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {name!r} cannot be used here ({reason}); 'cpu' always can") from error
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device is known to have instructions for bfloat16."""
    if device.type == "cpu":
        # An older PyTorch does not tell; float32 is then the choice that is never very slow.
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
    if device.type == "cuda":
        # torch.cuda.is_bf16_supported() is true of emulation too, and of the current device only.
        return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    return False


def fastest_precision(device: torch.device) -> str:
    """What ``fit.precision = "auto"`` is on this device."""
    return "bfloat16" if has_bfloat16(device) else "float32"


def precision_notes(precision: str, device: torch.device) -> list[str]:
    """What to tell somebody whose run computes in ``precision`` on ``device``."""
    if precision == "float32" or device.type not in ("cpu", "cuda") or has_bfloat16(device):
        return []
    return [
        f"fit.precision is bfloat16, and this machine's {device.type} is not known to have instructions for it: "
        'emulated, it is several times slower than float32. Begin runs here with precision = "auto" or "float32"'
    ]
