"""What Pillow's Image.resize answers: writes expected/resize.json.

    python make_resize.py         # needs pillow==13.0.0

Each case names its source by a seed, so that no pixels are stored: the bytes, row after row, red first, are the upper
eight bits of state = (state * 1664525 + 1013904223) mod 2^32, stepped before each byte and begun at the seed. Where
"extreme" is true, each byte of 128 and more becomes 255 and each other 0, so that filters with negative lobes overshoot
everywhere.

"from" and "to" are width and height; the other entries are the SHA-256 of the result's RGB bytes, by filter.
"""

import json
import random

from PIL import Image

from fixturelib import EXPECTED, sha256

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

# Sides of one pixel, one side kept, both kept, whole factors, one pixel more or less, and large steps. Pillow takes
# columns before rows where the height loses more than twice what the width loses: the order shows in the rounding.
FIXED = [
    ((1, 1), (1, 1)), ((1, 1), (50, 70)), ((1, 90), (40, 1)), ((90, 1), (1, 40)), ((200, 150), (1, 1)),
    ((1, 300), (1, 7)), ((300, 1), (7, 1)), ((64, 48), (64, 20)), ((64, 48), (20, 48)), ((64, 48), (64, 48)),
    ((64, 48), (128, 96)), ((64, 48), (32, 24)), ((99, 77), (100, 78)), ((99, 77), (98, 76)), ((640, 480), (28, 28)),
    ((500, 333), (336, 224)), ((2, 2), (255, 3)), ((3, 1000), (84, 84)), ((1000, 3), (84, 84)), ((7, 5), (301, 211)),
]
RANDOM = 40


def source(seed, size, extreme):
    state, out = seed, bytearray(size[0] * size[1] * 3)
    for i in range(len(out)):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        byte = state >> 24
        out[i] = (255 if byte >= 128 else 0) if extreme else byte
    return Image.frombytes("RGB", size, bytes(out))


def sizes():
    draw = random.Random(7)
    side = lambda: round(2 ** draw.uniform(0, 9))
    return FIXED + [((side(), side()), (side(), side())) for _ in range(RANDOM)]


def case(seed, start, end):
    extreme = seed % 3 == 0
    image = source(seed, start, extreme)
    results = {name: sha256(image.resize(end, filter).tobytes()) for name, filter in FILTERS.items()}
    return {"seed": seed, "extreme": extreme, "from": start, "to": end} | results


def main():
    lines = [json.dumps(case(seed, start, end)) for seed, (start, end) in enumerate(sizes(), 1)]
    (EXPECTED / "resize.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    print(f"{len(lines)} sizes, {len(FILTERS)} filters")


if __name__ == "__main__":
    main()
