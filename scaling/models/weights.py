"""Loads checkpoints of timm, torchvision, the original JAX code and our own into a model, and saves weights to disk.

Nothing in a checkpoint is ever run: PyTorch files are read by weights only, .npz without pickles.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from scaling.models.positions import resize_pos_embed, resized_tables
from scaling.models.vit import ViT
from scaling.records.files import first_line, some, write_whole

State = dict[str, torch.Tensor]
_WRAPPERS = ("module.", "_orig_mod.")


class WeightsError(ValueError):
    """Weights that cannot be read or do not fit; the message names the file, or the keys."""


def save_weights(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Writes a model's weights, and nothing but them, in one step: a reader sees no file or the whole file."""
    weights = {key: value.cpu() for key, value in state.items()}
    write_whole(path, lambda file: torch.save(weights, file))


def read_weights(path: Path) -> State:
    """The tensors in a .npz, .safetensors or PyTorch file; wrappers such as {"state_dict": ...} are taken off.

    Raises:
        WeightsError: not such a file.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise WeightsError(f"{path}: reading it needs safetensors (pip install safetensors)") from error
    except Exception as error:  # zip, pickle and numpy errors of many kinds, all of them: not weights
        raise WeightsError(f"{path}: no weights that can be read ({first_line(error)[:160]})") from error
    for wrapper in ("state_dict", "model", "model_state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: holds no dictionary of tensors")
    return _unwrapped(dict(state))


def _unwrapped(state: State) -> State:
    """Without what DataParallel and torch.compile put before every key."""
    for prefix in _WRAPPERS:
        if state and all(key.startswith(prefix) for key in state):
            return _unwrapped({key.removeprefix(prefix): value for key, value in state.items()})
    return state


def _from_torchvision(state: State) -> State:
    """torchvision's VisionTransformer under our names."""
    renames = [
        (r"^class_token$", "cls_token"), (r"^conv_proj\.", "patch_embed.proj."),
        (r"^encoder\.pos_embedding$", "pos_embed"), (r"^encoder\.layers\.encoder_layer_", "blocks."),
        (r"\.ln_(\d)\.", r".norm\1."), (r"\.self_attention\.in_proj_", ".attn.qkv."),
        (r"\.self_attention\.out_proj\.", ".attn.proj."), (r"\.mlp\.linear_(\d)\.", r".mlp.fc\1."),
        (r"\.mlp\.0\.", ".mlp.fc1."), (r"\.mlp\.3\.", ".mlp.fc2."),
        (r"^encoder\.ln\.", "norm."), (r"^heads\.head\.", "head."),
    ]  # fmt: skip
    renamed: State = {}
    for key, value in state.items():
        for pattern, to in renames:
            key = re.sub(pattern, to, key)
        renamed[key] = value
    return renamed


def _from_jax(state: State) -> State:
    """The original JAX layout under our names: kernels are (in, out), q, k and v lie apart, one axis per head.

    A representation layer (`pre_logits`, only in models trained on ImageNet-21k) goes with the head that reads it, as
    in the paper's fine-tuning: neither is returned.
    """
    start = next(key for key in state if key.endswith("embedding/kernel")).removesuffix("embedding/kernel")
    flax = {key.removeprefix(start): value for key, value in state.items()}
    ours = {
        "patch_embed.proj.weight": flax["embedding/kernel"].permute(3, 2, 0, 1),  # (width, channels, P, P)
        "patch_embed.proj.bias": flax["embedding/bias"],
        "norm.weight": flax["Transformer/encoder_norm/scale"],
        "norm.bias": flax["Transformer/encoder_norm/bias"],
    }
    for key in ("cls", "Transformer/posembed_input/pos_embedding", "pos_embedding"):
        if key in flax:
            ours["cls_token" if key == "cls" else "pos_embed"] = flax[key]
    if "head/kernel" in flax and "pre_logits/kernel" not in flax:
        ours |= {"head.weight": flax["head/kernel"].T, "head.bias": flax["head/bias"]}
    depth = sum(key.endswith("/LayerNorm_0/scale") for key in flax)
    for i in range(depth):
        block = f"Transformer/encoderblock_{i}/"
        # The ViT repository counts its submodules through; big_vision, which came later, counts them by kind.
        later = f"{block}MlpBlock_0/Dense_0/kernel" in flax
        norm2, attention, mlp = (1, 0, 0) if later else (2, 1, 3)
        for name, source in (("norm1", "LayerNorm_0"), ("norm2", f"LayerNorm_{norm2}")):
            ours[f"blocks.{i}.{name}.weight"] = flax[f"{block}{source}/scale"]
            ours[f"blocks.{i}.{name}.bias"] = flax[f"{block}{source}/bias"]
        parts = [f"{block}MultiHeadDotProductAttention_{attention}/{part}/" for part in ("query", "key", "value")]
        kernels = [flax[part + "kernel"].flatten(1).T for part in parts]  # (width, heads, head width) to (out, in)
        ours[f"blocks.{i}.attn.qkv.weight"] = torch.cat(kernels)
        ours[f"blocks.{i}.attn.qkv.bias"] = torch.cat([flax[part + "bias"].flatten() for part in parts])
        out = f"{block}MultiHeadDotProductAttention_{attention}/out/"
        ours[f"blocks.{i}.attn.proj.weight"] = flax[out + "kernel"].flatten(0, 1).T
        ours[f"blocks.{i}.attn.proj.bias"] = flax[out + "bias"]
        for j in (0, 1):
            dense = f"{block}MlpBlock_{mlp}/Dense_{j}/"
            ours[f"blocks.{i}.mlp.fc{j + 1}.weight"] = flax[dense + "kernel"].T
            ours[f"blocks.{i}.mlp.fc{j + 1}.bias"] = flax[dense + "bias"]
    return ours


def _as_vit(state: State) -> State:
    """A ViT's weights under our names, whichever of the four layouts they come in."""
    if any(key.endswith("embedding/kernel") for key in state):
        try:
            state = _from_jax(state)
        except KeyError as error:
            raise WeightsError(f"an incomplete JAX checkpoint: {error} is missing") from error
    elif "conv_proj.weight" in state:
        state = _from_torchvision(state)
    patches = state.get("patch_embed.proj.weight")
    if patches is not None and patches.ndim == 4:  # a convolution; ours is the same as one matmul
        state = state | {"patch_embed.proj.weight": patches.flatten(1)}
    return state


def _as_own_vit(model: ViT, state: State, mode: str) -> State:
    state = _as_vit(state)
    pos_embed = state.get("pos_embed")
    if "pos_embed" not in model.state_dict() or pos_embed is None or pos_embed.ndim != 3:
        return state
    corners = mode == "bilinear"
    how = dict(mode=mode, antialias=not corners, align_corners=corners)
    return state | {"pos_embed": _resized(pos_embed, grid=model.grid, prefix=model.prefix, **how)}


def _resized(pos_embed: torch.Tensor, *, grid: int, prefix: int, **how: Any) -> torch.Tensor:
    try:
        return resize_pos_embed(pos_embed, grid=grid, prefix=prefix, **how)
    except ValueError as error:
        raise WeightsError(f"pos_embed does not fit: {error}; is it of another model.pool?") from error


def _as_library(model: nn.Module, state: State) -> State:
    """Weights for a model of timm or torchvision, position embeddings brought to its grid as that library does it."""
    library = type(model).__module__.partition(".")[0]
    if library == "timm":
        # Each of timm's modules knows its models' other layouts, prefix tokens and tables of relative positions.
        convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        try:
            state = state if convert is None else dict(convert(dict(state), model))
        except Exception:  # a layout that it does not know: the names and shapes say what is wrong
            return state
        return state | resized_tables(model.state_dict(), state)
    table = state.get("encoder.pos_embedding")
    if library == "torchvision" and table is not None and hasattr(model, "seq_length"):
        grid = math.isqrt(model.seq_length - 1)  # type: ignore[operator]
        resized = _resized(table, grid=grid, prefix=1, antialias=False, align_corners=True)
        return state | {"encoder.pos_embedding": resized}
    return state


def fit_weights(model: nn.Module, state: State, *, mode: str = "bicubic") -> tuple[State, list[str]]:
    """Weights under the names and in the shapes of `model`, and the keys of its head that they do not fill.

    Position embeddings of another grid are interpolated: in our ViT by `mode`, "bicubic" as timm does it or "bilinear"
    on the corners' grid as the original JAX code does; in models of timm and torchvision as their library does it. The
    model may be on the meta device.

    Raises:
        WeightsError: keys other than the head's are missing, unknown or of another shape; it names them.
    """
    own = model.state_dict()
    state = _as_own_vit(model, state, mode) if isinstance(model, ViT) else _as_library(model, state)
    head = re.compile(r"(head|heads|head_dist|aux_head|fc|classifier)\.")
    fresh = [k for k in own if head.match(k) and (k not in state or state[k].shape != own[k].shape)]
    if fresh:  # another number of classes, or another make of head: it goes as a whole
        state = {k: v for k, v in state.items() if k not in fresh and (k in own or not head.match(k))}
    missing = [k for k in own if k not in state and k not in fresh]
    unknown = [k for k in state if k not in own]
    shapes = [
        f"{k} {tuple(state[k].shape)} for {tuple(own[k].shape)}"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    parts = (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
    wrong = "; ".join(f"{what}: {some(keys, at_most=6)}" for what, keys in parts if keys)
    if wrong:
        raise WeightsError(f"the weights do not fit this model: {wrong}")
    return state, fresh


def load_weights(model: nn.Module, state: State, *, mode: str = "bicubic") -> list[str]:
    """Puts weights into `model` (see `fit_weights`) and returns the keys that stay as initialised."""
    fitting, fresh = fit_weights(model, state, mode=mode)
    model.load_state_dict(fitting, strict=False)
    return fresh
