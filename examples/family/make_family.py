"""Writes the folders that the default family is trained into: configurations, and one tokenizer for all of them.

    massv-pipe run pipelines/scenes.pipe count=20000 > scenes.tar
    python make_family.py scenes.tar OUT

The tokenizer is a byte-level BPE as Qwen2's, trained on the prompts and answers of the scenes. Needs the PyPI package
tokenizers. Weights are not made here: massv-pipe trains them.
"""

import json
import sys
import tarfile
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 1000
SPECIALS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def texts(path):
    """Prompts and answers of a tar of scenes, and the words of the chat template."""
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.endswith(".txt"):
                yield tar.extractfile(member).read().decode()
    yield from ["system\nYou are a helpful assistant.", "user\n", "assistant\n"] * 50


def tokenizer(path):
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts(path), trainer)
    bpe.add_special_tokens(SPECIALS)
    return bpe


def ids(bpe):
    return {name: bpe.token_to_id(name) for name in SPECIALS}


def language(bpe, hidden, layers, heads, intermediate):
    special = ids(bpe)
    return {
        "attention_dropout": 0.0,
        "bos_token_id": special["<|endoftext|>"],
        "eos_token_id": special["<|im_end|>"],
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": intermediate,
        "max_position_embeddings": 2048,
        "max_window_layers": layers,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": heads,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "vocab_size": (bpe.get_vocab_size() + 15) // 16 * 16,
    }


def seeing(bpe, vision, **sizes):
    special = ids(bpe)
    half = sizes["hidden"] // sizes["heads"] // 2
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "vision_start_token_id": special["<|vision_start|>"],
        "vision_end_token_id": special["<|vision_end|>"],
        "image_token_id": special["<|image_pad|>"],
        "video_token_id": special["<|video_pad|>"],
        **language(bpe, **sizes),
        # Columns have the last section, whose turns are slowest: cut as usual, six columns would look alike.
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 2, half - 3]},
        "vision_config": {
            "depth": vision["layers"],
            "hidden_act": "silu",
            "hidden_size": vision["hidden"],
            "intermediate_size": vision["intermediate"],
            "num_heads": vision["heads"],
            "in_chans": 3,
            "out_hidden_size": sizes["hidden"],
            "patch_size": 8,
            "spatial_merge_size": 2,
            "spatial_patch_size": 8,
            "temporal_patch_size": 1,
            "window_size": 112,
            "fullatt_block_indexes": list(range(vision["layers"])),
            "tokens_per_second": 2,
        },
    }


def drafting(bpe, **sizes):
    return {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **language(bpe, **sizes)}


PICTURES = {
    "min_pixels": 96 * 96,
    "max_pixels": 96 * 96,
    "patch_size": 8,
    "temporal_patch_size": 1,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}


def write(folder, config, bpe, pictures=None):
    folder.mkdir(parents=True, exist_ok=True)
    special = ids(bpe)
    generation = {
        "bos_token_id": special["<|endoftext|>"],
        "eos_token_id": [special["<|im_end|>"], special["<|endoftext|>"]],
        "do_sample": False,
    }
    files = {"config.json": config, "generation_config.json": generation}
    if pictures:
        files["preprocessor_config.json"] = pictures
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    bpe.save(str(folder / "tokenizer.json"), pretty=False)


def main(scenes, out):
    bpe = tokenizer(scenes)
    out = Path(out)
    eyes = {"layers": 4, "hidden": 128, "heads": 4, "intermediate": 384}
    target = {"hidden": 256, "layers": 4, "heads": 8, "intermediate": 704}
    write(out / "blank-target", seeing(bpe, eyes, **target), bpe, PICTURES)
    large = {"hidden": 512, "layers": 4, "heads": 16, "intermediate": 1536}
    write(out / "blank-large", seeing(bpe, eyes, **large), bpe, PICTURES)
    write(out / "blank-lm", drafting(bpe, hidden=96, layers=1, heads=3, intermediate=256), bpe)
    print(f"{bpe.get_vocab_size()} tokens")


if __name__ == "__main__":
    main(*sys.argv[1:])
