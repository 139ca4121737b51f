"""Writes the tiny random checkpoints: targets, drafters, and their tokenizer.

Weights come from numpy's legacy generator, whose stream is frozen, so the files can be remade bit for bit.
Only the two "echo" projectors involve torch (a least-squares fit)."""

import json
import shutil

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from fixturelib import HERE, MODEL_DIRS, save_safetensors, to_bf16_bits, write_json

SPECIAL = """<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|>
<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>""".split()
ORDINARY = """<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|>
<|file_sep|>""".split()
BASE_VOCABULARY = 406

TEXT = """You are a helpful assistant. You are Qwen, created by Alibaba Cloud. You are a helpful assistant.
system user assistant
Describe this image. Describe this picture in one short sentence. What is in the picture? What colour is the circle?
A red circle on a white background. A blue square beside a green triangle. Two yellow stars above a black line.
A small dog runs through the grass with a ball in its mouth. A man in a blue shirt stands on the beach near the water.
Two children play in the snow. A woman with a red hat is sitting on a bench. The boat is on the river under the bridge.
The picture shows a white house with a brown roof and a garden in front of the house. There are three birds in the sky.
A brown dog and a black dog are playing with each other on the street. A girl is jumping into the swimming pool.
The large square is on the left, the small circle is on the right, and the triangle stands between them.
People are walking along the road while a group of men watch. It is a photograph of a mountain with some trees.
How many shapes are there in this image? There are five shapes: one is orange, two are purple, and the others are grey.
What is the weather like? It looks like a sunny day with a clear blue sky, and the sea is calm.
Name the thing in the middle of the image. I can see a table with a plate, a glass and a fork. That isn't a cat; it's a dog.
Where is the ball? The ball is under the chair. Write a short story. Once upon a time there was a little boat.
Is there a person in the picture? Yes, there is a person wearing a green jacket who is climbing a rock.
"""

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# The two published chat templates (Qwen, Apache License 2.0), to the letter.
VL_TEMPLATE = (HERE / "templates/qwen2.5-vl.jinja").read_text(encoding="utf-8")
TEXT_TEMPLATE = (HERE / "templates/qwen2.5.jinja").read_text(encoding="utf-8")


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    tokenizer.normalizer = normalizers.NFC()
    byte_level = dict(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"), pre_tokenizers.ByteLevel(trim_offsets=False, **byte_level)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=BASE_VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT.split("\n"), trainer)
    # Only its vocabulary and merges are kept; everything round them is Qwen2's file to the letter.
    trained = json.loads(tokenizer.to_str())["model"]
    added = [(s, True) for s in SPECIAL] + [(s, False) for s in ORDINARY]
    assert len(trained["vocab"]) == BASE_VOCABULARY
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": BASE_VOCABULARY + i,
                "content": content,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": special,
            }
            for i, (content, special) in enumerate(added)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": QWEN_SPLIT}, "behavior": "Isolated", "invert": False},
                byte_level,
            ],
        },
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": trained["vocab"],
            "merges": [m if isinstance(m, str) else " ".join(m) for m in trained["merges"]],
        },
    }


TOKENIZER = make_tokenizer()
IDS = {t["content"]: t["id"] for t in TOKENIZER["added_tokens"]}
TOKENS = BASE_VOCABULARY + len(IDS)


def tokenizer_config(template):
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(t["id"]): {k: t[k] for k in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")}
            for t in TOKENIZER["added_tokens"]
        },
        "additional_special_tokens": SPECIAL[1:],
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def generation_config(**more):
    base = {
        "bos_token_id": IDS["<|endoftext|>"],
        "pad_token_id": IDS["<|endoftext|>"],
        "do_sample": True,
        "eos_token_id": [IDS["<|im_end|>"], IDS["<|endoftext|>"]],
    }
    return base | more | {"transformers_version": "4.49.0"}


# ---------------------------------------------------------------- weights


class Weights:
    """Draws named arrays from one seeded stream."""

    def __init__(self, seed):
        self.rng = np.random.RandomState(seed)
        self.arrays = {}

    def normal(self, name, shape, std, mean=0.0):
        self.arrays[name] = (mean + std * self.rng.standard_normal(shape)).astype(np.float32)

    def linear(self, name, rows, columns, gain, bias=0.0):
        self.normal(name + ".weight", (rows, columns), gain / np.sqrt(columns))
        if bias:
            self.normal(name + ".bias", (rows,), bias)

    def norm(self, name, width):
        self.normal(name + ".weight", (width,), 0.2, 1.0)


def vocabulary_rows(weights, name, rows, width, std, eos_gain, byte_gain):
    """Embedding or head: the rows above the tokenizer are zero, as good as untrained; marks are seldom said."""
    weights.normal(name, (rows, width), std)
    table = weights.arrays[name]
    table[TOKENS:] = 0
    table[BASE_VOCABULARY:TOKENS] *= 0.35
    table[94:256] *= byte_gain  # bytes that are no ASCII character
    table[IDS["<|im_end|>"]] *= eos_gain / 0.35


def language_weights(weights, prefix, c, gain):
    d, layers = c["hidden_size"], c["num_hidden_layers"]
    head = d // c["num_attention_heads"]
    kv = c["num_key_value_heads"] * head
    for i in range(layers):
        p = f"{prefix}layers.{i}."
        weights.norm(p + "input_layernorm", d)
        weights.linear(p + "self_attn.q_proj", d, d, gain["qk"], 0.3)
        weights.linear(p + "self_attn.k_proj", kv, d, gain["qk"], 0.3)
        # How much the fastest rotations weigh: they tell apart the positions a drafter does not share with its target.
        for projection in ("q_proj", "k_proj"):
            for part in (".weight", ".bias"):
                rows = weights.arrays[f"{p}self_attn.{projection}{part}"]
                rows = rows.reshape(-1, 2, head // 2, d if part == ".weight" else 1)
                rows[:, :, :2] *= gain["fast"]
        weights.linear(p + "self_attn.v_proj", kv, d, gain["v"], 0.1)
        weights.linear(p + "self_attn.o_proj", d, d, gain["o"])
        weights.norm(p + "post_attention_layernorm", d)
        weights.linear(p + "mlp.gate_proj", c["intermediate_size"], d, gain["mlp"])
        weights.linear(p + "mlp.up_proj", c["intermediate_size"], d, gain["mlp"])
        weights.linear(p + "mlp.down_proj", d, c["intermediate_size"], gain["down"])
    weights.norm(prefix + "norm", d)
    weights.arrays[prefix + "norm.weight"] *= gain["final"]


def vision_weights(weights, prefix, v):
    d, merged = v["hidden_size"], v["hidden_size"] * v["spatial_merge_size"] ** 2
    patch = (3, v["temporal_patch_size"], v["patch_size"], v["patch_size"])
    # Two scales: the mean colour of a patch must survive beside its texture.
    weights.normal(prefix + "patch_embed.proj.weight", (d, *patch), 0.03)
    colour = (0.03 * weights.rng.standard_normal((d, 3, 1, 1, 1))).astype(np.float32)
    weights.arrays[prefix + "patch_embed.proj.weight"] += colour / 4
    for i in range(v["depth"]):
        p = f"{prefix}blocks.{i}."
        weights.norm(p + "norm1", d)
        weights.norm(p + "norm2", d)
        weights.linear(p + "attn.qkv", 3 * d, d, 1.5, 0.2)
        weights.linear(p + "attn.proj", d, d, 1.0, 0.1)
        weights.linear(p + "mlp.gate_proj", v["intermediate_size"], d, 1.0, 0.2)
        weights.linear(p + "mlp.up_proj", v["intermediate_size"], d, 1.0, 0.2)
        weights.linear(p + "mlp.down_proj", d, v["intermediate_size"], 1.0, 0.1)
    weights.norm(prefix + "merger.ln_q", d)
    weights.linear(prefix + "merger.mlp.0", merged, merged, 1.5, 0.2)
    weights.linear(prefix + "merger.mlp.2", v["out_hidden_size"], merged, v["out_gain"], 0.1)


def as_bf16(arrays):
    return {name: ("BF16", to_bf16_bits(a)) for name, a in arrays.items()}


def as_f32(arrays):
    return {name: ("F32", a) for name, a in arrays.items()}


# ---------------------------------------------------------------- the models

HUB_TEXT = dict(
    hidden_size=64, intermediate_size=128, num_attention_heads=4, num_hidden_layers=3, num_key_value_heads=2
)
HUB_VISION = dict(
    depth=4, hidden_act="silu", hidden_size=32, intermediate_size=100, num_heads=2, in_chans=3, out_hidden_size=64,
    patch_size=14, spatial_merge_size=2, spatial_patch_size=14, window_size=112, fullatt_block_indexes=[1, 3],
    tokens_per_second=2, temporal_patch_size=2,
)  # fmt: skip
HUB_VOCABULARY = 448

V5_TEXT = dict(
    hidden_size=48, intermediate_size=100, num_attention_heads=3, num_hidden_layers=2, num_key_value_heads=1
)
V5_VISION = dict(
    depth=4, hidden_act="silu", hidden_size=36, intermediate_size=50, num_heads=3, in_channels=3, out_hidden_size=48,
    patch_size=14, spatial_merge_size=2, window_size=56, fullatt_block_indexes=[0, 2], tokens_per_second=4,
    temporal_patch_size=2,
)  # fmt: skip
V5_VOCABULARY = 464

DRAFT_TEXT = dict(
    hidden_size=48, intermediate_size=96, num_attention_heads=3, num_hidden_layers=2, num_key_value_heads=1
)

CLIP = dict(image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711])


def fresh(name):
    where = MODEL_DIRS[name]
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    return where


def write_tokenizer(where, template):
    # One line: it is data, and a third of the size.
    (where / "tokenizer.json").write_text(json.dumps(TOKENIZER, ensure_ascii=False, separators=(",", ":")) + "\n")
    write_json(where / "tokenizer_config.json", tokenizer_config(template))


def make_hub():
    where = fresh("qwen25vl-hub")
    weights = Weights(GAINS["hub"]["seed"])
    vocabulary_rows(weights, "model.embed_tokens.weight", HUB_VOCABULARY, 64, **GAINS["hub"]["rows"])
    language_weights(weights, "model.", HUB_TEXT, GAINS["hub"])
    vision_weights(weights, "visual.", HUB_VISION | {"out_gain": GAINS["hub"]["out"]})
    save_safetensors(where / "model.safetensors", as_bf16(weights.arrays), {"format": "pt"})
    write_json(
        where / "config.json",
        {
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
            "attention_dropout": 0.0,
            "bos_token_id": IDS["<|endoftext|>"],
            "eos_token_id": IDS["<|im_end|>"],
            "vision_start_token_id": IDS["<|vision_start|>"],
            "vision_end_token_id": IDS["<|vision_end|>"],
            "vision_token_id": IDS["<|vision_pad|>"],
            "image_token_id": IDS["<|image_pad|>"],
            "video_token_id": IDS["<|video_pad|>"],
            "hidden_act": "silu",
            "hidden_size": 64,
            "initializer_range": 0.02,
            "intermediate_size": 128,
            "max_position_embeddings": 128000,
            "max_window_layers": 70,
            "model_type": "qwen2_5_vl",
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "sliding_window": 32768,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.41.2",
            "use_cache": True,
            "use_sliding_window": False,
            "vision_config": HUB_VISION,
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
            "vocab_size": HUB_VOCABULARY,
        },
    )
    write_json(where / "generation_config.json", generation_config(repetition_penalty=1.05, temperature=0.000001))
    write_json(
        where / "preprocessor_config.json",
        {
            "min_pixels": 3136,
            "max_pixels": 62720,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "merge_size": 2,
            **CLIP,
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
        },
    )
    write_json(where / "chat_template.json", {"chat_template": VL_TEMPLATE})
    write_tokenizer(where, VL_TEMPLATE)
    return weights.arrays


def make_v5():
    """Saved by transformers itself, so that names, shards and configuration are what it writes."""
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

    where = fresh("qwen25vl-v5")
    weights = Weights(GAINS["v5"]["seed"])
    vocabulary_rows(weights, "model.language_model.embed_tokens.weight", V5_VOCABULARY, 48, **GAINS["v5"]["rows"])
    vocabulary_rows(weights, "lm_head.weight", V5_VOCABULARY, 48, **GAINS["v5"]["head"])
    language_weights(weights, "model.language_model.", V5_TEXT, GAINS["v5"])
    vision_weights(weights, "model.visual.", V5_VISION | {"out_gain": GAINS["v5"]["out"]})
    config = Qwen2_5_VLConfig(
        architectures=["Qwen2_5_VLForConditionalGeneration"],
        tie_word_embeddings=False,
        text_config=dict(
            **V5_TEXT, vocab_size=V5_VOCABULARY, max_position_embeddings=4096, rms_norm_eps=1e-5,
            bos_token_id=IDS["<|endoftext|>"], eos_token_id=IDS["<|im_end|>"], pad_token_id=IDS["<|endoftext|>"],
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]},
        ),
        vision_config=V5_VISION,
        vision_start_token_id=IDS["<|vision_start|>"],
        vision_end_token_id=IDS["<|vision_end|>"],
        vision_token_id=IDS["<|vision_pad|>"],
        image_token_id=IDS["<|image_pad|>"],
        video_token_id=IDS["<|video_pad|>"],
    )  # fmt: skip
    model = Qwen2_5_VLForConditionalGeneration(config).float()
    model.load_state_dict({k: torch.from_numpy(a) for k, a in weights.arrays.items()}, strict=True)
    model.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=IDS["<|endoftext|>"],
        pad_token_id=IDS["<|endoftext|>"],
        eos_token_id=[IDS["<|im_end|>"], IDS["<|endoftext|>"]],
    )
    model.save_pretrained(where, max_shard_size="300KB")
    for shard in where.glob("*.safetensors"):
        shard.chmod(0o644)
    (where / "tokenizer.json").write_text(json.dumps(TOKENIZER, ensure_ascii=False, separators=(",", ":")) + "\n")
    # The rest as its processor would write it, which cannot be made here: it wants torchvision.
    config5 = {
        "add_prefix_space": False,
        "backend": "tokenizers",
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "extra_special_tokens": SPECIAL[1:],
        "is_local": False,
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "processor_class": "Qwen2_5_VLProcessor",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    write_json(where / "tokenizer_config.json", config5)
    (where / "chat_template.jinja").write_text(VL_TEMPLATE)
    common = dict(
        do_convert_rgb=True, do_normalize=True, do_rescale=True, do_resize=True, **CLIP, merge_size=2, patch_size=14,
        resample=3, rescale_factor=0.00392156862745098, size={"longest_edge": 50176, "shortest_edge": 6272},
        temporal_patch_size=2,
    )  # fmt: skip
    write_json(
        where / "processor_config.json",
        {
            "image_processor": common | {"image_processor_type": "Qwen2VLImageProcessor"},
            "processor_class": "Qwen2_5_VLProcessor",
            "video_processor": common
            | {
                "do_sample_frames": False,
                "max_frames": 768,
                "min_frames": 4,
                "return_metadata": False,
                "video_processor_type": "Qwen2VLVideoProcessor",
            },
        },
    )


def qwen2_config(shape, vocabulary):
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": IDS["<|endoftext|>"],
        "eos_token_id": IDS["<|im_end|>"],
        "hidden_act": "silu",
        "hidden_size": shape["hidden_size"],
        "initializer_range": 0.02,
        "intermediate_size": shape["intermediate_size"],
        "max_position_embeddings": 32768,
        "max_window_layers": 21,
        "model_type": "qwen2",
        "num_attention_heads": shape["num_attention_heads"],
        "num_hidden_layers": shape["num_hidden_layers"],
        "num_key_value_heads": shape["num_key_value_heads"],
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.43.1",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": vocabulary,
    }


def write_qwen2(name, arrays, shape, vocabulary):
    where = fresh(name)
    save_safetensors(where / "model.safetensors", as_bf16(arrays), {"format": "pt"})
    write_json(where / "config.json", qwen2_config(shape, vocabulary))
    write_json(
        where / "generation_config.json",
        generation_config(repetition_penalty=1.1, temperature=0.7, top_p=0.8, top_k=20),
    )
    write_tokenizer(where, TEXT_TEMPLATE)
    return where


def make_drafter(name, seed, vocabulary):
    weights = Weights(seed)
    vocabulary_rows(weights, "model.embed_tokens.weight", vocabulary, 48, std=0.6, eos_gain=0.8, byte_gain=0.6)
    language_weights(weights, "model.", DRAFT_TEXT, GAINS["hub"])
    return write_qwen2(name, weights.arrays, DRAFT_TEXT, vocabulary)


def write_projector(where, arrays, hidden, output_norm):
    save_safetensors(where / "projector.safetensors", as_bf16(arrays), {"format": "pt"})
    write_json(
        where / "massv.json",
        {
            "format": 1,
            "family": "qwen2_5_vl",
            "vision_width": 128,
            "projector": {
                "kind": "mlp",
                "hidden": hidden,
                "activation": "gelu",
                "output_norm": output_norm,
                "norm_eps": 1e-6,
            },
            "trained_for": "qwen25vl-hub",
        },
    )


def make_massv():
    where = make_drafter("massv", 31, 440)
    weights = Weights(32)
    weights.linear("linear_1", 80, 128, 0.5, 0.2)
    weights.linear("linear_2", 48, 80, 1.5, 0.2)
    weights.norm("norm", 48)
    write_projector(where, weights.arrays, 80, True)


def echo_language(target, seed, noise):
    """The target's own language model under another name, a little perturbed."""
    rng = np.random.RandomState(seed)
    arrays = {k: a for k, a in target.items() if k.startswith("model.")}
    for name in sorted(arrays):
        arrays[name] = arrays[name] * (1 + noise * rng.standard_normal(arrays[name].shape)).astype(np.float32)
    return arrays


def fit_projector(where):
    """A plain MLP that stands in for the target's merger (which norms each patch first), fitted to pictures."""
    import torch

    from reference import Target, project_pictures

    torch.manual_seed(0)
    target = Target("qwen25vl-hub")
    inputs, outputs = [], []
    for picture in project_pictures():
        patches, grid, _ = target.patches(picture)
        pre, merged = target.vision(patches, grid)
        inputs.append(pre.reshape(len(merged), -1))
        outputs.append(merged)
    x, y = torch.cat(inputs), torch.cat(outputs)
    merger = target.model.model.visual.merger
    rms = x.reshape(-1, 32).pow(2).mean(-1).sqrt().mean()
    w1 = (merger.mlp[0].weight * merger.ln_q.weight.repeat(4) / rms).detach().clone().requires_grad_()
    parts = [w1] + [p.detach().clone().requires_grad_() for p in (merger.mlp[0].bias, merger.mlp[2].weight, merger.mlp[2].bias)]
    optimiser = torch.optim.Adam(parts, lr=2e-3)
    for step in range(400):
        guess = torch.nn.functional.gelu(x @ parts[0].T + parts[1]) @ parts[2].T + parts[3]
        loss = (guess - y).pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0 or step == 399:
            print(f"  projector fit: step {step}, error {loss.item() / y.var().item():.4f} of the variance, {len(x)} rows")
    names = ["linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias"]
    write_projector(where, {n: p.detach().numpy() for n, p in zip(names, parts)}, 128, False)


GAINS = {
    "hub": dict(
        seed=101, qk=1.2, fast=0.5, v=1.5, o=2.0, mlp=1.5, down=2.0, final=1.6, out=0.6,
        rows=dict(std=0.6, eos_gain=1.6, byte_gain=0.6),
    ),
    "v5": dict(
        seed=202, qk=1.2, fast=1.0, v=1.5, o=2.0, mlp=1.5, down=2.0, final=1.6, out=0.6,
        rows=dict(std=0.6, eos_gain=0.8, byte_gain=1.0), head=dict(std=0.6, eos_gain=1.4, byte_gain=1.0),
    ),
}  # fmt: skip


def main():
    import torch

    torch.set_num_threads(1)
    hub = make_hub()
    make_v5()
    make_drafter("qwen2-text", 21, 456)
    make_massv()
    write_qwen2("qwen2-echo", echo_language(hub, 41, 0.01), HUB_TEXT, HUB_VOCABULARY)
    where = write_qwen2("massv-echo", echo_language(hub, 42, 0.005), HUB_TEXT, HUB_VOCABULARY)
    fit_projector(where)


if __name__ == "__main__":
    main()
