"""The CPU rasteriser with a way back: a picture, and the gradients of a loss on it with respect to the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.parallel import ordered_map, thread_count
from splatpack.render.cpu import RenderResult
from splatpack.render.kernels import backward as kernels
from splatpack.render.kernels import project_backward as chain
from splatpack.render.kernels.shade import PIXELS, TILE, shade_band
from splatpack.render.project import NEAR, Projection, pack_camera, project
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

_BUFFER = 5 * PIXELS + kernels.ROWS * TILE


@dataclass(frozen=True)
class Band:
    """What the forward pass leaves of a row of tiles.

    Attributes
    ----------
    starts : int64 (columns + 1,)
    members : int32 (total,)
        The list of each tile, in depth order.
    through : float32 (columns, 256)
        Transmittance of each pixel of each tile in the end.
    last : int32 (columns, 256)
        Place in ``members`` of the last Gaussian that each pixel can have got, -1 for none.
    """

    starts: NDArray[np.int64]
    members: NDArray[np.int32]
    through: NDArray[np.float32]
    last: NDArray[np.int32]


@dataclass(frozen=True)
class Tape:
    """What :func:`backward` needs of a forward pass: some 80 bytes per Gaussian, 4 per list entry, 20 per pixel.

    The arrays of the scene are held, not copied: change them only after :func:`backward`.
    """

    scene: Gaussians
    camera: Camera
    background: NDArray[np.float32]
    near: float
    view: Projection
    bands: list[Band]
    color: NDArray[np.float32]


@dataclass(frozen=True)
class Gradients:
    """Gradients of a loss with respect to the attributes of a scene, in their domains, float32; 0 where not visible.

    Attributes
    ----------
    means : (N, 3)
        Through the projection, and through the view direction of the spherical harmonics.
    scales : (N, 3)
        With respect to the log-scales.
    quats : (N, 4)
        With respect to the quats as they are, of any length; orthogonal to them.
    opacities : (N,)
        With respect to the logits.
    sh0, shN : (N, 1, 3), (N, K, 3)
    centres : (N, 2), or None
        With respect to the centres in the picture, per pixel: what adaptive density control goes by.
    """

    means: NDArray[np.float32]
    scales: NDArray[np.float32]
    quats: NDArray[np.float32]
    opacities: NDArray[np.float32]
    sh0: NDArray[np.float32]
    shN: NDArray[np.float32]
    centres: NDArray[np.float32] | None = None


def forward(
    scene: Gaussians,
    camera: Camera,
    *,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    near: float = NEAR,
    threads: int | None = None,
) -> tuple[RenderResult, Tape]:
    """Draw ``scene`` as :func:`splatpack.render.cpu.render` does, to the byte, and keep what the way back needs.

    Parameters
    ----------
    scene, camera, background, near, threads
        As in :func:`splatpack.render.cpu.render`.
    """
    view = project(scene, camera, near=near, threads=threads)
    size = (camera.height, camera.width)
    result = RenderResult(np.empty((*size, 3), np.float32), np.empty(size, np.float32), np.empty(size, np.float32))
    behind = np.array(background, np.float32)

    def work(index: int) -> Band:
        starts, members = view.band_lists(index)
        tiles = (len(starts) - 1, PIXELS)
        band = Band(starts, members, np.empty(tiles, np.float32), np.empty(tiles, np.int32))
        shade_band(
            view.ellipses, view.depths, view.rgb, view.boxes, starts, members, behind, index,
            np.empty(5 * PIXELS, np.float32), result.color, result.depth, result.alpha, band.through, band.last,
        )  # fmt: skip
        return band

    bands = list(ordered_map(work, range(view.bands), threads))
    return result, Tape(scene, camera, behind, near, view, bands, result.color)


def backward(tape: Tape, grad_color: NDArray[np.float32], *, threads: int | None = None) -> Gradients:
    """Return the gradients of a loss, given its gradient with respect to the picture.

    They are those of the picture as it was drawn: which Gaussians reach a pixel (alpha of 1/255, transmittance of 1e-4,
    order of depth) counts as fixed; an alpha held at 0.99, a colour held at 0 and the held part of the Jacobian pass
    nothing. A channel of a pixel that is held at 1 passes its gradient only where a descent makes it darker, so that
    saturated pixels are not stuck.

    Parameters
    ----------
    tape : Tape
        From :func:`forward`.
    grad_color : float32 (H, W, 3)
    threads : int, optional
        The result is the same, to the byte, for any number.

    Raises
    ------
    UsageError
        ``grad_color`` has another shape or dtype than the picture.
    """
    if grad_color.shape != tape.color.shape or grad_color.dtype != np.float32:
        raise UsageError(
            f"grad_color: {grad_color.dtype} {grad_color.shape}, expected float32 {tape.color.shape}, as the picture."
        )
    members = np.concatenate([band.members for band in tape.bands])
    entries = _entries(tape, np.ascontiguousarray(grad_color), len(members), threads)
    scene, view, n = tape.scene, tape.view, len(tape.scene)
    means, scales, quats, opacities, _, shN = (np.ascontiguousarray(getattr(scene, name)) for name in ATTRIBUTES)
    centres = np.empty((n, 2), np.float32)
    zeros = {name: np.zeros(getattr(scene, name).shape, np.float32) for name in ATTRIBUTES}
    grads = Gradients(**zeros, centres=centres)
    cam, eye = pack_camera(tape.camera, tape.near), tape.camera.position
    # each block reads the whole list, so there are few; a Gaussian's sum does not depend on its block
    block = max(1, -(-n // (2 * thread_count(threads))))

    def work(start: int) -> None:
        sums = np.zeros((min(block, n - start), kernels.ENTRY))
        kernels.gather(members, entries, start, sums)
        centres[start : start + len(sums)] = sums[:, :2]
        chain.project_back(
            means, scales, quats, opacities, cam, scene.antialiased, view.boxes, start, sums,
            grads.means, grads.scales, grads.quats, grads.opacities,
        )  # fmt: skip
        chain.colours_back(means, shN, eye, view.boxes, view.rgb, start, sums, grads.means, grads.sh0, grads.shN)

    for _ in ordered_map(work, range(0, n, block), threads):
        pass
    return grads


def _entries(tape: Tape, grad_color: NDArray[np.float32], total: int, threads: int | None) -> NDArray[np.float32]:
    """Return the gradients of every list entry of every band, float32 (total, 9)."""
    entries = np.empty((total, kernels.ENTRY), np.float32)
    offsets = np.cumsum([0, *(len(band.members) for band in tape.bands)])

    def work(index: int) -> None:
        band, view = tape.bands[index], tape.view
        kernels.blend_back_band(
            view.ellipses, view.rgb, view.boxes, band.starts, band.members, tape.background, index, band.through,
            band.last, tape.color, grad_color, np.empty(_BUFFER, np.float32),
            entries[offsets[index] : offsets[index + 1]],
        )  # fmt: skip

    for _ in ordered_map(work, range(len(tape.bands)), threads):
        pass
    return entries
