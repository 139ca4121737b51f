"""Copies a model's folder with one more layer in its language model, which at first changes nothing.

    python add_layer.py FROM TO

The new layer is the last one again, but for what it adds to the residual stream, which is zero: the model says what it
said, and training goes on from there (block expansion, arXiv 2401.02415).
"""

import json
import shutil
import struct
import sys
from pathlib import Path

ADDS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def read(path):
    """Tensors by name: type, shape and bytes."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = (entry["dtype"], entry["shape"], data[start:end])
    return tensors


def write(path, tensors):
    header, place = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + len(data)]}
        place += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(data for _, _, data in tensors.values())


def main(source, destination):
    source, destination = Path(source), Path(destination)
    config = json.loads((source / "config.json").read_text())
    layers = config["num_hidden_layers"]
    last, new = f"model.layers.{layers - 1}.", f"model.layers.{layers}."
    tensors = {}
    for name, (kind, shape, data) in read(source / "model.safetensors").items():
        tensors[name] = (kind, shape, data)
        if name.startswith(last):
            tensors[name.replace(last, new)] = (kind, shape, bytes(len(data)) if name.endswith(ADDS) else data)
    config["num_hidden_layers"] = config["max_window_layers"] = layers + 1
    destination.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, destination)
    write(destination / "model.safetensors", tensors)
    (destination / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
