"""What a user should know about decoded pixels: what was taken for white, and how much a square crop cuts off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.data.pixels.square import Square

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded

_MUCH = 0.25  # of the median picture's area


def pixel_notes(config: DataConfig, decoded: Decoded) -> list[str]:
    """One line for each thing that is worth to know."""
    depths = sorted({depth for depth in decoded.facts.depths.tolist() if depth > 8})
    notes = [_white_note(config, decoded.square, depth) for depth in depths]
    lost = decoded.facts.lost_by_crop()
    if config.fit == "crop" and lost > _MUCH:
        notes.append(
            f"{config.root}: the square crop cuts off {lost:.0%} of the median picture; data.fit=pad or "
            f"data.fit=stretch keeps it whole"
        )
    return notes


def _white_note(config: DataConfig, square: Square, depth: int) -> str:
    white = square.white_of(depth)
    if square.white is not None:
        return f"{config.root}: {depth}-bit pictures: {white:,g} is white, as data.white says"
    if white == 255:
        return f"{config.root}: {depth}-bit pictures have values up to 255 only: read as 8-bit pictures"
    return (
        f"{config.root}: {depth}-bit pictures: {white:,.0f}, the largest value of all, is white; "
        f"data.white={white:.0f} fixes it, should there be more pictures later"
    )
