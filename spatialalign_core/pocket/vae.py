"""The pocket VAE: an AutoencoderKLWan whose weights are written down instead of trained.

Training this architecture from scratch on a CPU is hopeless, and unnecessary: the best linear code for 8 x 8 patches
is their principal components, and the architecture can compute a linear map exactly. The components go into the first
and last convolution. Every block between them is a residual around zero. Two nonlinearities remain and are undone:
- RMS norm divides by the length of the channel vector; one constant channel, far larger than the rest, makes that
  length constant.
- silu is not linear, but silu(u) - silu(-u) = u; so each component travels as a pair of opposite channels.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import nn

PATCH = 8
_CONSTANT = 3000.0  # the large channel; float32 keeps 1e-4 of a component beside it
_SILENT_LOGVAR = -30.0


def fit_components(frames: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of 8 x 8 RGB patches.

    frames: uint8 (N, H, W, 3), sides divisible by 8. Returns mean (192,), components (count, 192) with orthonormal
    rows, and the standard deviation of each component (count,), all in the value range -1..1 and in the channel
    order of AutoencoderKLWan's own patchify.
    """
    patches = _patches(frames).astype(np.float64)
    mean = patches.mean(0)
    covariance = np.cov((patches - mean).T)
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][:count]
    components = vectors[:, order].T
    # Eigenvectors come with an arbitrary sign; fix it, so that every machine builds the same VAE.
    components *= np.sign(components[np.arange(count), np.abs(components).argmax(1)])[:, None]
    return mean, components, np.sqrt(values[order])


def build_vae(frames: np.ndarray, latent_channels: int) -> AutoencoderKLWan:
    """An AutoencoderKLWan that codes patches like those of `frames` in `latent_channels` numbers per 8 x 8 pixels.

    frames: uint8 (N, H, W, 3). The configuration's latents_std equalises the components only by the square root of
    their deviation, so that coarse content keeps a better signal-to-noise ratio than fine detail.
    """
    mean, components, deviation = fit_components(frames, latent_channels)
    latents_std = np.sqrt(deviation) * np.sqrt(deviation.mean())
    width = 2 * latent_channels + 8
    vae = AutoencoderKLWan(
        base_dim=width,
        z_dim=latent_channels,
        dim_mult=[1],
        num_res_blocks=1,
        temperal_downsample=[],
        latents_mean=[0.0] * latent_channels,
        latents_std=[round(float(s), 6) for s in latents_std],
        in_channels=3 * PATCH**2,
        out_channels=3 * PATCH**2,
        patch_size=PATCH,
        scale_factor_temporal=1,
        scale_factor_spatial=PATCH,
    )
    with torch.no_grad():
        for block in (vae.encoder, vae.decoder):
            _silence_residuals(block)
            _linearise_norm(block.norm_out.gamma, latent_channels, width)
        encode = torch.from_numpy(components).float()
        _set_linear(vae.encoder.conv_in, _paired(encode), _paired(-encode @ torch.from_numpy(mean).float()))
        _set_linear(
            vae.decoder.conv_in, _paired(torch.eye(latent_channels)), torch.zeros(2 * latent_channels)
        )
        for conv in (vae.encoder.conv_in, vae.decoder.conv_in):
            conv.bias[2 * latent_channels] = _CONSTANT
        pair_sum = _paired(torch.eye(latent_channels)).T
        _set_linear(vae.encoder.conv_out, pair_sum, torch.zeros(latent_channels))
        vae.encoder.conv_out.bias[latent_channels:] = _SILENT_LOGVAR
        _set_linear(vae.decoder.conv_out, encode.T @ pair_sum, torch.from_numpy(mean).float())
        for conv in (vae.quant_conv, vae.post_quant_conv):
            _set_linear(conv, torch.eye(conv.weight.shape[0]), torch.zeros(conv.weight.shape[0]))
    return vae.eval()


def _patches(frames: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N * H/8 * W/8, 192) in -1..1, channel order (colour, column, row)."""
    count, height, width, _ = frames.shape
    tiles = frames.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH, 3) / 127.5 - 1.0
    return tiles.transpose(0, 1, 3, 5, 4, 2).reshape(-1, 3 * PATCH**2)


def _paired(values: torch.Tensor) -> torch.Tensor:
    return torch.cat([values, -values])


def _set_linear(conv: nn.Conv3d, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Make a causal convolution a matrix on each position: only the newest frame's centre tap is not zero."""
    conv.weight.zero_()
    conv.bias.zero_()
    rows, columns = weight.shape
    middle = conv.kernel_size[1] // 2
    conv.weight[:rows, :columns, -1, middle, middle] = weight
    conv.bias[: bias.shape[0]] = bias


def _silence_residuals(block: nn.Module) -> None:
    for name, module in block.named_modules():
        # A zero last layer makes the residual zero; the layers before it are set so that the weights are reproducible.
        if name.endswith(("conv1", "conv2", "to_qkv", "proj")):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)


def _linearise_norm(gamma: torch.Tensor, latent_channels: int, width: int) -> None:
    gamma.zero_()
    gamma[: 2 * latent_channels] = _CONSTANT / width**0.5
