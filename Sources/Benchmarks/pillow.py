"""Decodes and resizes files with Pillow each time a line comes in; answers with the seconds it took."""

import io
import sys
import time

from PIL import Image

width, height = int(sys.argv[1]), int(sys.argv[2])
contents = [open(path, "rb").read() for path in sys.argv[3:]]
for _ in sys.stdin:
    start = time.perf_counter()
    for content in contents:
        Image.open(io.BytesIO(content)).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    print(time.perf_counter() - start, flush=True)
