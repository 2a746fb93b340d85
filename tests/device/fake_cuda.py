"""A simulated CUDA device: tensors that report ``cuda:0``, obey CUDA's rules, and are computed on the CPU.

``fake_cuda()`` replaces the real device within a context. A tensor on it wraps a CPU tensor that runs every operation,
so results are the CPU's. It enforces the rules that code on a CPU never meets:

- operands are on one device. Exceptions, as in torch: scalars in pointwise operations, indices on the CPU, and copies
  between devices;
- a CPU generator draws on the CPU;
- products use TF32 if the settings allow it; convolutions have a separate setting;
- deterministic mode, which needs CUBLAS_WORKSPACE_CONFIG, rejects some operations;
- reading a number synchronises with the device, as does a copy, unless it is non-blocking from pinned memory.
  ``Waits`` counts these, and the bytes that are copied to the device.

Not simulated: speed, memory, the kernels' arithmetic, and torch's code below its dispatcher.
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from copy import copy
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from harness.execution.built_in import EXECUTORS
from harness.execution.executors import here

aten = torch.ops.aten
CPU = torch.device("cpu")
NAME = "Simulated GPU"

WAITING = {
    *("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim", "unique_consecutive"),
    *("multinomial", "linalg_eigh", "linalg_inv_ex", "_linalg_eigh", "_linalg_solve_ex", "_linalg_svd", "bincount"),
}
"""Operations whose result, or its size, or its check, is read by the host."""

REFUSED = {"cumsum", "histc", "kthvalue", "median", "put_", "scatter_reduce", "grid_sampler_2d_backward"}
"""What deterministic mode refuses of floating-point numbers on CUDA, where it has no deterministic form."""

UNORDERED = {"index_add", "index_add_", "scatter_add", "scatter_add_", "_scaled_dot_product_efficient_attention"}
"""Those that add up in any order, unless deterministic mode is on."""

PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "mv", "dot", "addmv"}
"""Products of cuBLAS."""

LAYERS = {"convolution", "convolution_backward"}
"""Layers of cuDNN."""

INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
COPYING = {"copy_", "_to_copy", "copy"}


class Waits:
    """What a stretch of work made the host wait for.

    Attributes:
        at: line of the harness or a plugin -> how often the host waited there.
        unordered: operations without a fixed order that were run outside of deterministic mode.
        sent: bytes copied to the device.
    """

    def __init__(self) -> None:
        self.at: Counter[str] = Counter()
        self.unordered: Counter[str] = Counter()
        self.sent = 0

    @property
    def count(self) -> int:
        """How often the host waited."""
        return self.at.total()

    def note(self, operation: str) -> None:
        """The host waits here."""
        for frame, line in traceback.walk_stack(None):
            file = frame.f_code.co_filename
            if "/harness/" in file or "/plugins/" in file:
                self.at[f"{file.rpartition('/')[2]}:{line} {operation}"] += 1
                return
        self.at[f"elsewhere {operation}"] += 1


class FakeCudaTensor(torch.Tensor):
    """A tensor on the device; ``inner`` is where its numbers are.

    To torch's C++ it is on the ``meta`` device, which asks for no driver; to Python it is on ``cuda``.
    """

    inner: torch.Tensor
    index: int

    @staticmethod
    def __new__(cls, inner: torch.Tensor, index: int) -> FakeCudaTensor:
        options = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, **options, device="meta")  # type: ignore[attr-defined,no-any-return]

    def __init__(self, inner: torch.Tensor, index: int) -> None:
        self.inner, self.index = inner, index

    device = property(lambda self: torch.device("cuda", self.index))  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"{self.device} {self.inner!r}"

    def get_device(self) -> int:
        return self.index

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if args and isinstance(args[0], torch.Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        copy = kwargs.pop("copy", False)
        device, dtype, patient, _ = torch._C._nn._parse_to(*args, **kwargs)  # type: ignore[attr-defined]
        target = self.device if device is None or device == torch.device("cuda") else device
        if target == self.device and dtype in (None, self.dtype) and not copy:
            return self
        return torch.ops.aten._to_copy(self, dtype=dtype, device=target, non_blocking=patient)  # type: ignore[no-any-return]

    def cpu(self, memory_format: object = None) -> torch.Tensor:
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False, memory_format: object = None) -> torch.Tensor:
        return self.to(self.device if device is None else device)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it first.")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} of a tensor on the simulated device, outside of fake_cuda()")


class MakeBelieve(TorchDispatchMode):
    """Runs what concerns the device by its rules, and leaves all else alone."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits()
        self.pinned = WeakTensorKeyDictionary()
        self.current = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        here = {tensor.index for tensor in tensors if isinstance(tensor, FakeCudaTensor)}
        assert not any(tensor.is_meta for tensor in tensors), "a tensor without numbers, made for the C++ device"
        wanted = kwargs.get("device")
        made_here = wanted is not None and wanted.type in ("cuda", "meta")
        if not here and not made_here:
            return func(*args, **kwargs)
        _require_one_device(func, name, args, tensors, here)
        index = wanted.index if made_here and wanted.index is not None else max(here, default=self.current)
        self._require_repeatable(name, tensors)
        self._watch(name, args, kwargs)
        if name == "_fused_sdp_choice":
            return 0  # the formula: fused kernels are other operations on each device
        if kwargs.get("generator") is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        plain = {key: CPU if key == "device" and value is not None else value for key, value in kwargs.items()}
        plain = {key: value for key, value in plain.items() if key not in ("pin_memory", "non_blocking")}
        inner_args, inner_kwargs = tree_map_only(FakeCudaTensor, lambda t: t.inner, (args, plain))
        if self._in_tf32(name):
            inner_args = tree_map_only(torch.Tensor, _tf32, inner_args)
        found = func(*inner_args, **inner_kwargs)
        if name == "copy_" and not isinstance(args[0], FakeCudaTensor):
            return args[0]
        if wanted is not None and wanted.type == "cpu":
            return found
        wrapped = tree_map_only(torch.Tensor, lambda t: FakeCudaTensor(t, index), found)
        return return_and_correct_aliasing(func, args, kwargs, wrapped)

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a tensor of the CPU in pinned memory."""
        if isinstance(tensor, FakeCudaTensor):
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        made = tensor.clone()
        self.pinned[made] = True
        return made

    def _watch(self, name: str, args: Any, kwargs: Any) -> None:
        if name in WAITING:
            self.waits.note(name)
        masks = [i for i in (args[1] if name in INDEXING else []) if i is not None]
        if any(i.dtype in (torch.bool, torch.uint8) for i in masks):
            self.waits.note("mask")
        if any(not isinstance(i, FakeCudaTensor) for i in masks):
            self.waits.note("index from the host")
        if name not in COPYING:
            return
        source, target = (args[1], args[0].device) if name == "copy_" else (args[0], kwargs.get("device"))
        to_host = target is not None and target.type == "cpu"
        if to_host is not isinstance(source, FakeCudaTensor):
            return
        if not to_host:
            self.waits.sent += source.numel() * source.element_size()
        patient = (args[2:3] or [False])[0] if name == "copy_" else kwargs.get("non_blocking", False)
        pinned = not to_host and source in self.pinned
        if not (patient and pinned):
            self.waits.note("to the host" if to_host else "to the device")

    def _in_tf32(self, name: str) -> bool:
        layers = name in LAYERS and torch.backends.cudnn.allow_tf32
        return layers or (name in PRODUCTS and torch.backends.cuda.matmul.allow_tf32)

    def _require_repeatable(self, name: str, tensors: list[torch.Tensor]) -> None:
        if not torch.are_deterministic_algorithms_enabled():
            if name in UNORDERED:
                self.waits.unordered[name] += 1
            return
        if name in REFUSED and any(tensor.is_floating_point() for tensor in tensors):
            raise RuntimeError(f"{name}_cuda does not have a deterministic implementation, but you set it")
        if name in PRODUCTS and os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in (":4096:8", ":16:8"):
            raise RuntimeError("Deterministic behavior was enabled, but CUBLAS_WORKSPACE_CONFIG is not set")


class Indexed(TorchFunctionMode):
    """Says which CUDA device is meant before torch asks the driver."""

    def __init__(self, mode: MakeBelieve) -> None:
        super().__init__()
        self.mode = mode

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        if func is torch.Tensor.pin_memory:
            return self.mode.pin(args[0])
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and isinstance(args[0], FakeCudaTensor):
            return func(args[0], self._listed(args[1], args[0].device), *args[2:])
        kwargs = {key: self._indexed(value) if key == "device" else value for key, value in (kwargs or {}).items()}
        if func is torch.Tensor.to:
            args = (args[0], *map(self._indexed, args[1:]))
        if func is torch.tensor and "device" in kwargs:
            device = kwargs.pop("device")
            made = func(*args, **kwargs)
            return made if device is None else made.to(device)
        return func(*args, **kwargs)

    def _listed(self, index: Any, device: torch.device) -> Any:
        """Lists in an index become tensors on the device of what is indexed, as torch has it."""
        if isinstance(index, tuple):
            return tuple(self._listed(part, device) for part in index)
        return torch.tensor(index).to(device) if isinstance(index, list) else index

    def _indexed(self, device: Any) -> Any:
        said = isinstance(device, str | torch.device) and str(device) == "cuda"
        return torch.device("cuda", self.mode.current) if said else device


def _tf32(tensor: torch.Tensor) -> torch.Tensor:
    """A number of fp32 with the ten bits behind the point that TF32 keeps."""
    if tensor.dtype != torch.float32:
        return tensor
    return ((tensor.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def _require_one_device(func: Any, name: str, args: Any, tensors: list[torch.Tensor], here: set[int]) -> None:
    if name in COPYING or name == "lift_fresh":
        return
    if len(here) > 1:
        raise RuntimeError(f"{func}: Expected all tensors to be on the same device, but found cuda:0 and cuda:1!")
    others = [tensor for tensor in tensors if not isinstance(tensor, FakeCudaTensor)]
    if name in INDEXING:
        if not isinstance(args[0], FakeCudaTensor):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        others = [value for value in args[2:3] if not isinstance(value, FakeCudaTensor) and value.ndim]
    elif torch.Tag.pointwise in func.tags or name in ("fill_", "masked_fill", "masked_fill_"):
        others = [tensor for tensor in others if tensor.ndim]
    if others and here:
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
        )


@contextmanager
def fake_cuda(devices: int = 1) -> Iterator[MakeBelieve]:
    """As if this machine had CUDA devices, until the end of the block; settings of CUDA are then as they were.

    Args:
        devices: how many.
    """
    mode = MakeBelieve()
    properties = SimpleNamespace(name=NAME, total_memory=2**34, major=9, minor=0)
    state = torch.zeros(16, dtype=torch.uint8)

    def set_device(device: Any) -> None:
        mode.current = device if isinstance(device, int) else torch.device(device).index or 0

    instead: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: devices,
        "current_device": lambda: mode.current,
        "set_device": set_device,
        "get_device_name": lambda device=None: NAME,
        "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: (9, 0),
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_rng_state": lambda device=None: state.clone(),
        "set_rng_state": lambda state, device=None: None,
        "manual_seed_all": lambda seed: None,
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda device=None: None,
        "max_memory_allocated": lambda device=None: 12345,
        "is_current_stream_capturing": lambda: False,
        "_lazy_init": lambda: None,
    }
    stream = SimpleNamespace(is_capturing=lambda: False)
    with ExitStack() as stack:
        for name, value in instead.items():
            stack.enter_context(patch.object(torch.cuda, name, value))
        if hasattr(torch, "accelerator"):
            stack.enter_context(
                patch.object(torch.accelerator, "current_stream", lambda device=None: stream, create=True)
            )
        stack.enter_context(patch.dict(os.environ))
        stack.enter_context(
            patch.dict(EXECUTORS, local=lambda settings: nullcontext(here))
        )  # others have no such device
        stack.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        for backend, flag in (
            *((torch.backends.cuda.matmul, f"allow_{what}") for what in ("tf32", "bf16_reduced_precision_reduction")),
            (torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction"),
            *((torch.backends.cudnn, flag) for flag in ("allow_tf32", "benchmark")),
        ):
            stack.callback(setattr, backend, flag, getattr(backend, flag))
        # A module's parameters become other objects, as those of the device are of another type.
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        submit = ThreadPoolExecutor.submit

        def with_modes(pool: ThreadPoolExecutor, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
            def called() -> Any:  # modes are of a thread
                own = copy(mode)
                with Indexed(own), own:
                    return call(*args, **kwargs)

            return submit(pool, called)

        stack.enter_context(patch.object(ThreadPoolExecutor, "submit", with_modes))
        with Indexed(mode), mode:
            yield mode
