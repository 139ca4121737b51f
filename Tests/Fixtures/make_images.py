"""Draws the pictures the fixtures use: odd sizes, and the ways a file can say what its pixels mean."""

import numpy as np
from PIL import Image, ImageDraw

from fixturelib import IMAGES


def scene(width, height, seed):
    """A gradient, a few shapes and a little noise: something with structure at every scale."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    corners = rng.randint(0, 256, (4, 3))
    u, v = (x / max(width - 1, 1))[..., None], (y / max(height - 1, 1))[..., None]
    base = (1 - u) * (1 - v) * corners[0] + u * (1 - v) * corners[1] + (1 - u) * v * corners[2] + u * v * corners[3]
    image = Image.fromarray(base.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        colour = tuple(int(c) for c in rng.randint(0, 256, 3))
        x0, y0 = int(rng.randint(0, width)), int(rng.randint(0, height))
        w, h = int(rng.randint(1, max(2, width // 2))), int(rng.randint(1, max(2, height // 2)))
        draw_shape = (draw.ellipse, draw.rectangle)[rng.randint(0, 2)]
        draw_shape([x0 - w // 2, y0 - h // 2, x0 + w // 2, y0 + h // 2], fill=colour)
    noisy = np.asarray(image).astype(np.int16) + rng.randint(-12, 13, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def alpha(width, height):
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    return Image.fromarray(x.astype(np.uint8))


def orientation(n):
    exif = Image.Exif()
    exif[0x0112] = n
    return exif.tobytes()


def main():
    IMAGES.mkdir(parents=True, exist_ok=True)

    def save(name, image, **options):
        image.save(IMAGES / name, **options)

    save("tall-37x211.png", scene(37, 211, 1))
    save("tile-28x28.png", scene(28, 28, 2))
    save("dot-1x1.png", Image.new("RGB", (1, 1), (200, 30, 90)))
    save("strip-260x4.png", scene(260, 4, 3))
    save("wide-200x99.jpg", scene(200, 99, 4), quality=85)
    save("full-chroma-101x77.jpg", scene(101, 77, 5), quality=92, subsampling=0)
    save("half-chroma-113x64.jpg", scene(113, 64, 6), quality=75, subsampling=1)
    save("exif6-90x140.jpg", scene(140, 90, 7), quality=85, exif=orientation(6))
    save("exif3-120x85.jpg", scene(120, 85, 8), quality=85, exif=orientation(3))
    save("exif5-66x97.jpg", scene(97, 66, 9), quality=85, exif=orientation(5))
    save("exif8-70x110.webp", scene(110, 70, 18), quality=80, exif=orientation(8))
    save("grey-120x80.jpg", scene(120, 80, 10).convert("L"), quality=85)
    save("grey-alpha-60x45.png", Image.merge("LA", (scene(60, 45, 11).convert("L"), alpha(60, 45))))
    save("palette-64x48.png", scene(64, 48, 12).quantize(32))
    cut = scene(80, 64, 13).quantize(16)
    save("palette-see-through-80x64.png", cut, transparency=bytes([0, 128, 255]))
    save("progressive-150x100.jpg", scene(150, 100, 14), quality=85, progressive=True)
    save("cmyk-96x72.jpg", scene(96, 72, 15).convert("CMYK"), quality=85)
    see_through = scene(100, 60, 16)
    see_through.putalpha(alpha(100, 60))
    save("rgba-100x60.png", see_through)
    save("lossy-161x120.webp", scene(161, 120, 17), quality=80)
    save("lossless-50x75.webp", scene(50, 75, 19), lossless=True)
    save("one-bit-90x50.png", scene(90, 50, 20).convert("1"))


if __name__ == "__main__":
    main()
