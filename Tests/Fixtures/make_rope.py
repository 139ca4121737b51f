"""Writes the rotary frequencies that transformers makes of scaled positions: expected/rope.json.

    python make_rope.py
"""

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from fixturelib import EXPECTED, write_json

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
YARN = {"factor": 4.0, "original_max_position_embeddings": 32768}
SETTINGS = [
    (500000.0, 128, {"rope_type": "llama3", **LLAMA3}),
    (500000.0, 64, {"rope_type": "llama3", **LLAMA3, "factor": 32.0}),
    (10000.0, 16, {"rope_type": "llama3", **LLAMA3, "original_max_position_embeddings": 64}),
    (1000000.0, 128, {"type": "yarn", **YARN}),
    (1000000.0, 128, {"type": "yarn", **YARN, "truncate": False, "beta_fast": 16.0, "beta_slow": 2.0}),
    (10000.0, 64, {"rope_type": "yarn", **YARN, "attention_factor": 1.5, "original_max_position_embeddings": 2048}),
    (10000.0, 64, {"rope_type": "yarn", **YARN, "mscale": 0.707, "mscale_all_dim": 1.2}),
    (10000.0, 100, {"rope_type": "linear", "factor": 4.0}),
]


def case(base, width, settings):
    config = LlamaConfig(
        hidden_size=width, num_attention_heads=1, max_position_embeddings=131072, rope_theta=base, rope_scaling=dict(settings))
    frequencies, attention = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]](config, "cpu")
    return {
        "rope_theta": base, "width": width, "rope_scaling": settings,
        "frequencies": [float(f) for f in frequencies], "attention": float(attention),
    }


if __name__ == "__main__":
    write_json(EXPECTED / "rope.json", [case(*s) for s in SETTINGS])
