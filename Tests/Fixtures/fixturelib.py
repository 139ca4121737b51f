"""What the generators share: where things are, how a picture becomes RGB, how a file is written."""

import hashlib
import io
import json
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODELS = HERE / "models"
EXPECTED = HERE / "expected"
IMAGES = HERE / "images"

MODEL_DIRS = {
    "qwen25vl-hub": MODELS / "random-target",
    "massv-echo": MODELS / "random-massv",
    "qwen25vl-v5": MODELS / "qwen25vl-v5",
    "qwen2-text": MODELS / "qwen2-text",
    "qwen2-echo": MODELS / "qwen2-echo",
    "massv": MODELS / "massv",
} | {
    name: MODELS / name
    for name in """gemma3-hub gemma3-v5 gemma3-text gemma3-massv
    llava-hub llava-v5 llama-text llama-massv""".split()
}


def shared_data():
    """The folder of real photographs, which are never stored here; None when it is absent."""
    where = Path(os.environ.get("MASSV_SHARED_DATA", ROOT / "../shared/data")).resolve()
    return where if (where / "photos.tar").exists() else None


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def write_json(path, value, indent=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def to_rgb(image):
    """EXIF orientation applied, transparency laid on white, RGB."""
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


_photos = None


def image_bytes(source):
    """source: {"file": path from the root} | {"tar": name, "member": name} | {"torture": path}."""
    if "file" in source:
        return (ROOT / source["file"]).read_bytes()
    shared = shared_data()
    if shared is None:
        raise FileNotFoundError("the folder of photographs is not here; set MASSV_SHARED_DATA")
    if "torture" in source:
        return (shared / "torture" / source["torture"]).read_bytes()
    global _photos
    if _photos is None:
        _photos = tarfile.open(shared / source["tar"])
    return _photos.extractfile(source["member"]).read()


def load_rgb(source):
    return to_rgb(Image.open(io.BytesIO(image_bytes(source))))


def save_safetensors(path, tensors, metadata=None):
    """Plain writer with sorted names, so that the bytes depend on nothing but the values.

    tensors: name -> (dtype string, numpy array); BF16 arrays are uint16 bit patterns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"__metadata__": metadata} if metadata else {}
    blobs, offset = [], 0
    for name in sorted(tensors):
        dtype, array = tensors[name]
        blob = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def to_bf16_bits(array):
    """Round to nearest even, as torch does."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16_bits(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)
