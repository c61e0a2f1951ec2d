"""Picture formats that are recognised and not read: each gets a sentence that says what to do instead.

A folder in which such a file is the only picture of its name is refused, so that no picture is left out silently.
"""

from __future__ import annotations

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
"""Read with the extra `heic`."""

RAW = "a camera's raw file"
_RAW_SUFFIXES = (".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw")

UNREAD_SUFFIXES = dict.fromkeys(_RAW_SUFFIXES, RAW) | {
    ".jxl": "JPEG XL",
    ".jp2": "JPEG 2000",
    ".j2k": "JPEG 2000",
    ".jpx": "JPEG 2000",
    ".jxr": "JPEG XR",
    ".wdp": "JPEG XR",
    ".psd": "Photoshop",
    ".psb": "Photoshop",
    ".exr": "OpenEXR",
    ".hdr": "Radiance HDR",
    ".dpx": "DPX",
    ".tga": "TGA",
    ".pcx": "PCX",
    ".sgi": "SGI",
    ".qoi": "QOI",
    ".dds": "DDS",
    ".fits": "FITS",
}
"""Names of formats by the suffix of their files."""

_MAGIC = (
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc", "JPEG XR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?R", "Radiance HDR"),
    (0, b"SDPX", "DPX"),
    (0, b"XPDS", "DPX"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"\0\0\1\0", "an icon"),
    (8, b"CR\x02\0", RAW),
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"IIRO", RAW),
    (0, b"IIRS", RAW),
    (0, b"IIU\0", RAW),
    (4, b"ftypcrx ", RAW),
)

_OTHER_MAGIC = (
    (128, b"DICM", "DICOM"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
    (8, b"AVI ", "a video"),
    (4, b"ftyp", "a video"),
)

PREFIX_BYTES = 132
"""Bytes from the beginning of a file that tell its format."""

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


def is_heif(prefix: bytes) -> bool:
    """Return True if a file begins like HEIC, the photos of iPhones. Files with AV1 pictures (AVIF) do not count."""
    if prefix[4:8] != b"ftyp":
        return False
    size = int.from_bytes(prefix[:4], "big")
    brands = [prefix[8:12], *(prefix[place : place + 4] for place in range(16, min(size, len(prefix)), 4))]
    if brands[0] in (b"mif1", b"msf1"):  # the other brands tell
        return b"avif" not in brands and any(brand in _HEIF_BRANDS for brand in brands)
    return brands[0] in _HEIF_BRANDS


def unread_picture(prefix: bytes, suffix: str = "") -> str | None:
    """Describe a picture format that is not read, and what to do; None for all other files.

    Args:
        prefix: how the file begins; empty to go by the suffix alone.
        suffix: of its name, for formats that cannot be told by how they begin.
    """
    name = _match(prefix, _MAGIC) or UNREAD_SUFFIXES.get(suffix.lower())
    if name is None:
        return None
    remedy = "develop it to JPEG or TIFF" if name == RAW else "convert it to PNG or JPEG"
    return f"{name}, which is not an image in a format that is read: {remedy}"


def other_kind(prefix: bytes) -> str | None:
    """Name the kind of a file that is not a picture but can be read as a video: DICOM or a video; else None."""
    return _match(prefix, _OTHER_MAGIC)


def _match(prefix: bytes, table: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((name for place, magic, name in table if prefix[place : place + len(magic)] == magic), None)
