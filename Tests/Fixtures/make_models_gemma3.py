"""Writes the tiny random Gemma 3 checkpoints: two targets, a text drafter and a multimodal one.

    python make_models_gemma3.py       # in Tests/Fixtures, after make_images.py; about a minute

Weights come from numpy's legacy generator as in make_models.py; only the projector of gemma3-massv involves torch (a
least-squares fit to the target's own)."""

import json

import numpy as np

import small_tokenizers
from fixturelib import HERE, MODEL_DIRS, save_safetensors, write_json
from make_models import Weights, as_bf16, fresh
from small_tokenizers import BYTES

TOKENIZER = small_tokenizers.gemma()
IDS = small_tokenizers.ids(TOKENIZER)
VOCABULARY = TOKENIZER["model"]["vocab"]
TOKENS = IDS["<image_soft_token>"] + 1  # the last of all, one behind the vocabulary
assert TOKENS == len(VOCABULARY) + 1

# The template of every published Gemma 3 -it, to the letter.
TEMPLATE = (HERE / "templates/gemma-3.jinja").read_text(encoding="utf-8")

# ---------------------------------------------------------------- weights


def vocabulary_rows(weights, name, rows, width, std, end_gain, byte_gain):
    """The tied table: marks are seldom said, rows above the tokenizer are zero, as good as untrained."""
    weights.normal(name, (rows, width), std)
    table = weights.arrays[name]
    table[TOKENS:] = 0
    for content, number in IDS.items():
        table[number] *= 0.35
    table[IDS["\n"] : IDS["▁▁"]] /= 0.35
    first = VOCABULARY[BYTES[0]]
    table[first : first + 256] *= byte_gain
    table[IDS["<end_of_turn>"]] *= end_gain / 0.35


def gemma_norm(weights, name, width, mean, spread=0.2):
    """Stored less one: the layer multiplies by 1 + weight."""
    weights.normal(name + ".weight", (width,), spread, mean - 1)


def language_weights(weights, prefix, c, gain):
    d, q = c["hidden_size"], c["num_attention_heads"] * c["head_dim"]
    kv, inner = c["num_key_value_heads"] * c["head_dim"], c["intermediate_size"]
    for i in range(c["num_hidden_layers"]):
        p = f"{prefix}layers.{i}."
        gemma_norm(weights, p + "input_layernorm", d, 1)
        weights.linear(p + "self_attn.q_proj", q, d, 1.0)
        weights.linear(p + "self_attn.k_proj", kv, d, 1.0)
        weights.linear(p + "self_attn.v_proj", kv, d, 1.0)
        weights.linear(p + "self_attn.o_proj", d, q, 1.0)
        gemma_norm(weights, p + "self_attn.q_norm", c["head_dim"], gain["qk"])
        gemma_norm(weights, p + "self_attn.k_norm", c["head_dim"], gain["qk"])
        gemma_norm(weights, p + "post_attention_layernorm", d, gain["attention"])
        gemma_norm(weights, p + "pre_feedforward_layernorm", d, 1)
        weights.linear(p + "mlp.gate_proj", inner, d, 1.5)
        weights.linear(p + "mlp.up_proj", inner, d, 1.0)
        weights.linear(p + "mlp.down_proj", d, inner, 1.0)
        gemma_norm(weights, p + "post_feedforward_layernorm", d, gain["mlp"])
    gemma_norm(weights, prefix + "norm", d, gain["final"])


def patch_embedding(weights, name, width, patch, bias):
    # Two scales: the mean colour of a patch must survive beside its texture.
    weights.normal(name + ".weight", (width, 3, patch, patch), 0.03)
    colour = (0.03 * weights.rng.standard_normal((width, 3, 1, 1))).astype(np.float32)
    weights.arrays[name + ".weight"] += colour / 4
    if bias:
        weights.normal(name + ".bias", (width,), 0.2)


def layer_norm(weights, name, width):
    weights.norm(name, width)
    weights.normal(name + ".bias", (width,), 0.1)


def encoder_weights(weights, prefix, v):
    """The layers that SigLIP and CLIP have in common."""
    d = v["hidden_size"]
    for i in range(v["num_hidden_layers"]):
        p = f"{prefix}encoder.layers.{i}."
        layer_norm(weights, p + "layer_norm1", d)
        for part in ("q_proj", "k_proj"):
            weights.linear(p + "self_attn." + part, d, d, 1.5, 0.2)
        weights.linear(p + "self_attn.v_proj", d, d, 1.5, 0.2)
        weights.linear(p + "self_attn.out_proj", d, d, 1.0, 0.1)
        layer_norm(weights, p + "layer_norm2", d)
        weights.linear(p + "mlp.fc1", v["intermediate_size"], d, 1.5, 0.2)
        weights.linear(p + "mlp.fc2", d, v["intermediate_size"], 1.0, 0.1)


def vision_weights(weights, tower, projector, v, text_width, out):
    d, side = v["hidden_size"], v["image_size"] // v["patch_size"]
    patch_embedding(weights, tower + "embeddings.patch_embedding", d, v["patch_size"], bias=True)
    weights.normal(tower + "embeddings.position_embedding.weight", (side * side, d), 0.3)
    encoder_weights(weights, tower, v)
    layer_norm(weights, tower + "post_layernorm", d)
    gemma_norm(weights, projector + "mm_soft_emb_norm", d, 1)
    # Stored inputs by outputs, and without ".weight".
    weights.normal(projector + "mm_input_projection_weight", (d, text_width), out / np.sqrt(d))


# ---------------------------------------------------------------- the models

# What the published file leaves out stays out where a tiny model permits: 8 heads, 4 of keys and values,
# query_pre_attn_scalar 256, both rotary bases, every sixth layer full, the activations and every epsilon.
HUB_TEXT = dict(hidden_size=56, intermediate_size=92, num_hidden_layers=7, head_dim=12)
HUB_DEFAULTS = dict(num_attention_heads=8, num_key_value_heads=4)
HUB_VISION = dict(
    hidden_size=48, image_size=56, intermediate_size=68, model_type="siglip_vision_model", num_attention_heads=4,
    num_hidden_layers=3, patch_size=14, vision_use_head=False,
)  # fmt: skip
HUB_ROWS = 416
HUB_IMAGE_TOKENS = 4

V5_TEXT = dict(
    hidden_size=48, intermediate_size=44, num_attention_heads=3, num_key_value_heads=1, head_dim=20,
    num_hidden_layers=7,
)  # fmt: skip
V5_VISION = dict(
    hidden_size=36, image_size=84, intermediate_size=52, num_attention_heads=3, num_hidden_layers=2, patch_size=14,
    vision_use_head=False,
)  # fmt: skip
V5_ROWS = 400
V5_IMAGE_TOKENS = 9

GAINS = {
    "hub": dict(
        seed=301, qk=3.0, attention=2.0, mlp=1.5, final=5.0, out=2.0,
        rows=dict(std=1 / np.sqrt(56), end_gain=1.2, byte_gain=0.6),
    ),
    "v5": dict(
        seed=402, qk=1.8, attention=2.0, mlp=1.5, final=5.0, out=2.0,
        rows=dict(std=1 / np.sqrt(48), end_gain=0.9, byte_gain=0.6),
    ),
}  # fmt: skip

MARKS = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}


def tokenizer_config():
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": small_tokenizers.decoder_table(TOKENIZER),
        "boi_token": "<start_of_image>",
        "bos_token": "<bos>",
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eoi_token": "<end_of_image>",
        "eos_token": "<eos>",
        "extra_special_tokens": MARKS,
        "image_token": "<image_soft_token>",
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<pad>",
        "processor_class": "Gemma3Processor",
        "sp_model_kwargs": None,
        "spaces_between_special_tokens": False,
        "tokenizer_class": "GemmaTokenizer",
        "unk_token": "<unk>",
        "use_default_system_prompt": False,
    }


def write_tokenizer(where):
    small_tokenizers.write(TOKENIZER, where)
    write_json(where / "tokenizer_config.json", tokenizer_config())


def generation_config(version):
    return {
        "bos_token_id": IDS["<bos>"],
        "cache_implementation": "hybrid",
        "do_sample": True,
        "eos_token_id": [IDS["<eos>"], IDS["<end_of_turn>"]],
        "pad_token_id": IDS["<pad>"],
        "top_k": 64,
        "top_p": 0.95,
        "transformers_version": version,
    }


def make_hub():
    where, gain = fresh("gemma3-hub"), GAINS["hub"]
    weights = Weights(gain["seed"])
    vocabulary_rows(weights, "language_model.model.embed_tokens.weight", HUB_ROWS, HUB_TEXT["hidden_size"], **gain["rows"])
    language_weights(weights, "language_model.model.", HUB_TEXT | HUB_DEFAULTS, gain)
    vision_weights(
        weights, "vision_tower.vision_model.", "multi_modal_projector.", HUB_VISION, HUB_TEXT["hidden_size"], gain["out"]
    )
    save_safetensors(where / "model.safetensors", as_bf16(weights.arrays), {"format": "pt"})
    write_json(
        where / "config.json",
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "boi_token_index": IDS["<start_of_image>"],
            "eoi_token_index": IDS["<end_of_image>"],
            "eos_token_id": [IDS["<eos>"], IDS["<end_of_turn>"]],
            "image_token_index": IDS["<image_soft_token>"],
            "initializer_range": 0.02,
            "mm_tokens_per_image": HUB_IMAGE_TOKENS,
            "model_type": "gemma3",
            "text_config": HUB_TEXT
            | {
                "model_type": "gemma3_text",
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 24,
                "vocab_size": HUB_ROWS,
            },
            "torch_dtype": "bfloat16",
            "transformers_version": "4.50.0.dev0",
            "vision_config": HUB_VISION,
        },
    )
    write_json(where / "generation_config.json", generation_config("4.50.0.dev0"))
    size = HUB_VISION["image_size"]
    write_json(
        where / "preprocessor_config.json",
        {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_pan_and_scan": None,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "Gemma3ImageProcessor",
            "image_seq_length": HUB_IMAGE_TOKENS,
            "image_std": [0.5, 0.5, 0.5],
            "pan_and_scan_max_num_crops": None,
            "pan_and_scan_min_crop_size": None,
            "pan_and_scan_min_ratio_to_activate": None,
            "processor_class": "Gemma3Processor",
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": size, "width": size},
        },
    )
    write_json(
        where / "processor_config.json", {"image_seq_length": HUB_IMAGE_TOKENS, "processor_class": "Gemma3Processor"}
    )
    write_json(where / "chat_template.json", {"chat_template": TEMPLATE})
    write_tokenizer(where)
    return weights.arrays


def make_v5():
    """Saved by transformers itself, so that names, shards and configuration are what it writes."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, GenerationConfig

    where, gain = fresh("gemma3-v5"), GAINS["v5"]
    weights = Weights(gain["seed"])
    vocabulary_rows(weights, "model.language_model.embed_tokens.weight", V5_ROWS, V5_TEXT["hidden_size"], **gain["rows"])
    language_weights(weights, "model.language_model.", V5_TEXT, gain)
    vision_weights(
        weights, "model.vision_tower.", "model.multi_modal_projector.", V5_VISION, V5_TEXT["hidden_size"], gain["out"]
    )
    sliding, full = "sliding_attention", "full_attention"
    config = Gemma3Config(
        architectures=["Gemma3ForConditionalGeneration"],
        boi_token_index=IDS["<start_of_image>"],
        eoi_token_index=IDS["<end_of_image>"],
        image_token_index=IDS["<image_soft_token>"],
        eos_token_id=[IDS["<eos>"], IDS["<end_of_turn>"]],
        mm_tokens_per_image=V5_IMAGE_TOKENS,
        text_config=dict(
            **V5_TEXT,
            vocab_size=V5_ROWS,
            query_pre_attn_scalar=28,
            sliding_window=16,
            layer_types=[sliding, sliding, full, sliding, sliding, full, sliding],
            rope_parameters={
                full: {"rope_type": "linear", "factor": 4.0, "rope_theta": 500000.0},
                sliding: {"rope_type": "default", "rope_theta": 5000.0},
            },
            max_position_embeddings=4096,
            rms_norm_eps=1e-5,
            # transformers 5.24 reads both and applies neither in a model that sees; see the README.
            attn_logit_softcapping=2.0,
            final_logit_softcapping=6.0,
            eos_token_id=IDS["<eos>"],
            bos_token_id=IDS["<bos>"],
            pad_token_id=IDS["<pad>"],
        ),
        vision_config=V5_VISION | {"model_type": "siglip_vision_model"},
    )
    model = Gemma3ForConditionalGeneration(config).float()
    state = {k: torch.from_numpy(a) for k, a in weights.arrays.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    model.tie_weights()
    model.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=IDS["<bos>"],
        pad_token_id=IDS["<pad>"],
        eos_token_id=[IDS["<eos>"], IDS["<end_of_turn>"]],
    )
    model.save_pretrained(where, max_shard_size="300KB")
    for shard in where.glob("*.safetensors"):
        shard.chmod(0o644)
    save_v5_processor(where)


def save_v5_processor(where):
    """By transformers too: it wants a tokenizer from a folder as published."""
    from transformers import AutoTokenizer, Gemma3Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    size = V5_VISION["image_size"]
    images = Gemma3ImageProcessorPil(
        size={"height": size, "width": size}, image_mean=[0.5, 0.45, 0.4], image_std=[0.5, 0.55, 0.6], resample=2
    )
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIRS["gemma3-hub"])
    Gemma3Processor(images, tokenizer, chat_template=TEMPLATE, image_seq_length=V5_IMAGE_TOKENS).save_pretrained(where)
    compact(where)


def compact(where):
    """The tokenizer on one line: what it says is unchanged."""
    path = where / "tokenizer.json"
    small_tokenizers.write(json.loads(path.read_text(encoding="utf-8")), where)


# ---------------------------------------------------------------- the drafters


def text_config(rows, **more):
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": None,
        "bos_token_id": IDS["<bos>"],
        "cache_implementation": "hybrid",
        "eos_token_id": [IDS["<eos>"], IDS["<end_of_turn>"]],
        "final_logit_softcapping": None,
        "head_dim": HUB_TEXT["head_dim"],
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": HUB_TEXT["hidden_size"],
        "initializer_range": 0.02,
        "intermediate_size": HUB_TEXT["intermediate_size"],
        "max_position_embeddings": 32768,
        "model_type": "gemma3_text",
        "num_attention_heads": HUB_DEFAULTS["num_attention_heads"],
        "num_hidden_layers": HUB_TEXT["num_hidden_layers"],
        "num_key_value_heads": HUB_DEFAULTS["num_key_value_heads"],
        "pad_token_id": IDS["<pad>"],
        "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-06,
        "rope_local_base_freq": 10000,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "rope_theta": 1000000,
        "sliding_window": 24,
        "sliding_window_pattern": 6,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.52.4",
        "use_cache": True,
        "vocab_size": rows,
    } | more


def write_drafter(name, arrays, config):
    where = fresh(name)
    save_safetensors(where / "model.safetensors", as_bf16(arrays), {"format": "pt"})
    write_json(where / "config.json", config)
    write_json(where / "generation_config.json", generation_config("4.52.4") | {"temperature": 1.0})
    write_tokenizer(where)
    return where


def echo_language(target, seed, noise, rows):
    """The target's own language model under another name, a little perturbed, its table cut to so many rows."""
    rng = np.random.RandomState(seed)
    prefix = "language_model."
    arrays = {k.removeprefix(prefix): a for k, a in target.items() if k.startswith(prefix)}
    for name in sorted(arrays):
        arrays[name] = arrays[name] * (1 + noise * rng.standard_normal(arrays[name].shape)).astype(np.float32)
    arrays["model.embed_tokens.weight"] = arrays["model.embed_tokens.weight"][:rows]
    return arrays


def write_projector(where, arrays, family, width, hidden, trained_for):
    save_safetensors(where / "projector.safetensors", as_bf16(arrays), {"format": "pt"})
    settings = {"kind": "mlp", "hidden": hidden, "activation": "gelu", "output_norm": False, "norm_eps": 1e-6}
    write_json(
        where / "massv.json",
        {"format": 1, "family": family, "vision_width": width, "projector": settings, "trained_for": trained_for},
    )


def fit_mlp(x, y, hidden, steps, seed=0):
    """A plain MLP that stands in for the target's own projector."""
    import torch

    torch.manual_seed(seed)
    parts = [
        torch.randn(hidden, x.shape[1]) / (x.shape[1] ** 0.5 * x.std()),
        torch.zeros(hidden),
        torch.randn(y.shape[1], hidden) * (y.std() * 2 / hidden**0.5),
        y.mean(0).clone(),
    ]
    parts = [p.requires_grad_() for p in parts]
    optimiser = torch.optim.Adam(parts, lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        guess = torch.nn.functional.gelu(x @ parts[0].T + parts[1]) @ parts[2].T + parts[3]
        loss = (guess - y).pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0 or step == steps - 1:
            print(f"  projector fit: step {step}, error {loss.item() / y.var().item():.4f} of the variance, {len(x)} rows")
    names = ["linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias"]
    return {n: p.detach().numpy() for n, p in zip(names, parts)}


def fit_projector(where, target_name, family, hidden, steps=1500):
    import torch

    from reference import project_pictures
    from reference_families import Target

    target = Target(target_name)
    pairs = [target.vision(target.pixels(picture)) for picture in project_pictures()]
    x, y = torch.cat([f for f, _ in pairs]), torch.cat([m for _, m in pairs])
    write_projector(where, fit_mlp(x, y, hidden, steps), family, x.shape[1], hidden, target_name)


def main():
    import torch

    torch.set_num_threads(1)
    hub = make_hub()
    make_v5()
    # As the published 1B: its table ends where the mark of a visual token begins.
    rows = IDS["<image_soft_token>"]
    write_drafter("gemma3-text", echo_language(hub, 61, 0.01, rows), text_config(rows))
    config = text_config(HUB_ROWS, final_logit_softcapping=20.0)
    where = write_drafter("gemma3-massv", echo_language(hub, 62, 0.005, HUB_ROWS), config)
    fit_projector(where, "gemma3-hub", "gemma3", 96)


if __name__ == "__main__":
    main()
