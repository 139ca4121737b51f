"""Writes small checkpoints of whole numbers with scales, as compressed-tensors stores them, and what is read in them.

    pip install torch==2.15.0 transformers==5.24.0 compressed-tensors==0.20.1
    python make_compressed.py      # in Tests/Fixtures, after make_models.py; some seconds

`models/compressed/*`: the drafter qwen2-echo in every layout that is read, one of them in two shards. `expected/
compressed.json`: shape and hash of each tensor's f32 values as the package decompresses them, and what transformers
answers with them. Scales are the package's own, rounded to bf16 as it stores them."""

import json
import shutil

import torch
from compressed_tensors.compressors import BaseCompressor, ModelCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    apply_quantization_config,
)
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

import reference
from fixturelib import EXPECTED, MODELS, sha256, write_json
from make_expected import TEXTS, clear_greedy

SOURCE = MODELS / "qwen2-echo"
OUT = MODELS / "compressed"
LAYOUTS = {
    "int8-channel": {"num_bits": 8, "symmetric": True, "strategy": "channel"},
    "int8-group": {"num_bits": 8, "symmetric": True, "strategy": "group", "group_size": 32},
    "int8-zero": {"num_bits": 8, "symmetric": False, "strategy": "channel"},
    "int4-group": {"num_bits": 4, "symmetric": True, "strategy": "group", "group_size": 64},
    "int4-zero": {"num_bits": 4, "symmetric": False, "strategy": "group", "group_size": 32},
    "int4-narrow": {"num_bits": 4, "symmetric": True, "strategy": "group", "group_size": 16},
}


def scheme(name, arguments):
    weights = QuantizationArgs(**arguments, type="int", observer="minmax")
    # Eight bits in whole bytes are for products with whole inputs; where the weights alone are whole, they are packed.
    inputs = QuantizationArgs(num_bits=8, type="int", symmetric=True, strategy="token", dynamic=True)
    is_whole = name in ("int8-channel", "int8-group")
    return QuantizationScheme(targets=["Linear"], weights=weights, input_activations=inputs if is_whole else None)


def compress(name, arguments):
    """The checkpoint, compressed and saved by the package itself."""
    where = OUT / name
    shutil.rmtree(where, ignore_errors=True)
    model = AutoModelForCausalLM.from_pretrained(SOURCE, dtype=torch.bfloat16)
    group = {"group_0": scheme(name, arguments)}
    apply_quantization_config(model, QuantizationConfig(config_groups=group, ignore=["lm_head"]))
    for module in model.modules():
        own = getattr(module, "quantization_scheme", None)
        if own is None or own.weights is None:
            continue
        weight = module.weight.detach().float()
        groups = weight.shape[1] // (own.weights.group_size or weight.shape[1])
        parts = weight.reshape(weight.shape[0], groups, -1)
        scale, zero = calculate_qparams(parts.amin(-1), parts.amax(-1), own.weights)
        module.weight_scale.data.copy_(scale.reshape(module.weight_scale.shape))
        if hasattr(module, "weight_zero_point"):
            module.weight_zero_point.data.copy_(zero.reshape(module.weight_zero_point.shape))
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(where, max_shard_size="60KB" if name == "int4-zero" else "1GB")
    compressor.update_config(str(where))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SOURCE / file, where)
    return where


def decompressed(where, scheme):
    """The package's own reading of the files, with scales widened first, so that no weight is rounded."""
    stored = {}
    for file in sorted(where.glob("*.safetensors")):
        stored |= load_file(file)
    config = json.loads((where / "config.json").read_text())["quantization_config"]
    kind = BaseCompressor.get_value_from_registry(config["format"])
    model = AutoModelForCausalLM.from_pretrained(SOURCE, dtype=torch.float32).eval().requires_grad_(False)
    for name, module in model.named_modules():
        state = {n.removeprefix(name + "."): t for n, t in stored.items() if n.startswith(name + ".weight_")}
        if "weight_scale" in state:
            if name + ".weight" in stored:
                state["weight"] = stored[name + ".weight"]
            state["weight_scale"] = state["weight_scale"].float()
            module.weight.data = kind.decompress(state, scheme)["weight"]
    return model


def main():
    expected = {}
    for name, arguments in LAYOUTS.items():
        where = compress(name, arguments)
        model = decompressed(where, scheme(name, arguments))
        stored = {n: p.detach() for n, p in model.named_parameters() if not n.endswith(("_scale", "_zero_point"))}
        answers = []
        for text, system in TEXTS:
            rendered = reference.render(SOURCE, text, False, system)
            ids = Tokenizer.from_file(str(where / "tokenizer.json")).encode(rendered, add_special_tokens=False).ids
            logits = lambda tokens: model(torch.tensor([tokens])).logits[0]  # noqa: E731
            tokens, gap, _, _ = clear_greedy(logits, ids, model.generation_config.eos_token_id, 16)
            if gap > 0.02 and tokens:
                answers.append({"rendered": rendered, "tokens": tokens, "min_gap": round(gap, 5)})
        assert answers, name
        expected[name] = {
            "tensors": {
                n: {"shape": list(t.shape), "f32_sha256": sha256(t.numpy().tobytes())} for n, t in sorted(stored.items())
            },
            "answers": answers[:4],
        }
        print(name, len(stored), "tensors,", len(answers), "answers")
    write_json(EXPECTED / "compressed.json", expected, indent=1)


if __name__ == "__main__":
    main()
