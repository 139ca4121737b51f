"""Writes pictures with captions that depend on them, for the tests of training: captions/train.tar.gz and held.tar.gz.

A square of one of five colours in one of four corners, on a ground of another colour with a little noise. The caption says
colour and corner, so that whoever does not see the picture can guess no better than one in twenty.
"""

import gzip
import io
import tarfile

import numpy as np
from PIL import Image

from fixturelib import HERE

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}
CORNERS = ["upper left", "upper right", "lower left", "lower right"]


def pair(rng):
    names = list(COLOURS)
    colour, corner = names[rng.randint(5)], rng.randint(4)
    ground = rng.randint(90, 170, 3)
    pixels = np.broadcast_to(ground, (56, 56, 3)).astype(np.int16).copy()
    top, left = corner // 2 * 28, corner % 2 * 28
    pixels[top : top + 28, left : left + 28] = COLOURS[colour]
    pixels += rng.randint(-6, 7, pixels.shape)
    picture = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(picture, "jpeg", quality=60)
    return picture.getvalue(), f"a {colour} square in the {CORNERS[corner]} corner"


def write(name, count, seed):
    rng = np.random.RandomState(seed)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for index in range(count):
            picture, caption = pair(rng)
            for field, data in (("jpg", picture), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{name}-{index:03}.{field}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    folder = HERE / "captions"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.tar.gz").write_bytes(gzip.compress(out.getvalue(), mtime=0))


if __name__ == "__main__":
    write("train", 256, 1)
    write("held", 64, 2)
