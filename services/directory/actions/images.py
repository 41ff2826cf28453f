"""Making a photo out of whatever was sent: small, square, and without what cameras add."""

import asyncio
import warnings
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from services.directory.errors import ImageTooLargeError, NotAnImageError

ACCEPTED = ("image/jpeg", "image/png", "image/webp")
MAX_BYTES = 5_000_000
MAX_PIXELS = 50_000_000
"""A phone's 48 megapixels pass; decoding takes three to four bytes per pixel."""
_SIDE = 512
_FORMATS = ("JPEG", "PNG", "WEBP")
# Two at a time: decoding is what costs memory here.
_decoding = asyncio.Semaphore(2)


async def normalised(content: bytes) -> bytes:
    """A 512 by 512 WebP without metadata (position, device, thumbnail).

    Raises `NotAnImageError`, `ImageTooLargeError`.
    """
    async with _decoding:
        return await asyncio.to_thread(_normalise, content)


def _normalise(content: bytes) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _convert(content)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large() from None
    # Pillow's decoders meet broken files with many kinds of exceptions.
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, IndexError):
        raise NotAnImageError("Envoyez une photo au format JPEG, PNG ou WebP.") from None


def _convert(content: bytes) -> bytes:
    with Image.open(BytesIO(content), formats=_FORMATS) as image:
        # The header says the size; nothing is decoded yet.
        if image.width * image.height > MAX_PIXELS:
            raise _too_large()
        image.draft("RGB", (_SIDE * 2, _SIDE * 2))
        upright = ImageOps.exif_transpose(image)
        square = ImageOps.fit(upright.convert("RGBA"), (_SIDE, _SIDE))
        flat = Image.new("RGB", square.size, "white")
        flat.paste(square, mask=square.getchannel("A"))
        stored = BytesIO()
        flat.save(stored, "WEBP", quality=82, exif=b"", xmp=b"", icc_profile=b"")
        return stored.getvalue()


def _too_large() -> ImageTooLargeError:
    return ImageTooLargeError(
        f"Envoyez une photo de moins de {MAX_PIXELS // 1_000_000} millions de pixels."
    )
