"""What the main header of a JPEG 2000 codestream tells about reading parts of it (ISO 15444-1, annex A)."""

SOC, SOT, TLM = b"\xff\x4f", b"\xff\x90", b"\xff\x55"


def has_tile_lengths(start: bytes) -> bool:
    """Whether the main header lists the lengths of its tile-parts (TLM), given the first bytes of the file.

    With them a reader goes straight to a tile; without, it has to hop over every tile-part before it.
    """
    position = start.find(SOC + b"\xff\x51")
    if position < 0:
        return False
    position += len(SOC)
    while position + 4 <= len(start):
        marker = start[position : position + 2]
        if marker == TLM:
            return True
        if marker == SOT:
            return False
        position += 2 + int.from_bytes(start[position + 2 : position + 4], "big")
    return False
