"""Writes the tiny random LLaVA checkpoints: two targets, a text drafter and a multimodal one.

    python make_models_llava.py        # in Tests/Fixtures, after make_images.py; about a minute

Weights come from numpy's legacy generator as in make_models.py; only the projector of llama-massv involves torch (a
least-squares fit to the target's own)."""

import numpy as np

import small_tokenizers
from fixturelib import HERE, MODEL_DIRS, save_safetensors, write_json
from make_models import CLIP, Weights, fresh
from make_models_gemma3 import encoder_weights, fit_projector, layer_norm, patch_embedding
from small_tokenizers import BYTES

TOKENIZER = small_tokenizers.llama()
V5_TOKENIZER = small_tokenizers.llama(metaspace=True)
# The published drafters' tokenizer does not know LLaVA's two tokens.
PLAIN_TOKENIZER = small_tokenizers.llama(picture=False)
IDS = small_tokenizers.ids(TOKENIZER)
VOCABULARY = TOKENIZER["model"]["vocab"]
TOKENS = IDS["<pad>"] + 1
assert (TOKENS, len(PLAIN_TOKENIZER["model"]["vocab"])) == (len(VOCABULARY) + 2, len(VOCABULARY))

TEMPLATE = (HERE / "templates/llava-1.5.jinja").read_text(encoding="utf-8")  # the published one, to the letter

# ---------------------------------------------------------------- weights


def as_f16(arrays):
    return {name: ("F16", a.astype(np.float16)) for name, a in arrays.items()}


def vocabulary_rows(weights, name, rows, width, std, end_gain, byte_gain):
    """Embedding or head: marks are seldom said, rows above the tokenizer are zero, as good as untrained."""
    weights.normal(name, (rows, width), std)
    table = weights.arrays[name]
    table[TOKENS:] = 0
    for number in IDS.values():
        table[number] *= 0.35
    first = VOCABULARY[BYTES[0]]
    table[first : first + 256] *= byte_gain
    table[VOCABULARY["<0x0A>"]] /= byte_gain
    table[IDS["</s>"]] *= end_gain / 0.35


def language_weights(weights, prefix, c, gain):
    d, inner = c["hidden_size"], c["intermediate_size"]
    width = c.get("head_dim", d // c["num_attention_heads"])
    q, kv = c["num_attention_heads"] * width, c.get("num_key_value_heads", c["num_attention_heads"]) * width
    for i in range(c["num_hidden_layers"]):
        p = f"{prefix}layers.{i}."
        weights.norm(p + "input_layernorm", d)
        weights.linear(p + "self_attn.q_proj", q, d, gain["qk"])
        weights.linear(p + "self_attn.k_proj", kv, d, gain["qk"])
        weights.linear(p + "self_attn.v_proj", kv, d, gain["v"])
        weights.linear(p + "self_attn.o_proj", d, q, gain["o"])
        weights.norm(p + "post_attention_layernorm", d)
        weights.linear(p + "mlp.gate_proj", inner, d, gain["mlp"])
        weights.linear(p + "mlp.up_proj", inner, d, gain["mlp"])
        weights.linear(p + "mlp.down_proj", d, inner, gain["down"])
    weights.norm(prefix + "norm", d)
    weights.arrays[prefix + "norm.weight"] *= gain["final"]


def vision_weights(weights, tower, projector, v, text_width, out):
    d, side = v["hidden_size"], v["image_size"] // v["patch_size"]
    weights.normal(tower + "embeddings.class_embedding", (d,), 0.5)
    patch_embedding(weights, tower + "embeddings.patch_embedding", d, v["patch_size"], bias=False)
    weights.normal(tower + "embeddings.position_embedding.weight", (side * side + 1, d), 0.3)
    layer_norm(weights, tower + "pre_layrnorm", d)  # the published spelling
    encoder_weights(weights, tower, v)
    layer_norm(weights, tower + "post_layernorm", d)  # for the class token's pooled output only, which LLaVA does not read
    weights.linear(projector + "linear_1", text_width, d, 1.0, 0.2)
    weights.linear(projector + "linear_2", text_width, text_width, out, 0.1)


# ---------------------------------------------------------------- the models

# num_key_value_heads, head_dim, hidden_act and rope_theta are left out, as in the published file.
HUB_TEXT = dict(hidden_size=64, intermediate_size=120, num_attention_heads=4, num_hidden_layers=3)
HUB_VISION = dict(
    hidden_size=48, image_size=42, intermediate_size=80, model_type="clip_vision_model", num_attention_heads=4,
    num_hidden_layers=4, patch_size=14, projection_dim=32, vocab_size=32000,
)  # fmt: skip
HUB_ROWS = 416

V5_TEXT = dict(
    hidden_size=48, intermediate_size=84, num_attention_heads=6, num_key_value_heads=2, head_dim=12,
    num_hidden_layers=3,
)  # fmt: skip
V5_VISION = dict(
    hidden_size=40, image_size=42, intermediate_size=60, num_attention_heads=5, num_hidden_layers=2, patch_size=14,
    projection_dim=24,
)  # fmt: skip
V5_ROWS = 400

GAINS = {
    "hub": dict(
        seed=501, qk=1.4, v=1.5, o=2.0, mlp=1.5, down=2.0, final=1.6, out=1.5,
        rows=dict(std=0.6, end_gain=1.4, byte_gain=0.6), head=dict(std=0.6, end_gain=1.4, byte_gain=0.6),
    ),
    "v5": dict(
        seed=602, qk=1.4, v=1.5, o=2.0, mlp=1.5, down=2.0, final=1.6, out=1.5,
        rows=dict(std=0.6, end_gain=1.0, byte_gain=0.8), head=dict(std=0.6, end_gain=1.0, byte_gain=0.7),
    ),
}  # fmt: skip


def tokenizer_config(template, picture=True):
    tokenizer = TOKENIZER if picture else PLAIN_TOKENIZER
    base = {
        "add_bos_token": True,
        "add_eos_token": False,
        "add_prefix_space": None,
        "added_tokens_decoder": small_tokenizers.decoder_table(tokenizer),
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "legacy": False,
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<pad>" if picture else None,
        "padding_side": "left",
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
        "use_default_system_prompt": False,
    }
    if picture:
        base |= {"extra_special_tokens": {"image_token": "<image>"}, "image_token": "<image>"}
        base |= {"processor_class": "LlavaProcessor", "trust_remote_code": False}
    if template is not None:
        base["chat_template"] = template
    return base


def make_hub():
    where, gain = fresh("llava-hub"), GAINS["hub"]
    weights = Weights(gain["seed"])
    width = HUB_TEXT["hidden_size"]
    vocabulary_rows(weights, "language_model.model.embed_tokens.weight", HUB_ROWS, width, **gain["rows"])
    vocabulary_rows(weights, "language_model.lm_head.weight", HUB_ROWS, width, **gain["head"])
    language_weights(weights, "language_model.model.", HUB_TEXT, gain)
    vision_weights(weights, "vision_tower.vision_model.", "multi_modal_projector.", HUB_VISION, width, gain["out"])
    save_safetensors(where / "model.safetensors", as_f16(weights.arrays), {"format": "pt"})
    write_json(
        where / "config.json",
        {
            "architectures": ["LlavaForConditionalGeneration"],
            "ignore_index": -100,
            "image_token_index": IDS["<image>"],
            "model_type": "llava",
            "pad_token_id": IDS["<pad>"],
            "projector_hidden_act": "gelu",
            "text_config": {
                "_name_or_path": "lmsys/vicuna-7b-v1.5",
                "architectures": ["LlamaForCausalLM"],
                **HUB_TEXT,
                "max_position_embeddings": 4096,
                "model_type": "llama",
                "rms_norm_eps": 1e-05,
                "torch_dtype": "float16",
                "vocab_size": HUB_ROWS,
            },
            "tie_word_embeddings": False,
            "torch_dtype": "float16",
            "transformers_version": "4.36.0.dev0",
            "vision_config": HUB_VISION,
            "vision_feature_layer": -2,
            "vision_feature_select_strategy": "default",
            "vocab_size": HUB_ROWS,
        },
    )
    write_json(
        where / "generation_config.json",
        {
            "_from_model_config": True,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": IDS["<pad>"],
            "transformers_version": "4.36.0.dev0",
        },
    )
    size = HUB_VISION["image_size"]
    write_json(
        where / "preprocessor_config.json",
        {
            "crop_size": {"height": size, "width": size},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": CLIP["image_mean"],
            "image_processor_type": "CLIPImageProcessor",
            "image_std": CLIP["image_std"],
            "processor_class": "LlavaProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": size},
        },
    )
    write_json(
        where / "processor_config.json",
        {
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": HUB_VISION["patch_size"],
            "processor_class": "LlavaProcessor",
            "vision_feature_select_strategy": "default",
        },
    )
    write_json(where / "chat_template.json", {"chat_template": TEMPLATE})
    (where / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    small_tokenizers.write(TOKENIZER, where)
    write_json(where / "tokenizer_config.json", tokenizer_config(None))
    return weights.arrays


def make_v5():
    """Saved by transformers itself, so that names, shards and configuration are what it writes."""
    import torch
    from transformers import GenerationConfig, LlavaConfig, LlavaForConditionalGeneration

    where, gain = fresh("llava-v5"), GAINS["v5"]
    weights = Weights(gain["seed"])
    width = V5_TEXT["hidden_size"]
    vocabulary_rows(weights, "model.language_model.embed_tokens.weight", V5_ROWS, width, **gain["rows"])
    vocabulary_rows(weights, "lm_head.weight", V5_ROWS, width, **gain["head"])
    language_weights(weights, "model.language_model.", V5_TEXT, gain)
    vision_weights(weights, "model.vision_tower.", "model.multi_modal_projector.", V5_VISION, width, gain["out"])
    config = LlavaConfig(
        architectures=["LlavaForConditionalGeneration"],
        image_token_index=IDS["<image>"],
        image_seq_length=10,
        pad_token_id=IDS["<pad>"],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        text_config=dict(
            **V5_TEXT, model_type="llama", vocab_size=V5_ROWS, max_position_embeddings=2048, rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": 50000.0}, bos_token_id=1, eos_token_id=2,
        ),
        vision_config=V5_VISION | {"model_type": "clip_vision_model", "hidden_act": "gelu", "layer_norm_eps": 1e-6},
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config).float()
    model.load_state_dict({k: torch.from_numpy(a) for k, a in weights.arrays.items()}, strict=True)
    model.generation_config = GenerationConfig(do_sample=False, bos_token_id=1, eos_token_id=2, pad_token_id=IDS["<pad>"])
    model.save_pretrained(where, max_shard_size="300KB")
    for shard in where.glob("*.safetensors"):
        shard.chmod(0o644)
    save_v5_processor(where)


def save_v5_processor(where):
    """By transformers too, around a tokenizer as it writes one itself: Metaspace in place of a normalizer."""
    from transformers import LlavaProcessor, TokenizersBackend
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    small_tokenizers.write(V5_TOKENIZER, where)
    tokenizer = TokenizersBackend(
        tokenizer_file=str(where / "tokenizer.json"), bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        pad_token="<pad>", extra_special_tokens={"image_token": "<image>"}, padding_side="left",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    size = V5_VISION["image_size"]
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 47}, crop_size={"height": size, "width": size}, resample=3, **CLIP
    )
    LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="full", chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(where)  # fmt: skip
    small_tokenizers.write(V5_TOKENIZER, where)


# ---------------------------------------------------------------- the drafters


def write_drafter(name, arrays, config, tokenizer):
    where = fresh(name)
    save_safetensors(where / "model.safetensors", as_f16(arrays), {"format": "pt"})
    write_json(where / "config.json", config)
    same = ("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version")
    write_json(where / "generation_config.json", {"_from_model_config": True} | {k: config[k] for k in same})
    small_tokenizers.write(tokenizer, where)
    write_json(where / "tokenizer_config.json", tokenizer_config(None, tokenizer is TOKENIZER))
    return where


def text_config(rows, **more):
    """As llama-68m's: no head_dim, no num_key_value_heads, no rope_theta, and a bos_token_id that its tokenizer
    contradicts."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": HUB_TEXT["hidden_size"],
        "initializer_range": 0.02,
        "intermediate_size": HUB_TEXT["intermediate_size"],
        "max_position_embeddings": 2048,
        "model_type": "llama",
        "num_attention_heads": HUB_TEXT["num_attention_heads"],
        "num_hidden_layers": HUB_TEXT["num_hidden_layers"],
        "pad_token_id": 1,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.30.0.dev0",
        "use_cache": True,
        "vocab_size": rows,
    } | more


def echo_language(target, seed, noise, rows):
    """The target's own language model under another name, a little perturbed, its tables cut to so many rows."""
    rng = np.random.RandomState(seed)
    prefix = "language_model."
    arrays = {k.removeprefix(prefix): a for k, a in target.items() if k.startswith(prefix)}
    for name in sorted(arrays):
        arrays[name] = arrays[name] * (1 + noise * rng.standard_normal(arrays[name].shape)).astype(np.float32)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        arrays[name] = arrays[name][:rows]
    return arrays


def main():
    import torch

    torch.set_num_threads(1)
    hub = make_hub()
    make_v5()
    rows = len(VOCABULARY)
    write_drafter("llama-text", echo_language(hub, 71, 0.01, rows), text_config(rows), PLAIN_TOKENIZER)
    config = text_config(HUB_ROWS, rms_norm_eps=1e-05, bos_token_id=1, pad_token_id=IDS["<pad>"])
    where = write_drafter("llama-massv", echo_language(hub, 72, 0.005, HUB_ROWS), config, TOKENIZER)
    fit_projector(where, "llava-hub", "llava", 96)


if __name__ == "__main__":
    main()
