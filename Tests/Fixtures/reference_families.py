"""The reference for Gemma 3 and LLaVA: transformers' own model and processor, in f32 on one thread."""

import json

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from fixturelib import MODEL_DIRS

torch.set_num_threads(1)
NO_PENALTY = 1.0


def plain_messages(text, image, system, wrap):
    """One user's turn, as the published examples write it; wrap: text, too, as a list of parts."""
    content = [{"type": "image"}] * image + [{"type": "text", "text": text}]
    messages = [{"role": "user", "content": content if image or wrap else text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}] if wrap else system})
    return messages


class Target:
    def __init__(self, name):
        self.name, self.where = name, MODEL_DIRS[name]
        self.model = AutoModelForImageTextToText.from_pretrained(
            self.where, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        for p in self.model.parameters():
            p.requires_grad_(False)
        self.processor = AutoProcessor.from_pretrained(self.where, backend="pil")
        self.tokenizer = Tokenizer.from_file(str(self.where / "tokenizer.json"))
        self.is_gemma = self.model.config.model_type == "gemma3"
        self.image_id = self.model.config.image_token_id
        eos = self.model.generation_config.eos_token_id
        self.eos = eos if isinstance(eos, list) else [eos]
        vision = self.model.config.vision_config
        self.side = vision.image_size // vision.patch_size

    # ---------------------------------------------------------------- pictures

    def resized(self, picture):
        """(resized, cropped): what Pillow makes of it before numbers are made of it; Gemma 3 does not crop."""
        settings = self.processor.image_processor
        if self.is_gemma:
            resized = picture.resize((settings.size["width"], settings.size["height"]), Image.Resampling.BILINEAR)
            return resized, resized
        edge = settings.size["shortest_edge"]
        width, height = picture.size
        short, long = min(width, height), max(width, height)
        other = int(edge * long / short)  # towards zero
        size = (edge, other) if width <= height else (other, edge)
        resized = picture.resize(size, Image.Resampling.BICUBIC)
        wide, high = settings.crop_size["width"], settings.crop_size["height"]
        left, top = (size[0] - wide) // 2, (size[1] - high) // 2
        assert left >= 0 and top >= 0
        return resized, resized.crop((left, top, left + wide, top + high))

    def pixels(self, picture):
        """pixel_values [1, 3, height, width]: those of the processor, compared with Pillow's."""
        settings = self.processor.image_processor
        assert settings.backend == "pil" and settings.rescale_factor == 0.00392156862745098
        assert settings.resample == (2 if self.is_gemma else 3) and not getattr(settings, "do_pan_and_scan", None)
        found = settings(picture, return_tensors="pt")["pixel_values"]
        mean, std = np.array(settings.image_mean, np.float32), np.array(settings.image_std, np.float32)
        check = (np.asarray(self.resized(picture)[1]).astype(np.float64) * (1 / 255)).astype(np.float32)
        check = ((check - mean) / std).transpose(2, 0, 1)
        assert np.array_equal(found[0].numpy(), check), "the resized pixels are not the processor's"
        return found

    @torch.no_grad()
    def vision(self, pixels):
        """(features, merged), one row a visual token: what a MASSV projector reads, and what the target's language model
        is given."""
        inner = self.model.model
        out = inner.get_image_features(pixels)
        if self.is_gemma:
            projector = inner.multi_modal_projector
            width = self.model.config.vision_config.hidden_size
            # Position by position, row by row, in the order of the patches.
            grid = out.last_hidden_state.reshape(1, self.side, self.side, width).permute(0, 3, 1, 2)
            features = projector.avg_pool(grid).flatten(2).transpose(1, 2)[0]
            merged = projector.mm_soft_emb_norm(features) @ projector.mm_input_projection_weight
            assert torch.allclose(merged, out.pooler_output[0], atol=1e-5)
            return features, merged
        config = self.model.config
        states = inner.vision_tower(pixels, output_hidden_states=True).hidden_states
        assert len(states) == config.vision_config.num_hidden_layers + 1
        features = states[config.vision_feature_layer][0]
        if config.vision_feature_select_strategy == "default":
            features = features[1:]
        merged = inner.multi_modal_projector(features)
        assert torch.allclose(merged, out.pooler_output[0], atol=1e-5)
        return features, merged

    # ---------------------------------------------------------------- text

    def prompt(self, text, picture=None, system=None):
        """(rendered, ids, inputs): the template as rendered, the processor's ids with placeholders in full, and
        everything the processor gives."""
        messages = plain_messages(text, picture is not None, system, wrap=not self.is_gemma)
        rendered = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        if picture is not None:
            messages[-1]["content"][0]["image"] = picture
        inputs = self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        ids = inputs["input_ids"][0].tolist()
        bos = self.tokenizer.token_to_id("<bos>" if self.is_gemma else "<s>")
        assert ids[0] == bos and bos not in ids[1:], "one <bos>, in front"
        # The file by itself says the same.
        full = rendered
        if picture is not None:
            full = rendered.replace("<start_of_image>" if self.is_gemma else "<image>", self.placeholder())
        again = self.tokenizer.encode(full, add_special_tokens=not self.is_gemma).ids
        assert ids == again, f"the processor's ids are not the tokenizer's:\n{ids}\n{again}"
        return rendered, ids, inputs

    def visual_tokens(self):
        if self.is_gemma:
            return self.model.config.mm_tokens_per_image
        return self.side**2 + (self.model.config.vision_feature_select_strategy == "full")

    def placeholder(self):
        if self.is_gemma:
            return f"\n\n<start_of_image>{'<image_soft_token>' * self.visual_tokens()}<end_of_image>\n\n"
        return "<image>" * self.visual_tokens()

    # ---------------------------------------------------------------- answers

    @torch.no_grad()
    def generate(self, inputs, penalty=NO_PENALTY, max_new=32, **more):
        more = {k: inputs[k] for k in ("pixel_values", "token_type_ids") if k in inputs} | more
        out = self.model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=torch.ones_like(inputs["input_ids"]),
            do_sample=False,
            temperature=None,
            top_k=None,
            top_p=None,
            cache_implementation="dynamic",
            repetition_penalty=float(penalty),
            max_new_tokens=max_new,
            eos_token_id=self.eos,
            return_dict_in_generate=True,
            output_logits=True,
            output_scores=True,
            **more,
        )
        tokens = out.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        scores = torch.cat(out.scores)
        top = scores.topk(2).values
        return tokens, torch.cat(out.logits), (top[:, 0] - top[:, 1]).tolist()


class Drafter:
    def __init__(self, name):
        self.where = MODEL_DIRS[name]
        self.model = AutoModelForCausalLM.from_pretrained(
            self.where, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.tokenizer = Tokenizer.from_file(str(self.where / "tokenizer.json"))
        self.projector = None
        if (self.where / "massv.json").exists():
            from safetensors.torch import load_file

            self.settings = json.loads((self.where / "massv.json").read_text())["projector"]
            self.projector = {k: v.float() for k, v in load_file(self.where / "projector.safetensors").items()}

    @torch.no_grad()
    def project(self, features):
        p = self.projector
        x = torch.nn.functional.gelu(features @ p["linear_1.weight"].T + p["linear_1.bias"])
        x = x @ p["linear_2.weight"].T + p["linear_2.bias"]
        if self.settings["output_norm"]:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.settings["norm_eps"]) * p["norm.weight"]
        return x

    @torch.no_grad()
    def logits(self, ids, image_id=None, projected=None):
        """Every row's logits at positions 0..n-1, causal throughout. Projected rows take the image rows' places as they
        are: Gemma's scale is for words only."""
        ids = torch.tensor([ids])
        table = self.model.get_input_embeddings()
        is_image = ids == (-1 if image_id is None else image_id)
        embeds = table(ids.masked_fill(is_image, 0))
        if projected is not None:
            embeds[is_image] = projected
        else:
            assert not is_image.any()
        return self.model(inputs_embeds=embeds).logits[0]
