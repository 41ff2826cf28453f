"""Making a photo out of whatever was sent: small, square, and without what cameras add."""

import asyncio
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from services.directory.errors import ImageTooLargeError, NotAnImageError

ACCEPTED = ("image/jpeg", "image/png", "image/webp")
MAX_BYTES = 5_000_000
MAX_PIXELS = 25_000_000
"""More than pictures of 5 MB have; decoding takes up to four bytes per pixel, 100 MB."""
_SIDE = 512
_FORMATS = ("JPEG", "PNG", "WEBP")
# One at a time: decoding is what costs memory here. A thread of its own, not a lock: that would belong
# to the first event loop of the process.
_decoder = ThreadPoolExecutor(1, thread_name_prefix="photos")


async def normalised(content: bytes) -> bytes:
    """A 512 by 512 WebP without metadata (position, device, thumbnail).

    Raises `NotAnImageError`, `ImageTooLargeError`.
    """
    return await asyncio.get_running_loop().run_in_executor(_decoder, _normalise, content)


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
        image.thumbnail((_SIDE * 2, _SIDE * 2))  # lets the JPEG decoder skip most of its work
        upright = ImageOps.exif_transpose(image).convert("RGBA")
        square = ImageOps.fit(upright, (_SIDE, _SIDE))
        flat = Image.new("RGB", square.size, "white")
        flat.paste(square, mask=square.getchannel("A"))
        stored = BytesIO()
        flat.save(stored, "WEBP", quality=82, exif=b"", xmp=b"", icc_profile=b"")
        return stored.getvalue()


def _too_large() -> ImageTooLargeError:
    return ImageTooLargeError(
        f"Envoyez une photo de moins de {MAX_PIXELS // 1_000_000} millions de pixels."
    )
