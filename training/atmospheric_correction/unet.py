"""The net `unet-efficientnet-b2`: visible TOA reflectance to surface reflectance, pixel by pixel, from context alone.

segmentation-models-pytorch's U-Net with the encoder EfficientNet-b2 says by how much a pixel differs from a line per band
(the same for all scenes); ReLU ends it. It is told no angles, no elevation and no other band.
"""

from collections.abc import Sequence

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

BANDS = ("B02", "B03", "B04")
ENCODER = "efficientnet-b2"
DECODER = (128, 64, 32, 16, 16)
"""Channels of the decoder's blocks: half of the package's default, which halves what a pixel costs (1.18 against 0.76 Mpx
per CPU second on one core, tiles of 768). Convolutions of the CPU work on blocks of 16, fewer would save nothing."""
DARKEST, BRIGHTEST = -0.05, 1.5
"""TOA reflectances beyond which the net is told no more: saturated pixels would shine on all others."""
MULTIPLE = 32
"""Extents must be multiples of it: the encoder halves five times."""


class UNet(nn.Module):
    """See the module's text. 8.6 million parameters."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = smp.Unet(
            ENCODER, encoder_weights=None, in_channels=3, classes=3, decoder_channels=DECODER, activation=None
        )
        # Blocks that are skipped by chance would make a training that is resumed another one; it is short enough not to
        # need them.
        self.net.encoder._drop_connect_rate = 0.0  # noqa: SLF001 - the package has no option for it
        # It starts as the line, and every step counts.
        head = self.net.segmentation_head[0]
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 0.1  # the package's 0.01 forgets the first weights after hundreds of steps
        self.register_buffer("mean", torch.full((3, 1, 1), 0.15))
        self.register_buffer("std", torch.full((3, 1, 1), 0.12))
        self.gain = nn.Parameter(torch.ones(3, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3, 1, 1))
        self.relu = nn.ReLU()

    def forward(self, toa: Tensor) -> Tensor:
        """(batch, 3, height, width) surface reflectance of TOA reflectance; the extents are multiples of 32."""
        seen = (torch.clamp(toa, DARKEST, BRIGHTEST) - self.mean) / self.std
        return self.relu(self.gain * toa + self.bias + self.net(seen))

    @torch.no_grad()
    def start(self, batches: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Set normalisation and line by what batches of (TOA, surface, known) say: means, least squares."""
        for band in range(len(BANDS)):
            x, y = (
                torch.cat([batch[which][:, band][batch[2][:, 0] > 0] for batch in batches]).double() for which in (0, 1)
            )
            spread = x.std()
            slope = ((x - x.mean()) * (y - y.mean())).mean() / spread**2
            self.mean[band], self.std[band] = x.mean(), spread
            self.gain[band], self.bias[band] = slope, y.mean() - slope * x.mean()
