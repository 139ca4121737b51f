"""Draws pictures of shapes in several sizes and file formats, and packs them as a WebDataset shard."""

import io
import json
import tarfile
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent

COLOURS = dict(
    red=(214, 40, 40), blue=(38, 84, 214), green=(34, 145, 66), yellow=(245, 205, 40), orange=(240, 130, 30),
    purple=(128, 50, 160), black=(20, 20, 20), white=(245, 245, 245), grey=(150, 150, 150), pink=(245, 150, 180),
    brown=(120, 75, 40), turquoise=(60, 185, 185),
)  # fmt: skip

# width, height, background, [(shape, colour, centre x, centre y, radius) in hundredths of the width, height, shorter side],
# caption, kind of file
PICTURES = [
    (240, 180, "white", [("circle", "red", 50, 50, 30)], "A red circle on a white background.", "jpg"),
    (224, 224, "grey", [("square", "blue", 30, 50, 18), ("triangle", "green", 70, 50, 20)],
     "A blue square on the left and a green triangle on the right, on a grey background.", "jpg"),
    (320, 200, "black", [("star", "yellow", 30, 50, 28), ("star", "yellow", 70, 50, 28)],
     "Two yellow stars on a black background.", "png"),
    (180, 300, "turquoise", [("circle", "white", 50, 22, 20), ("circle", "white", 50, 50, 20), ("circle", "white", 50, 78, 20)],
     "Three white circles one above another on a turquoise background.", "jpg"),
    (300, 220, "pink", [("square", "purple", 50, 50, 34), ("circle", "orange", 50, 50, 16)],
     "An orange circle inside a purple square on a pink background.", "jpg"),
    (260, 260, "yellow", [("triangle", "brown", 50, 48, 36)], "A brown triangle on a yellow background.", "webp"),
    (320, 160, "blue", [("square", "white", 20, 50, 24), ("circle", "red", 50, 50, 24), ("triangle", "yellow", 80, 50, 26)],
     "A white square, a red circle and a yellow triangle in a row on a blue background.", "jpg"),
    (160, 240, "green", [("star", "white", 50, 35, 34), ("square", "black", 50, 78, 18)],
     "A white star above a black square on a green background.", "jpg"),
    (288, 192, "white", [("circle", "blue", 25, 30, 14), ("circle", "green", 75, 70, 26)],
     "A small blue circle at the upper left and a larger green circle at the lower right, on a white background.", "jpg"),
    (200, 200, "orange", [("square", "black", 28, 28, 16), ("square", "black", 72, 28, 16), ("square", "black", 28, 72, 16),
                          ("square", "black", 72, 72, 16)],
     "Four black squares in two rows on an orange background.", "jpg"),
    (310, 233, "purple", [("triangle", "turquoise", 32, 55, 24), ("triangle", "pink", 68, 55, 24)],
     "A turquoise triangle on the left and a pink triangle on the right, on a purple background.", "jpg"),
    (171, 257, "grey", [], "A plain grey picture with nothing on it.", "jpg"),
]  # fmt: skip


def outline(shape, x, y, r):
    import math

    if shape == "square":
        return [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    points = 10 if shape == "star" else 3
    radii = (r, r * 0.42) if shape == "star" else (r, r)
    turn = lambda i: -math.pi / 2 + 2 * math.pi * i / points  # noqa: E731
    return [(x + radii[i % 2] * math.cos(turn(i)), y + radii[i % 2] * math.sin(turn(i))) for i in range(points)]


def draw(width, height, background, shapes):
    scale = 4  # drawn large and reduced, for smooth edges
    image = Image.new("RGB", (width * scale, height * scale), COLOURS[background])
    pen = ImageDraw.Draw(image)
    for shape, colour, x, y, r in shapes:
        x, y, r = x * width * scale / 100, y * height * scale / 100, r * min(width, height) * scale / 100
        if shape == "circle":
            pen.ellipse([x - r, y - r, x + r, y + r], fill=COLOURS[colour])
        else:
            pen.polygon(outline(shape, x, y, r), fill=COLOURS[colour])
    return image.resize((width, height), Image.Resampling.BOX)


def encode(image, kind):
    out = io.BytesIO()
    options = {"jpg": dict(format="JPEG", quality=85), "png": dict(format="PNG"), "webp": dict(format="WEBP", quality=85)}
    image.save(out, **options[kind])
    return out.getvalue()


def main():
    folder = HERE / "shapes"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    members = []
    for i, (width, height, background, shapes, caption, kind) in enumerate(PICTURES):
        key = f"shape-{i:02d}"
        picture = encode(draw(width, height, background, shapes), kind)
        (folder / f"{key}.{kind}").write_bytes(picture)
        about = {"key": key, "width": width, "height": height, "background": background, "shapes": [s[:2] for s in shapes]}
        members += [(f"{key}.{kind}", picture), (f"{key}.txt", caption.encode()), (f"{key}.json", json.dumps(about).encode())]
    with tarfile.open(HERE / "shapes.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime, info.uid, info.gid = len(data), 0o644, 0, 0, 0
            tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
