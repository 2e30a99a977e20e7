"""What is known of a picture file after it was decoded once."""

from __future__ import annotations

from dataclasses import dataclass

NOTE_TURNED = "Turned upright as the EXIF data says"
NOTE_ALPHA = "Transparent areas laid on the background colour"
NOTE_FRAMES = "Only the first of several frames or pages used"
NOTE_DEPTH = "16-bit values scaled to 8 bits"


@dataclass(frozen=True)
class PictureFacts:
    """Size of a picture after EXIF, and the notes of its decoding."""

    width_px: int
    height_px: int
    notes: tuple[str, ...]

    @property
    def see_through(self) -> bool:
        """Whether some part of it is transparent."""
        return NOTE_ALPHA in self.notes


@dataclass(frozen=True)
class PictureRecord:
    """What is worth remembering of a picture file, and which state of the file it is about.

    Attributes:
        size_bytes: of the file when it was read.
        mtime_ns: when the file had been written.
        sha256: of its bytes, 64 hex digits.
        facts: size and notes.
        hides_colours: whether pixels that are wholly transparent carry colours other than black
            and white: programs that drop transparency show them.
        perceptual_hash: 64 bits that hardly change when a picture is scaled, recompressed or
            tinted: see :func:`.perceptual.perceptual_hash`.
    """

    size_bytes: int
    mtime_ns: int
    sha256: str
    facts: PictureFacts
    hides_colours: bool
    perceptual_hash: int

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and time; while a file has them, it is taken to be unchanged."""
        return self.size_bytes, self.mtime_ns
