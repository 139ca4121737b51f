"""What Pillow sees in the torture files: writes expected/torture.tsv.

    python make_torture.py        # needs pillow==13.0.0 and the folder that MASSV_SHARED_DATA names

One line for every file of torture/ that is JPEG, PNG or WebP by its first bytes, in the order of their paths: path,
format, width, height, SHA-256 of the upright RGB bytes, and for JPEG 64 pixels as RRGGBB, since inverse transforms
differ in their rounding. Pixel i is the one at x = i * 7919 % width, y = i * 104729 % height. A file that Pillow
refuses has width and height 0, and "-" for the rest.

Pillow is strict here: no truncated files, and a picture above its limit of pixels is an error. Other warnings do not
count.
"""

import sys
import warnings

from PIL import Image, ImageFile

from fixturelib import EXPECTED, sha256, shared_data, to_rgb

LIMIT = 89_478_485
SAMPLES = 64


def kind(data):
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return None


def pillow(path, form):
    """The upright picture, or None where Pillow refuses, which it does with many kinds of exception."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=[form.upper()]) as image:
                return to_rgb(image)
    except Exception as error:
        print(f"refused: {path.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def sampled(image):
    places = ((i * 7919 % image.width, i * 104729 % image.height) for i in range(SAMPLES))
    return ",".join("%02x%02x%02x" % image.getpixel(place) for place in places)


def line(path, name, form):
    image = pillow(path, form)
    if image is None:
        return [name, form, "0", "0", "-", "-"]
    pixels = sampled(image) if form == "JPEG" else "-"
    return [name, form, str(image.width), str(image.height), sha256(image.tobytes()), pixels]


def main():
    shared = shared_data()
    if shared is None:
        sys.exit("the folder of torture files is not here; set MASSV_SHARED_DATA")
    Image.MAX_IMAGE_PIXELS = LIMIT
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    folder = shared / "torture"
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (form := kind(path.read_bytes()[:12])):
            lines.append("\t".join(line(path, path.relative_to(folder).as_posix(), form)))
    (EXPECTED / "torture.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    refused = sum(text.split("\t")[2] == "0" for text in lines)
    print(f"{len(lines)} files, {refused} of them refused")


if __name__ == "__main__":
    main()
