"""Colours of other primaries as sRGB, by the formulas of the standards."""

import numpy as np

P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
WHITE = np.array([0.3127, 0.3290])  # D65
D50 = np.array([0.9642, 1.0, 0.8249])
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Linear RGB -> XYZ of D65 (3, 3), from chromaticities."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([WHITE[0] / WHITE[1], 1, (1 - WHITE.sum()) / WHITE[1]])
    return columns * np.linalg.solve(columns, white)


def in_srgb(
    values: np.ndarray, primaries: tuple[tuple[float, float], ...], gamma: float
) -> np.ndarray:
    """The formulas of IEC 61966-2-1 applied to RGB values of other primaries, 0 to 255."""
    linear = (values / 255.0) ** gamma
    xyz = linear @ to_xyz(primaries).T
    srgb = np.clip(xyz @ np.linalg.inv(to_xyz(SRGB)).T, 0, 1)
    curved = np.where(srgb <= 0.0031308, srgb * 12.92, 1.055 * srgb ** (1 / 2.4) - 0.055)
    return np.asarray(curved * 255)


COLOURS = np.array(
    [[[200, 60, 60], [90, 160, 80], [70, 90, 180], [128, 128, 128], [230, 200, 170]]]
)
