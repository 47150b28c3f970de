"""The network: reflectance of a patch to a logit for each class, with all that lies between inside it.

Spectral indices, normalisation and resizing are part of it, so that training, evaluation and the published model cannot
differ in them. What is published ends in one sigmoid; what is trained ends in logits.
"""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import difflib
from collections.abc import Iterable, Sequence

import timm
import torch
from timm.layers import set_fused_attn
from torch import Tensor, nn

from eo.errors import InvalidInput
from land_cover.labels import CLASSES
from training.land_cover.bands import EDGE
from training.land_cover.calibration import Line
from training.land_cover.indices import INDICES, Index

# Attention as one fused operator is exported as other arithmetic than torch's; on patches this small it saves nothing.
set_fused_attn(enable=False)

SIZE_OF_PATCHES = 128
"""Pixels to which a patch is brought for architectures of a fixed input: the next multiple of 16 after 120."""
SMALLEST_SPREAD = 1e-4
"""Of a channel, for normalisation: one that is the same everywhere is not divided by 0."""
NEARBY = 33
"""Pixels within which another size is looked for that an architecture reads all of: it has strides of 32 in all."""
NEAR = 5
"""Names that are offered for an unknown one."""


def timm_name(architecture: str) -> str:
    """What timm calls it; `vit_small_patch16` and the like are those made for 224 pixels, built for other sizes here.

    Raises InvalidInput with near names where timm has none such.
    """
    for name in (architecture, f"{architecture}_224"):
        if timm.is_model(name.partition(".")[0]):
            return name
    near = difflib.get_close_matches(architecture, timm.list_models(), NEAR, cutoff=0.5)
    raise InvalidInput(
        f"architecture {architecture!r} is none that timm {timm.__version__} has: "
        f"{'did you mean ' + ', '.join(near) if near else 'see timm.list_models()'}?"
    )


def _is_fixed(name: str) -> bool:
    known = timm.get_pretrained_cfg(name)
    return bool(known is not None and known.fixed_input_size)


def _patch(model: nn.Module) -> int:
    """Pixels along what the first layer reads at once, where it reads none of them twice; 1 for other layers."""
    first = (getattr(model, "pretrained_cfg", None) or {}).get("first_conv") or ""
    try:
        layer = model.get_submodule(first if isinstance(first, str) else first[0])
    except AttributeError:
        return 1
    patched = isinstance(layer, nn.Conv2d) and layer.kernel_size == layer.stride
    return max(layer.kernel_size) if patched else 1


def _read_to_the_end(model: nn.Module, channels: int, size: int) -> bool:
    """Whether the last row and the last column of an input reach what the model says of it.

    Pixels that are no numbers spoil all that is made of them, whatever weights they meet, so chance cannot hide them.
    """
    given = torch.zeros(2, channels, size, size)
    given[0, :, -1, :] = given[1, :, :, -1] = torch.nan
    training = model.training
    with torch.no_grad():
        said: Tensor = model.eval()(given)
    model.train(training)
    return bool(said.isnan().any(1).all())


def _near_sizes(model: nn.Module, channels: int, size: int) -> list[int]:
    """Sizes of which the model reads all: the nearest larger one and the nearest smaller one, where there are any."""

    def reads(other: int) -> bool:
        try:
            return _read_to_the_end(model, channels, other)
        except RuntimeError:  # too small for it
            return False

    ways = range(size + 1, size + NEARBY), range(size - 1, max(size - NEARBY, 0), -1)
    return [found for sizes in ways if (found := next(filter(reads, sizes), 0))]


def backbone(
    architecture: str, *, channels: int, size: int | None, dropout: float = 0.0, whole: bool = True
) -> tuple[nn.Module, int]:
    """(a timm model from chance with a logit for each class, pixels along its input).

    `size` None is 120, or SIZE_OF_PATCHES where the architecture needs a fixed input. Raises InvalidInput where patches
    of it do not divide the size, or where the last row or column is lost further on: layers with a stride leave what remains
    unread, and say nothing. Without `whole` that is accepted, for weights that were trained so.
    """
    name = timm_name(architecture)
    given = size or (SIZE_OF_PATCHES if _is_fixed(name) else EDGE)
    told = {"in_chans": channels, "num_classes": len(CLASSES), "pretrained": False, "drop_rate": dropout}
    try:
        model = timm.create_model(name, **told, **({"img_size": given} if _is_fixed(name) else {}))
        along = _patch(model)
        read = not whole or given % along > 0 or _read_to_the_end(model, channels, given)
    except (TypeError, AssertionError, RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"architecture {architecture} cannot be built for {channels} channels of {given} pixels ({error}): choose "
            "another size or another architecture"
        ) from error
    if whole and given % along:
        below = given // along * along
        raise InvalidInput(
            f"size {given} is no multiple of the {along} pixels of a patch of {architecture}, which would not read the "
            f"last {given % along} rows and columns: choose {below + along}{f' or {below}' if below else ''}"
        )
    if not read:
        near = [] if _is_fixed(name) else _near_sizes(model, channels, given)
        raise InvalidInput(
            f"size {given}: {architecture} does not read the last row or the last column of {given} x {given} pixels; choose "
            f"{' or '.join(map(str, near)) or 'another architecture'}"
        )
    return model, given


class LandCoverNet(nn.Module):
    """See the module's text."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        architecture: str,
        bands: Sequence[str],
        *,
        indices: Sequence[Index] = (),
        size: int | None = None,
        upscaling: str = "bilinear",
        dropout: float = 0.0,
        whole: bool = True,
    ) -> None:
        super().__init__()
        self.bands, self.indices, self.upscaling = tuple(bands), tuple(indices), upscaling
        self._pairs = [tuple(self.bands.index(band) for band in INDICES[index]) for index in self.indices]
        channels = len(self.bands) + len(self.indices)
        self.backbone, self.size = backbone(architecture, channels=channels, size=size, dropout=dropout, whole=whole)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def channels(self, patches: Tensor) -> Tensor:
        """Reflectance (n, bands, y, x) and after it the indices, of -1 to 1: (n, bands + indices, y, x)."""
        # Reflectance below 0 comes from correction; a ratio of such has no meaning, and no bounds.
        known = patches.clamp(min=0)
        made = [(known[:, up] - known[:, down]) / (known[:, up] + known[:, down] + 1e-4) for up, down in self._pairs]
        return torch.cat([patches, *(each[:, None] for each in made)], 1) if made else patches

    def start(self, batches: Iterable[Tensor]) -> None:
        """Take mean and spread of each channel from patches of the training split, (n, bands, y, x) reflectance each.

        Raises InvalidInput where there are none.
        """
        count, total, squares = 0, torch.zeros(len(self.mean), dtype=torch.float64), None
        for patches in batches:
            seen = self.channels(patches).double()
            total += seen.sum((0, 2, 3))
            more = seen.square().sum((0, 2, 3))
            squares = more if squares is None else squares + more
            count += seen.shape[0] * seen.shape[2] * seen.shape[3]
        if squares is None:
            raise InvalidInput("normalisation from 0 patches: the training split is empty, name another folder")
        mean = total / count
        self.mean.copy_(mean)
        self.std.copy_((squares / count - mean.square()).clamp(min=SMALLEST_SPREAD**2).sqrt())

    def forward(self, patches: Tensor) -> Tensor:
        """Logits (n, 19) of reflectance (n, bands, 120, 120), both float32."""
        seen = (self.channels(patches) - self.mean[:, None, None]) / self.std[:, None, None]
        logits: Tensor = self.backbone(self._resized(seen))
        return logits

    def _resized(self, seen: Tensor) -> Tensor:
        """Channels (n, c, 120, 120) on the pixels of the input, (n, c, size, size)."""
        if self.size == EDGE:
            return seen
        if self.upscaling == "nearest":
            # By place: runtimes divide by the scale in float32, and 6 / 1.2 is 4.99 to them.
            at = torch.arange(self.size, device=seen.device) * EDGE // self.size
            return seen[:, :, at][:, :, :, at]
        extent = (self.size, self.size)
        return nn.functional.interpolate(seen, size=extent, mode=self.upscaling, align_corners=False)


class Published(nn.Module):
    """What becomes ONNX: the net, its calibration and the one sigmoid."""

    scale: Tensor
    shift: Tensor

    def __init__(self, net: LandCoverNet, line: Line) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("scale", line.scale)
        self.register_buffer("shift", line.shift)

    def forward(self, patches: Tensor) -> Tensor:
        """Probabilities (n, 19) of reflectance (n, bands, 120, 120), both float32."""
        return torch.sigmoid(self.net(patches) * self.scale + self.shift)
