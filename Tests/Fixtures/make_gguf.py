"""Writes the small GGUF files and what gguf-py reads in them.

    pip install gguf==0.19.0
    python make_gguf.py            # in Tests/Fixtures, after make_models.py and make_models_*.py; about a minute
    python make_gguf.py blocks     # one part (blocks, files, answers)

`expected/gguf-blocks.json`: blocks of every type that is read, and their values. `models/gguf/*.gguf`: the checkpoints beside
them and the one under examples/, with the keys, names and shapes that llama.cpp's converter writes. `expected/gguf-files.json`:
keys, values, tensors and the hash of each tensor's f32 values. `expected/gguf-answers.*`: what transformers answers with the
weights of the quantised files; the other files hold the values of their checkpoints to the bit, and so give their answers.

Weights of a checkpoint's bf16 go to F32, BF16, or to F16 where that loses nothing."""

import json
import logging
import shutil
import struct
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf.quants import dequantize, quantize

from fixturelib import EXPECTED, MODEL_DIRS, MODELS, from_bf16_bits, save_safetensors, sha256, write_json

OUT = MODELS / "gguf"
LARGEST = 700_000
logging.getLogger("gguf").setLevel(logging.ERROR)

# ---------------------------------------------------------------- blocks

BLOCK_TYPES = [Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q5_0, Q.Q4_K, Q.Q5_K, Q.Q6_K]


def half(x):
    return struct.pack("<e", x)


def half_bits(bits):
    return struct.pack("<H", bits)


def pack_scales(scales, mins):
    """Eight 6-bit scales and eight 6-bit minima in twelve bytes, as Q4_K and Q5_K hold them."""
    low = bytes((scales[i] & 63) | ((scales[i + 4] >> 4) << 6) for i in range(4))
    middle = bytes((mins[i] & 63) | ((mins[i + 4] >> 4) << 6) for i in range(4))
    high = bytes((scales[i + 4] & 15) | ((mins[i + 4] & 15) << 4) for i in range(4))
    return low + middle + high


def plain_blocks(kind, rng):
    """32 numbers a case. No NaN: what becomes of its bits is the processor's affair."""
    if kind == Q.F32:
        special = [0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x00000001, 0x807FFFFF, 0x00800000, 0x7F7FFFFF]
        special += [0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x3EAAAAAB]
        make, width = (lambda b: struct.pack("<I", b)), 32
    else:
        special = {
            Q.F16: [0x0000, 0x8000, 0x3C00, 0xBC00, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x3555],
            Q.BF16: [0x0000, 0x8000, 0x3F80, 0xBF80, 0x0001, 0x807F, 0x0080, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x3EAB],
        }[kind]
        make, width = half_bits, 16
    normal = rng.standard_normal(32).astype(np.float32)
    if kind == Q.F32:
        drawn = normal.tobytes()
    elif kind == Q.F16:
        drawn = normal.astype(np.float16).tobytes()
    else:
        drawn = quantize(normal, Q.BF16).tobytes()
    every = []
    while len(every) < 32:
        bits = int(rng.randint(0, 1 << 16)) | (int(rng.randint(0, 1 << 16)) << 16 if width == 32 else 0)
        top = (bits >> 23) & 0xFF if width == 32 else (bits >> 10) & 0x1F if kind == Q.F16 else (bits >> 7) & 0xFF
        if top != (0x1F if kind == Q.F16 else 0xFF):
            every.append(make(bits))
    edge = b"".join(make(b) for b in special)
    return [
        ("zeros, ones, subnormal, largest, infinite", edge + edge[: 32 * width // 8 - len(edge)]),
        ("a normal distribution", drawn),
        ("any finite bits", b"".join(every)),
    ]


def small_blocks(kind, rng):
    """32 weights under one scale."""
    body = {Q.Q8_0: 32, Q.Q4_0: 16, Q.Q5_0: 20}[kind]

    def drawn():
        return rng.bytes(body)

    low, high = {Q.Q8_0: (b"\x80", b"\x7f"), Q.Q4_0: (b"\x00", b"\xff"), Q.Q5_0: (b"\x00", b"\xff")}[kind]
    counting = bytes(range(body)) if kind == Q.Q8_0 else bytes((17 * i + 5) & 255 for i in range(body))
    cases = [
        ("an ordinary scale", half(0.01171875) + drawn()),
        ("a negative scale", half(-0.337) + drawn()),
        ("scale zero", half(0.0) + drawn()),
        ("scale minus zero", half(-0.0) + drawn()),
        ("the largest scale", half(65504.0) + drawn()),
        ("the least subnormal scale", half_bits(0x0001) + drawn()),
        ("the greatest subnormal scale, negative", half_bits(0x83FF) + drawn()),
        ("all weights least", half(1.5) + low * body),
        ("all weights greatest", half(1.5) + high * body),
        ("counting", half(0.5) + counting),
    ]
    if kind == Q.Q5_0:
        cases.append(("one fifth bit each", half(1.0) + struct.pack("<I", 0x80010801) + bytes(16)))
    normal = rng.standard_normal(96).astype(np.float32) * np.repeat([0.02, 3.0, 0.0], 32).astype(np.float32)
    cases.append(("a row of three, as gguf-py quantises it", quantize(normal[None], kind).tobytes()))
    return cases


def large_blocks(kind, rng):
    """256 weights: Q4_K and Q5_K with scales and minima of 32, Q6_K with signed scales of 16."""
    if kind == Q.Q6_K:

        def block(d, scales=None, ql=None, qh=None):
            parts = [rng.bytes(128) if ql is None else ql, rng.bytes(64) if qh is None else qh]
            return b"".join(parts) + (rng.bytes(16) if scales is None else scales) + d

        return [
            ("an ordinary scale", block(half(0.000237))),
            ("a negative scale", block(half(-0.0131))),
            ("scale zero", block(half(0.0))),
            ("the largest scale", block(half(65504.0))),
            ("a subnormal scale", block(half_bits(0x0005))),
            ("every sub-scale 127", block(half(0.5), scales=b"\x7f" * 16)),
            ("every sub-scale -128", block(half(0.5), scales=b"\x80" * 16)),
            ("sub-scales of zero", block(half(0.5), scales=bytes([0, 255] * 8))),
            ("all weights least", block(half(1.0), scales=bytes(range(1, 17)), ql=bytes(128), qh=bytes(64))),
            ("all weights greatest", block(half(1.0), scales=bytes(range(1, 17)), ql=b"\xff" * 128, qh=b"\xff" * 64)),
            ("counting", block(half(1.0), bytes([1] * 16), bytes(range(128)), bytes((i * 7) & 255 for i in range(64)))),
            ("two, one after the other", block(half(0.02)) + block(half(-0.03))),
        ]

    body = 128 + (32 if kind == Q.Q5_K else 0)

    def block(d, m, scales=None, weights=None):
        scales = rng.bytes(12) if scales is None else scales
        return d + m + scales + (rng.bytes(body) if weights is None else weights)

    rising, falling = pack_scales(range(1, 64, 8), range(63, 0, -8)), pack_scales(range(63, 0, -8), range(2, 64, 8))
    cases = [
        ("ordinary scales", block(half(0.00081), half(0.0047))),
        ("a negative scale", block(half(-0.0131), half(0.021))),
        ("a negative minimum", block(half(0.0131), half(-0.021))),
        ("scale zero", block(half(0.0), half(0.25))),
        ("minimum zero", block(half(0.25), half(0.0))),
        ("both zero", block(half(0.0), half(-0.0))),
        ("the largest scale and minimum", block(half(65504.0), half(65504.0), b"\xff" * 12)),
        ("subnormal scale and minimum", block(half_bits(0x0003), half_bits(0x8201))),
        ("every sub-scale 63, minima zero", block(half(0.5), half(0.5), pack_scales([63] * 8, [0] * 8))),
        ("sub-scales zero, every minimum 63", block(half(0.5), half(0.5), pack_scales([0] * 8, [63] * 8))),
        ("rising sub-scales, falling minima", block(half(0.5), half(0.25), rising)),
        ("falling sub-scales, rising minima", block(half(0.5), half(0.25), falling)),
        ("all weights zero", block(half(1.0), half(1.0), rising, bytes(body))),
        ("all weights greatest", block(half(1.0), half(1.0), rising, b"\xff" * body)),
        ("counting", block(half(1.0), half(1.0), falling, bytes((11 * i + 3) & 255 for i in range(body)))),
        ("two, one after the other", block(half(0.02), half(0.1)) + block(half(-0.03), half(0.2))),
    ]
    return cases


def blocks():
    out = []
    for number, kind in enumerate(BLOCK_TYPES):
        rng = np.random.RandomState(900 + number)
        size, length = gguf.GGML_QUANT_SIZES[kind]
        make = plain_blocks if size == 1 else small_blocks if size == 32 else large_blocks
        cases = []
        for what, raw in make(kind, rng):
            assert len(raw) % length == 0
            values = dequantize(np.frombuffer(raw, np.uint8).copy()[None], kind)[0]
            assert values.dtype == np.float32 and len(values) == len(raw) // length * size
            assert not np.isnan(values).any()
            cases.append({"what": what, "raw": raw.hex(), "values": values.astype("<f4").tobytes().hex()})
        out.append({"type": kind.name, "number": int(kind), "weights": size, "bytes": length, "cases": cases})
    lines = [json.dumps(o, ensure_ascii=False) for o in out]
    (EXPECTED / "gguf-blocks.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    print(f"blocks: {sum(len(o['cases']) for o in out)} cases of {len(out)} types")


# ---------------------------------------------------------------- checkpoints


KINDS = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}


def load_checkpoint(where):
    """name -> f32 array, in the file's order."""
    tensors = {}
    for path in sorted(where.glob("model*.safetensors")):
        data = path.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            a, b = entry["data_offsets"]
            raw = np.frombuffer(data[8 + length + a : 8 + length + b], KINDS[entry["dtype"]])
            values = from_bf16_bits(raw) if entry["dtype"] == "BF16" else raw.astype(np.float32)
            tensors[name] = values.reshape(entry["shape"]).copy()
    return tensors


def load_config(where):
    """As the converter sees it: with transformers' defaults, the text's settings on top."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(where).to_dict()


def text_settings(config):
    return config | config["text_config"] if "text_config" in config else config


def exact_f16(values):
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float16).astype(np.float32) == values).all())


class Exact:
    """F32, BF16 and F16 by turns; nothing is lost."""

    def __init__(self, keep=(Q.BF16, Q.F16, Q.BF16, Q.F16, Q.BF16, Q.F32)):
        self.keep, self.turn = keep, 0
        self.file_type = gguf.LlamaFileType.MOSTLY_BF16 if Q.BF16 in keep else gguf.LlamaFileType.MOSTLY_F16

    def choose(self, name, values):
        self.turn += 1
        kind = self.keep[self.turn % len(self.keep)]
        if kind == Q.F16 and not exact_f16(values):
            kind = Q.BF16
        if kind == Q.BF16 and (np.ascontiguousarray(values).view(np.uint32) & 0xFFFF).any():
            kind = Q.F32
        return kind


class Blocks:
    """One of the quantised types where the rows are whole blocks, else F16 as the converter does."""

    def __init__(self, kinds, file_type):
        self.kinds, self.file_type, self.turn = kinds, file_type, 0

    def choose(self, name, values):
        if values.shape[-1] % 32:
            return Q.F16
        if name in ("token_embd.weight", "output.weight"):
            return self.kinds[0]
        self.turn += 1
        return self.kinds[self.turn % len(self.kinds)]


class Maker:
    """One GGUF: keys as they are added, tensors by the converter's rules."""

    def __init__(self, name, architecture, types, alignment=None):
        self.path, self.types = OUT / f"{name}.gguf", types
        self.writer = gguf.GGUFWriter(None, architecture)
        if alignment:
            self.writer.add_custom_alignment(alignment)
        self.values = {}  # what is read back, by the name in the checkpoint

    def general(self, kind, name, size_label=None):
        self.writer.add_type(kind)
        self.writer.add_name(name)
        if size_label:
            self.writer.add_size_label(size_label)

    def add(self, name, values, forced=None, checkpoint_name=None):
        if values.ndim <= 1 or name.endswith("_norm.weight") or not name.endswith(".weight"):
            kind = Q.F32
        else:
            kind = self.types.choose(name, values) if forced is None else forced
        data = quantize(np.ascontiguousarray(values), kind)
        self.writer.add_tensor(name, data, raw_dtype=kind)
        back = dequantize(data, kind).reshape(values.shape).astype(np.float32)
        assert not isinstance(self.types, Exact) or np.array_equal(back, values), name
        if checkpoint_name:
            self.values.setdefault(checkpoint_name, []).append(back)

    def write(self):
        self.writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        OUT.mkdir(parents=True, exist_ok=True)
        self.writer.write_header_to_file(path=self.path)
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        size = self.path.stat().st_size
        assert size < LARGEST, f"{self.path.name} has {size} bytes"
        print(f"  {self.path.name}: {size} bytes")


def text_keys(maker, c):
    """What every text model is given, in the converter's order; `c` as transformers resolves it."""
    w = maker.writer
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    rope = c["rope_parameters"]
    full = rope.get("full_attention", rope)
    if full.get("rope_type") == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(full["factor"])
    if "mrope_section" in full:
        w.add_rope_dimension_sections((full["mrope_section"] + [0, 0, 0, 0])[:4])
    w.add_rope_freq_base(full["rope_theta"])
    if "sliding_attention" in rope:
        w.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    if c.get("head_dim") is not None:
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
    w.add_file_type(maker.types.file_type)


def looks_special(token):
    """The converter's guess: marks that the tokenizer's files do not call special."""
    if token in ("<pad>", "<mask>", "<2mass>", "[@BOS@]"):
        return True
    return (token.startswith("<|") and token.endswith("|>")) or (token.startswith("<unused") and token.endswith(">"))


def kind_of_added(added):
    special = added["special"] or looks_special(added["content"])
    return gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED


def gpt2_tokenizer(maker, where, rows, pre):
    """Byte-level pieces with their merges; ids without a token are called [PADn]."""
    tokenizer = json.loads((where / "tokenizer.json").read_text(encoding="utf-8"))
    names = {i: token for token, i in tokenizer["model"]["vocab"].items()}
    kinds = dict.fromkeys(names, gguf.TokenType.NORMAL)
    for added in tokenizer["added_tokens"]:
        names[added["id"]], kinds[added["id"]] = added["content"], kind_of_added(added)
    w = maker.writer
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list([names.get(i, f"[PAD{i}]") for i in range(rows)])
    w.add_token_types([kinds.get(i, gguf.TokenType.UNUSED) for i in range(rows)])
    gguf.SpecialVocab(where, load_merges=True).add_to_gguf(w, quiet=True)


def scored_tokenizer(maker, where, rows, space_prefix, old=False):
    """Pieces with scores, as if from a SentencePiece file: the earlier merged, the higher; bytes 0; added ones -1000.

    rows: None for as many as the vocabulary holds. old: <unk>, <s>, </s> as converters before 2024 wrote them."""
    tokenizer = json.loads((where / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    rows = len(vocabulary) if rows is None else rows
    tokens, scores = [f"[PAD{i}]" for i in range(rows)], [-10000.0] * rows
    kinds = [gguf.TokenType.UNUSED] * rows
    pieces = 0
    added = {a["id"]: a for a in tokenizer["added_tokens"]}
    for token, i in sorted(vocabulary.items(), key=lambda item: item[1]):
        tokens[i], kinds[i], scores[i] = token, gguf.TokenType.NORMAL, 0.0
        if len(token) == 6 and token.startswith("<0x"):
            kinds[i] = gguf.TokenType.BYTE
        elif i not in added:
            scores[i] = -float(pieces)
            pieces += 1
    for i, a in added.items():
        if i < rows:
            tokens[i], scores[i], kinds[i] = a["content"], -1000.0, kind_of_added(a)
            if kinds[i] == gguf.TokenType.USER_DEFINED:
                tokens[i] = tokens[i].replace("\u2581", " ")
    if old:
        kinds[vocabulary["<unk>"]] = gguf.TokenType.UNKNOWN
        scores[:3] = [0.0] * 3
    w = maker.writer
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(tokens)
    w.add_token_scores(scores)
    w.add_token_types(kinds)
    gguf.SpecialVocab(where, n_vocab=rows).add_to_gguf(w, quiet=True)
    if not space_prefix:
        w.add_add_space_prefix(False)
    return rows


def text_tensors(maker, tensors, architecture, layers, change=lambda name, values: values):
    """Everything the text model's map names."""
    names = gguf.get_tensor_name_map(architecture, layers)
    for name, values in tensors.items():
        if any(part in name for part in ("visual.", "vision_", "projector")):
            continue
        short = name.replace("language_model.", "")
        new = names.get_name(short, try_suffixes=(".weight", ".bias"))
        assert new, name
        maker.add(new, change(short, values), checkpoint_name=name)


def qwen2(name, source, types, architecture="qwen2", alignment=None):
    where = MODEL_DIRS[source]
    c = text_settings(load_config(where))
    maker = Maker(name, architecture, types, alignment)
    maker.general("model", name)
    text_keys(maker, c)
    gpt2_tokenizer(maker, where, c["vocab_size"], "qwen2")
    kind = {"qwen2": gguf.MODEL_ARCH.QWEN2, "qwen2vl": gguf.MODEL_ARCH.QWEN2VL}[architecture]
    text_tensors(maker, load_checkpoint(where), kind, c["num_hidden_layers"])
    maker.write()
    return maker


def clip_keys(maker, v, text_width, where):
    w = maker.writer
    w.add_file_type(maker.types.file_type)
    w.add_clip_has_vision_encoder(True)
    w.add_vision_projection_dim(text_width)
    w.add_vision_image_size(v.get("image_size", 560))
    w.add_vision_patch_size(v["patch_size"])
    w.add_vision_embedding_length(v["hidden_size"])
    w.add_vision_feed_forward_length(v["intermediate_size"])
    w.add_vision_block_count(v.get("num_hidden_layers", v.get("depth")))
    w.add_vision_head_count(v.get("num_attention_heads", v.get("num_heads")))
    settings = json.loads((where / "preprocessor_config.json").read_text())
    w.add_vision_image_mean(settings["image_mean"])
    w.add_vision_image_std(settings["image_std"])
    return settings


def qwen2vl_mmproj(name, source, types, pixels):
    """pixels: with the limits of the picture's size, which the converter leaves out for Qwen2.5-VL."""
    where = MODEL_DIRS[source]
    config = load_config(where)
    v, t = config["vision_config"], text_settings(config)
    maker = Maker(name, "clip", types)
    w = maker.writer
    maker.general("mmproj", name)
    settings = clip_keys(maker, v, t["hidden_size"], where)
    w.add_clip_projector_type(gguf.VisionProjectorType.QWEN25VL)
    w.add_vision_use_silu(True)
    every = v["fullatt_block_indexes"]
    assert every == list(range(every[0], v["depth"], every[0] + 1))
    w.add_vision_n_wa_pattern(every[0] + 1)
    w.add_vision_attention_layernorm_eps(t["rms_norm_eps"])
    if pixels:
        w.add_vision_min_pixels(settings["min_pixels"])
        w.add_vision_max_pixels(settings["max_pixels"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, v["depth"])

    def mapped(n):
        return names.get_name(n, try_suffixes=(".weight", ".bias"))

    for n, values in load_checkpoint(where).items():
        if not n.startswith("visual."):
            continue
        if ".qkv." in n:
            for part, rows in zip("qkv", np.split(values, 3)):
                maker.add(mapped(n.replace("qkv", part)), rows, checkpoint_name=n)
        elif "patch_embed.proj" in n:
            maker.add("v.patch_embd.weight", values[:, :, 0], Q.F32)
            maker.add("v.patch_embd.weight.1", values[:, :, 1], Q.F32)
        else:
            maker.add(mapped(n), values, checkpoint_name=n)
    maker.write()
    return maker


def gemma3(name, source, types):
    where = MODEL_DIRS[source]
    c = text_settings(load_config(where))
    maker = Maker(name, "gemma3", types)
    w = maker.writer
    maker.general("model", name)
    text_keys(maker, c)
    w.add_sliding_window(c["sliding_window"])
    full = [kind == "full_attention" for kind in c["layer_types"]]
    if full != [(i + 1) % 6 == 0 for i in range(len(full))]:
        w.add_sliding_window_pattern([not f for f in full])
    if c["query_pre_attn_scalar"] != c["head_dim"]:
        w.add_attention_scale(c["query_pre_attn_scalar"] ** -0.5)  # no converter writes this for Gemma 3
    assert c.get("attn_logit_softcapping") is None
    if c.get("final_logit_softcapping"):
        w.add_final_logit_softcapping(c["final_logit_softcapping"])
    rows = scored_tokenizer(maker, where, None, False)
    w.add_add_sep_token(False)

    def change(n, values):
        if n.endswith("norm.weight"):
            return values + np.float32(1)
        return values[:rows] if "embed_tokens" in n else values

    text_tensors(maker, load_checkpoint(where), gguf.MODEL_ARCH.GEMMA3, c["num_hidden_layers"], change)
    maker.write()
    return maker


def gemma3_mmproj(name, source, types):
    where = MODEL_DIRS[source]
    config = load_config(where)
    v, t = config["vision_config"], text_settings(config)
    maker = Maker(name, "clip", types)
    w = maker.writer
    maker.general("mmproj", name)
    clip_keys(maker, v, t["hidden_size"], where)
    w.add_clip_projector_type(gguf.VisionProjectorType.GEMMA3)
    w.add_vision_attention_layernorm_eps(v["layer_norm_eps"])
    w.add_vision_use_gelu(True)
    factor = v["image_size"] // v["patch_size"] // int(config["mm_tokens_per_image"] ** 0.5)
    if factor != 4:
        w.add_vision_projector_scale_factor(factor)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, v["num_hidden_layers"])
    for n, values in load_checkpoint(where).items():
        if not n.startswith(("multi_modal_projector.", "vision_tower.")):
            continue
        short = n.replace("_weight", ".weight")
        forced = Q.F16 if "input_projection" in n else Q.F32 if ".embeddings." in n else None
        assert forced != Q.F16 or exact_f16(values)
        if "soft_emb_norm" in n:
            values = values + np.float32(1)
        maker.add(names.get_name(short, try_suffixes=(".weight", ".bias")), values, forced)
    maker.write()
    return maker


def interleave(values, heads):
    """Llama's rows of queries and keys: the two halves of each head's rotation, one from each by turns."""
    return values.reshape(heads, 2, len(values) // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def llama(name, source, types, old=False):
    where = MODEL_DIRS[source]
    c = text_settings(load_config(where))
    head = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    maker = Maker(name, "llama", types)
    w = maker.writer
    maker.general("model", name)
    text_keys(maker, c)
    w.add_vocab_size(c["vocab_size"])
    w.add_rope_dimension_count(head)
    scored_tokenizer(maker, where, c["vocab_size"], True, old)

    def change(n, values):
        if n.endswith(("q_proj.weight", "q_proj.bias")):
            return interleave(values, c["num_attention_heads"])
        if n.endswith(("k_proj.weight", "k_proj.bias")):
            return interleave(values, c["num_key_value_heads"])
        return values

    text_tensors(maker, load_checkpoint(where), gguf.MODEL_ARCH.LLAMA, c["num_hidden_layers"], change)
    maker.write()
    return maker


def llava_name(name, legacy):
    """As the converter for LLaVA-1.5 names them; it calls the first linear layer `ffn_down` and the second `ffn_up`."""
    first, second = ("ffn_down", "ffn_up") if legacy else ("ffn_up", "ffn_down")
    for old, new in (
        ("multi_modal_projector.linear_1", "mm.0"),
        ("multi_modal_projector.linear_2", "mm.2"),
        ("vision_tower.vision_model.", "v."),
        ("embeddings.", ""),
        ("encoder.layers", "blk"),
        ("self_attn.", "attn_"),
        ("_proj", ""),
        ("pre_layrnorm", "pre_ln"),
        ("layer_norm", "ln"),
        ("mlp.fc1", first),
        ("mlp.fc2", second),
        ("embedding", "embd"),
    ):
        name = name.replace(old, new)
    return name


def llava_mmproj(name, source, types, legacy):
    where = MODEL_DIRS[source]
    config = load_config(where)
    v = config["vision_config"]
    layers = v["num_hidden_layers"] + 1 + config["vision_feature_layer"]
    maker = Maker(name, "clip", types)
    w = maker.writer
    if legacy:
        w.add_bool("clip.has_text_encoder", False)
        w.add_bool("clip.has_vision_encoder", True)
        w.add_bool("clip.has_llava_projector", True)
        w.add_file_type(types.file_type)
        w.add_name(name)
        w.add_description("image encoder for LLaVA")
    else:
        maker.general("mmproj", name)
        w.add_file_type(types.file_type)
        w.add_clip_has_vision_encoder(True)
    w.add_string("clip.projector_type", "mlp")
    w.add_vision_image_size(v["image_size"])
    w.add_vision_patch_size(v["patch_size"])
    w.add_vision_embedding_length(v["hidden_size"])
    w.add_vision_feed_forward_length(v["intermediate_size"])
    # The old converter copies CLIP's own width here, which is no width of the language model's.
    w.add_vision_projection_dim(v.get("projection_dim", 768) if legacy else text_settings(config)["hidden_size"])
    w.add_vision_head_count(v["num_attention_heads"])
    w.add_vision_attention_layernorm_eps(v.get("layer_norm_eps", 1e-5))
    w.add_vision_block_count(layers)
    if not legacy:
        w.add_array("clip.vision.feature_layer", [layers])
    settings = json.loads((where / "preprocessor_config.json").read_text())
    w.add_vision_image_mean(settings["image_mean"])
    w.add_vision_image_std(settings["image_std"])
    w.add_vision_use_gelu(v.get("hidden_act", "quick_gelu") == "gelu")
    for n, values in load_checkpoint(where).items():
        if not n.startswith(("multi_modal_projector.", "vision_tower.")) or "post_layernorm" in n or "position_ids" in n:
            continue
        if "encoder.layers." in n and int(n.split("encoder.layers.")[1].split(".")[0]) >= layers:
            continue
        forced = None
        if "patch_embedding" in n:
            forced = Q.F16 if legacy and exact_f16(values) else Q.F32
        maker.add(llava_name(n, legacy), values, forced)
    maker.write()
    return maker


def every_type():
    """No model: a tensor of each type, one to four dimensions, and a key of each type that a value can have."""
    maker = Maker("every-type", "none", None)
    w = maker.writer
    numbers = {
        "uint8": [0, 255], "int8": [-128, 127], "uint16": [0, 65535], "int16": [-32768, 32767],
        "uint32": [0, 2**32 - 1], "int32": [-(2**31), 2**31 - 1], "uint64": [0, 2**64 - 1], "int64": [-(2**63), 2**63 - 1],
        "float32": [-0.0, 0.1], "float64": [1e-300, 0.1],
    }  # fmt: skip
    for kind, values in numbers.items():
        for end, value in zip(("low", "high"), values):
            getattr(w, f"add_{kind}")(f"test.{kind}.{end}", value)
    w.add_bool("test.bool.low", False)
    w.add_bool("test.bool.high", True)
    w.add_key_value("test.string.empty", "", gguf.GGUFValueType.STRING)
    w.add_string("test.string.any", "a\0b \n\u2581 \U0001f419 e\u0301")
    for kind, values in (numbers | {"bool": [False, True], "string": ["", "\u2581the"]}).items():
        sub = gguf.GGUFValueType[kind.upper()]
        w.add_key_value(f"test.array.{kind}", values + values[:1], gguf.GGUFValueType.ARRAY, sub_type=sub)
    for number, kind in enumerate(BLOCK_TYPES):
        rng = np.random.RandomState(950 + number)
        size, length = gguf.GGML_QUANT_SIZES[kind]
        width = max(size, 32) * (1 if size == 256 else 2)
        shape = [(width,), (3, width), (2, 3, width), (2, 1, 3, width)][number % 4]
        count = int(np.prod(shape)) // size
        if size == 1:
            data = quantize(rng.standard_normal(shape).astype(np.float32), kind)
        else:
            raw = np.frombuffer(rng.bytes(count * length), np.uint8).reshape(count, length).copy()
            for where in {Q.Q6_K: [length - 2], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2]}.get(kind, [0]):
                scales = (0.01 * rng.standard_normal(count)).astype("<f2")
                raw[:, where : where + 2] = scales.view(np.uint8).reshape(count, 2)
            data = raw.reshape(*shape[:-1], width // size * length)
        w.add_tensor(kind.name.lower(), data, raw_dtype=kind)
    maker.write()


Q8 = (Q.Q8_0,)


def files():
    """Writes them all, those whose checkpoint is here; hands back the makers by name."""
    old = set(OUT.glob("*.gguf"))
    made = {}

    def make(needed, function, name, *arguments, **more):
        if not (MODEL_DIRS[needed] / "config.json").exists():
            print(f"  {name}: {needed} is not here")
            return
        maker = function(name, needed, *arguments, **more)
        made[name] = maker
        old.discard(maker.path)

    make("qwen2-echo", qwen2, "qwen2-echo", Exact())
    make("qwen2-echo", qwen2, "qwen2-echo-blocks", Blocks((Q.Q8_0, Q.Q5_0, Q.Q8_0, Q.Q4_0), gguf.LlamaFileType.MOSTLY_Q8_0))
    make("qwen25vl-hub", qwen2, "qwen2vl-text", Exact(), architecture="qwen2vl")
    make("qwen25vl-hub", qwen2vl_mmproj, "qwen2vl-mmproj", Exact(), True)
    every_type()
    old.discard(OUT / "every-type.gguf")
    eight = gguf.LlamaFileType.MOSTLY_Q8_0
    make("qwen25vl-hub", qwen2, "qwen2vl-text-q8_0", Blocks(Q8, eight), architecture="qwen2vl", alignment=64)
    make("qwen25vl-hub", qwen2vl_mmproj, "qwen2vl-mmproj-q8_0", Blocks(Q8, eight), False)
    make("gemma3-hub", gemma3, "gemma3-text", Exact((Q.BF16, Q.F16)))
    make("gemma3-hub", gemma3_mmproj, "gemma3-mmproj", Exact())
    make("llama-text", llama, "llama", Exact((Q.F16, Q.F16, Q.F32)))
    make("llava-hub", llama, "llava-text", Exact((Q.F16,)), old=True)
    make("llava-hub", llava_mmproj, "llava-mmproj", Exact((Q.F16, Q.F16, Q.F32)), False)
    make("llava-hub", llava_mmproj, "llava-mmproj-legacy", Exact((Q.F16,)), True)
    for path in sorted(old):
        print(f"  {path.name} is of an earlier run")
    listing()
    return made


# ---------------------------------------------------------------- what is in them


def whole(value):
    """Integers that a double cannot hold are written as strings."""
    if isinstance(value, list):
        return [whole(v) for v in value]
    return str(value) if type(value) is int and abs(value) > 2**53 else value


def describe(field):
    kinds = [t.name for t in field.types]
    if kinds[0] != "ARRAY":
        value = whole(field.contents())
        if isinstance(value, str) and len(value) > 200:
            return {"type": kinds[0], "length": len(value.encode()), "sha256": sha256(value.encode())}
        return {"type": kinds[0], "value": value}
    return {"type": f"ARRAY {kinds[-1]}", "length": len(field.data), "first": whole(field.contents(slice(0, 3)))}


def listing():
    out = {}
    for path in sorted(OUT.glob("*.gguf")):
        reader = gguf.GGUFReader(path)
        tensors = []
        for t in reader.tensors:
            values = np.asarray(dequantize(np.array(t.data), t.tensor_type), dtype="<f4")
            assert values.size == t.n_elements
            tensors.append(
                {"name": t.name, "type": t.tensor_type.name, "shape": [int(n) for n in t.shape]}
                | {"offset": int(t.data_offset) - int(reader.data_offset), "bytes": int(t.n_bytes)}
                | {"f32_sha256": sha256(np.ascontiguousarray(values).tobytes())}
            )
        keys = {k: describe(f) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
        out[path.name] = {
            "bytes": path.stat().st_size,
            "sha256": sha256(path.read_bytes()),
            "version": int(reader.fields["GGUF.version"].contents()),
            "alignment": int(reader.alignment),
            "data_offset": int(reader.data_offset),
            "metadata": keys,
            "tensors": tensors,
        }
    write_lines_json(EXPECTED / "gguf-files.json", out)
    print(f"files: {len(out)}")


def write_lines_json(path, files):
    """A line for each key and each tensor."""
    text = []
    for name, file in files.items():
        head = {k: v for k, v in file.items() if k not in ("metadata", "tensors")}
        keys = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in file["metadata"].items())
        tensors = ",\n".join("    " + json.dumps(t) for t in file["tensors"])
        start = json.dumps(head)[1:-1]
        text.append(f' {json.dumps(name)}: {{{start},\n  "metadata": {{\n{keys}\n  }},\n  "tensors": [\n{tensors}\n  ]}}')
    path.write_text("{\n" + ",\n".join(text) + "\n}\n", encoding="utf-8")
    assert json.loads(path.read_text()) == files


# ---------------------------------------------------------------- answers


def checkpoint_of(makers, source, where):
    """A folder as the source's, in f32, with the weights that the GGUF files hold."""
    tensors = load_checkpoint(MODEL_DIRS[source])
    for maker in makers:
        for name, parts in maker.values.items():
            tensors[name] = np.concatenate(parts) if len(parts) > 1 else parts[0]
    for file in MODEL_DIRS[source].iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, where / file.name)
    save_safetensors(where / "model.safetensors", {n: ("F32", t) for n, t in tensors.items()}, {"format": "pt"})


def answers(made):
    """Only the quantised files: the first clear one of a few prompts each."""
    import reference
    from make_expected import PROMPTS, TEXTS, clear_greedy, f32, write_lines
    from fixturelib import load_rgb

    records, tensors = [], {}
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        checkpoint_of([made["qwen2-echo-blocks"]], "qwen2-echo", where)
        MODEL_DIRS["gguf"] = where
        drafter, target = reference.Drafter("gguf"), reference.Target("qwen25vl-hub")
        for i, (text, system) in enumerate(TEXTS):
            rendered = reference.render(where, text, False, system)
            ids = target.tokenizer.encode(rendered, add_special_tokens=False).ids
            tokens, gap, first, last = clear_greedy(drafter.logits, ids, target.eos, 24)
            if gap < 0.02:
                continue
            key = f"qwen2-echo-blocks-{i}"
            tensors[key + ".first_logits"], tensors[key + ".last_logits"] = f32(first), f32(last)
            records.append(
                {"id": key, "model": "qwen2-echo-blocks.gguf", "mmproj": None, "image": None, "prompt": text}
                | {"system": system, "rendered": rendered, "input_ids": ids, "tokens": tokens, "min_gap": round(gap, 5)}
            )
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        checkpoint_of([made["qwen2vl-text-q8_0"], made["qwen2vl-mmproj-q8_0"]], "qwen25vl-hub", where)
        MODEL_DIRS["gguf"] = where
        target = reference.Target("gguf")
        # Between the least and the greatest size of any limits in use: with and without max_pixels they are the same.
        for name in ("wide-200x99.jpg", "exif6-90x140.jpg", "full-chroma-101x77.jpg", "lossy-161x120.webp"):
            patches, grid, _ = target.patches(load_rgb({"file": f"Tests/Fixtures/images/{name}"}))
            _, merged = target.vision(patches, grid)
            for prompt in PROMPTS:
                rendered, ids = target.prompt(prompt, grid)
                tokens, logits, gaps = target.generate(ids, patches, grid, 1.0, 24)
                if min(gaps) > 0.02:
                    break
            else:
                continue
            key = "qwen2vl-q8_0-" + name.split(".")[0]
            tensors[key + ".merged"] = f32(merged)
            tensors[key + ".first_logits"], tensors[key + ".last_logits"] = f32(logits[0]), f32(logits[-1])
            records.append(
                {"id": key, "model": "qwen2vl-text-q8_0.gguf", "mmproj": "qwen2vl-mmproj-q8_0.gguf"}
                | {"image": {"file": f"Tests/Fixtures/images/{name}"}, "prompt": prompt, "system": None}
                | {"rendered": rendered, "input_ids": ids, "tokens": tokens, "min_gap": round(min(gaps), 5)}
                | {"grid_thw": grid[0].tolist()}
            )
    MODEL_DIRS.pop("gguf")
    write_lines(EXPECTED / "gguf-answers.jsonl", records)
    save_safetensors(EXPECTED / "gguf-answers.safetensors", tensors)
    print(f"answers: {len(records)}, smallest gap {min(r['min_gap'] for r in records)}")


def main():
    parts = sys.argv[1:] or ["blocks", "files", "answers"]
    if "blocks" in parts:
        blocks()
    if "files" in parts or "answers" in parts:
        made = files()
        if "answers" in parts:
            answers(made)


if __name__ == "__main__":
    main()
