"""Pictures for a few dozen profiles: abstract, for nobody of the demo has a face."""

import colorsys
import io
from random import Random

from PIL import Image, ImageDraw, ImageFont

from deploy.demo.identifiers import slug
from deploy.demo.records import Person

SIZE = 256  # pixels, square
_SCALE = 3  # drawn larger, then reduced: smooth edges


def photo(person: Person) -> bytes:
    """A JPEG of SIZE pixels, the same for the same person: coloured discs behind their initials."""
    rng = Random(person.id.int)  # noqa: S311 - a drawing, not a secret
    side = SIZE * _SCALE
    hue = rng.random()
    image = Image.new("RGB", (side, side), _colour(hue, light=0.34))
    pen = ImageDraw.Draw(image)
    for step in range(3):
        radius = side * rng.uniform(0.28, 0.6)
        x, y = side * rng.random(), side * rng.random()
        tint = _colour(hue + rng.uniform(-0.07, 0.07), light=0.40 + 0.07 * step)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tint)
    # The font that comes with Pillow has no accented letters.
    initials = (slug(person.first_name)[0] + slug(person.last_name)[0]).upper()
    font = ImageFont.load_default(size=side * 0.4)
    pen.text((side / 2, side / 2), initials, fill="white", font=font, anchor="mm")
    out = io.BytesIO()
    image.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(out, "JPEG", quality=85)
    return out.getvalue()


def _colour(hue: float, *, light: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(hue % 1, light, 0.42)
    return round(red * 255), round(green * 255), round(blue * 255)
