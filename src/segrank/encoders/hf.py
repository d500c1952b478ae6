"""Vision models of Hugging Face transformers: `hf:NAME_OR_FOLDER`, with the extra `segrank[hf]`.

Features are the model's `last_hidden_state` without the tokens in front of the patches. A norm that the model
keeps for its pooled token (CLIP's `post_layernorm`) goes over the patches' tokens as well, so that a CLIP has its
final norm here as it has in timm. What then takes no part in the features (pooler, mask token) is cut off, and
nothing is dropped or moved at random in training.

Positions are interpolated by the model's own code on the way, in its own manner; the patch size must be the
model's own. Weights are read from safetensors only, and code in a repository is never run.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from segrank import _torchvision  # noqa: F401  before transformers
from segrank.encoders.encoder import FixedStatistics, Parts, to_map
from segrank.encoders.hf_files import HfFiles
from segrank.encoders.hf_weights import load_hf
from segrank.encoders.idle import cut_idle, idle_parameters
from segrank.encoders.reference import hf_folder
from segrank.errors import EncoderError
from segrank.record import WeightsReport

POOLED_NORM = "post_layernorm"
"""CLIP's final norm, and that of its relatives: `last_hidden_state` is what comes before it."""

_REFUSED = {
    "vit_mae": "it masks and shuffles its patches; the same weights are timm:vit_base_patch16_224.mae",
    "videomae": "it takes films",
    "sam_vision_model": "its neck is on the features; the same weights are timm:samvit_base_patch16.sa1b",
}


_POSITION_NOISE = ("pos_embed_shift", "pos_embed_jitter", "pos_embed_rescale")
"""By which DINOv3 moves and stretches its rotary coordinates at random in training."""


class HfBackbone(FixedStatistics):
    """Normalised images (b 3 H W) -> tokens (b n dim), the first `num_prefix_tokens` of them no patches, or a map.

    Args:
        core: a model of transformers that takes `pixel_values`.
        num_prefix_tokens: class and register tokens.
    """

    def __init__(self, core: Any, *, num_prefix_tokens: int = 0, pooled_norm: bool = False) -> None:
        super().__init__()
        self.core = core
        self.num_prefix_tokens = num_prefix_tokens
        self.pooled_norm = pooled_norm
        interpolates = "interpolate_pos_encoding" in inspect.signature(core.forward).parameters
        self._options = {"interpolate_pos_encoding": True} if interpolates else {}

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.core(pixel_values=images, **self._options).last_hidden_state
        if self.pooled_norm:
            features = getattr(self.core, POOLED_NORM)(features)
        return features


def build_hf(
    name: str, options: dict[str, Any], *, crop: tuple[int, int], patch_size: int, weights: str, seed: int
) -> Parts:
    """A model of transformers as an encoder, with its weights.

    Args:
        name: a folder with config.json and model.safetensors, else a repository on the hub.
        options: `revision`, for a repository.
        crop: height and width, pixels.
        patch_size: pixels.
        weights: `pretrained`, `random` or a file.
        seed: of the random weights.

    Raises:
        EncoderError: transformers is not installed, or cannot build the model as asked. WeightsError: its files
        cannot be had, or do not fit.
    """
    unknown = set(options) - ({"revision"} if hf_folder(name) is None else set())
    if unknown:
        raise EncoderError(f'hf:{name[:120]} knows no option "{min(unknown)}"', fix=f"leave {min(unknown)} out")
    files = HfFiles(name, str(options.get("revision", "")))
    with _quiet():
        config = _config(files)
        with torch.device("meta"):
            probe = _model(config, name)
        backbone, dim = _wired(probe, config, name, crop, patch_size)
        cut = _cut(backbone, crop, name)
        if weights == "random":
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                core = _model(config, name)
            report = WeightsReport(source="random")
            cut_idle(core, cut)
        else:
            core, report = load_hf(type(probe), config, files, weights, cut)
    loaded = HfBackbone(core, num_prefix_tokens=backbone.num_prefix_tokens, pooled_norm=backbone.pooled_norm)
    return Parts(loaded, dim, files.statistics, report)


def _config(files: HfFiles) -> Any:
    """The configuration of the model, or of the image half of one for images and text; nothing in it is random."""
    transformers = _transformers()
    path = files.config()
    try:
        config = transformers.AutoConfig.from_pretrained(path.parent, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of a foreign file, which can fail in any way at all
        raise _failed(f"transformers cannot read {path}", error) from error
    config = copy.deepcopy(getattr(config, "vision_config", config))
    if config.model_type in _REFUSED:
        raise EncoderError(f"hf:{files.name} can be no encoder here: {_REFUSED[config.model_type]}")
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
        if key in _POSITION_NOISE:
            setattr(config, key, None)
    return config


def _model(config: Any, name: str) -> Any:
    try:
        return _transformers().AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except Exception as error:
        raise _failed(f"transformers cannot build hf:{name}", error) from error


def _wired(probe: Any, config: Any, name: str, crop: tuple[int, int], patch_size: int) -> tuple[HfBackbone, int]:
    """The model on the meta device with its prefix counted and its norm found, and the features' dim."""
    if probe.main_input_name != "pixel_values":
        raise EncoderError(
            f"hf:{name} is no vision model: it takes {probe.main_input_name}", wanted="a model that takes pixel_values"
        )
    backbone = HfBackbone(probe.eval())
    try:
        features = backbone(torch.zeros(1, 3, *crop, device="meta"))
    except Exception as error:
        size = getattr(config, "image_size", None)
        raise _failed(
            f"hf:{name} fails at {crop[0]}x{crop[1]}, patch {patch_size}",
            error,
            f"use the model's own size, crop={size}, if it cannot interpolate its positions" if size else "",
        ) from error
    rows, columns = crop[0] // patch_size, crop[1] // patch_size
    backbone.num_prefix_tokens = features.shape[1] - rows * columns if features.ndim == 3 else 0
    own = getattr(config, "patch_size", None)
    if features.ndim == 3 and backbone.num_prefix_tokens not in _prefixes(config):
        raise EncoderError(
            f"hf:{name} gives {features.shape[1]} tokens for {crop[0]}x{crop[1]} images at patch {patch_size}",
            wanted=f"{rows}x{columns}, after {' or '.join(map(str, sorted(_prefixes(config))))} others",
            fix=f"use patch_size={own}, the model's own: only timm's models are resampled" if own != patch_size else "",
        )
    features = to_map(features, backbone, (rows, columns), f"hf:{name}")
    backbone.pooled_norm = f"core.{POOLED_NORM}.weight" in idle_parameters(backbone, features)
    return backbone, features.shape[1]


def _prefixes(config: Any) -> set[int]:
    """How many tokens may stand before the patches: none, a class token and registers, DeiT's two."""
    registers = getattr(config, "num_register_tokens", 0)
    counts = {0, 1 + registers, 2 if config.model_type == "deit" else 1 + registers}
    return counts | {getattr(config, "num_summary_tokens", 0)}  # RADIO's class tokens and registers


def _cut(backbone: HfBackbone, crop: tuple[int, int], name: str) -> list[str]:
    """Cut off what takes no part in the features, on the meta device; the names of what was cut."""
    images = torch.zeros(1, 3, *crop, device="meta")
    patches = slice(backbone.num_prefix_tokens, None)  # of tokens (b n dim); of a map, all channels
    idle = idle_parameters(backbone, backbone(images)[:, patches])
    cut = cut_idle(backbone.core, [name.removeprefix("core.") for name in idle])
    try:
        left = idle_parameters(backbone, backbone(images)[:, patches])
    except Exception as error:
        raise _failed(f"hf:{name} fails without {cut[0]}, which takes no part in its features", error) from error
    if left:
        raise EncoderError(f"{len(left)} parameters of hf:{name} take no part in its features, such as {left[0]}")
    return cut


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise EncoderError(
            f"hf: encoders need transformers, which cannot be imported: {error}",
            fix="pip install 'segrank[hf]'",
        ) from error
    return transformers


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its progress bars and its table of names, which the report has."""
    logging = _transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _failed(what: str, error: Exception, fix: str = "") -> EncoderError:
    return EncoderError(f"{what}: {' '.join(str(error).split())[:300] or type(error).__name__}", fix=fix)
