"""Adapters of peft-bench that Python's peft has no method for, over a T5 of transformers: ADePT, DePT, Adapter, BitFit.

    model = load_adapter(T5ForConditionalGeneration.from_pretrained("google-t5/t5-base"), "results/paper/adapters/CELL")
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import gelu, pad, relu, silu

ACTIVATIONS = {"gelu-new": lambda x: gelu(x, approximate="tanh"), "relu": relu, "silu": silu}


def load_folded(model, folder):
    """What `peft-bench export --merge` wrote of an ADePT adapter, over the model of the same folder."""
    tensors = load_file(Path(folder) / "encoder_inputs.safetensors")
    table = torch.nn.Embedding.from_pretrained(tensors["encoder_embeddings"])
    model.encoder.set_input_embeddings(table)
    prompt(model, tensors, None, table)
    return model.eval()


def load_adapter(model, folder):
    config = json.loads((Path(folder) / "adapter.json").read_text())
    tensors, settings = load_file(Path(folder) / "adapter.safetensors"), config["settings"]
    state = model.state_dict()
    for name in [name for name in tensors if name in state]:
        state[name].copy_(tensors.pop(name).reshape(state[name].shape))
    {"adept": prompt, "dept": prompt, "adapter": adapter, "bitfit": bitfit}[config["method"]](model, tensors, settings)
    return model.eval()


def prompt(model, tensors, settings, table=None):
    soft = tensors.get("prompt", torch.empty(0, model.config.d_model))

    def offsets(embeds):
        if table is not None:
            return 0
        if "down.weight" in tensors:
            hidden = relu(embeds @ tensors["down.weight"] + tensors["down.bias"])
            return hidden @ tensors["up.weight"] + tensors["up.bias"]
        a, b = tensors["offset_A"], tensors["offset_B"]
        if settings["offsets"] == "token-network":
            return relu(embeds @ a) @ b
        return settings["alpha"] / settings["rank"] ** 0.5 * (a @ b)[: embeds.shape[1]]

    def encoder(_module, args, kwargs):
        embeds = kwargs.pop("inputs_embeds", None)
        embeds = (table or model.shared)(kwargs.pop("input_ids")) if embeds is None else embeds
        mask = kwargs.get("attention_mask")
        mask = torch.ones(embeds.shape[:2]) if mask is None else mask
        kwargs["inputs_embeds"] = torch.cat([soft.expand(len(embeds), -1, -1), embeds + offsets(embeds)], 1)
        return args, {**kwargs, "attention_mask": pad(mask, (len(soft), 0), value=1)}

    def decoder(_module, args, kwargs):
        mask = kwargs.get("encoder_attention_mask")
        if mask is not None and mask.shape[1] < kwargs["encoder_hidden_states"].shape[1]:
            kwargs["encoder_attention_mask"] = pad(mask, (len(soft), 0), value=1)
        return args, kwargs

    model.encoder.register_forward_pre_hook(encoder, with_kwargs=True)
    model.decoder.register_forward_pre_hook(decoder, with_kwargs=True)


def adapter(model, tensors, settings):
    for path in sorted({name.rsplit(".adapter.", 1)[0] for name in tensors}):
        down, down_bias, up, up_bias = (tensors[f"{path}.adapter.{part}"]
                                        for part in ("down.weight", "down.bias", "up.weight", "up.bias"))

        def bottleneck(_module, _args, out, down=down, down_bias=down_bias, up=up, up_bias=up_bias):
            states = out[0] if isinstance(out, tuple) else out
            states = states + ACTIVATIONS[settings["activation"]](states @ down.T + down_bias) @ up.T + up_bias
            return (states, *out[1:]) if isinstance(out, tuple) else states

        layer = model.get_submodule(path)
        (layer.SelfAttention if hasattr(layer, "SelfAttention") else layer.DenseReluDense).register_forward_hook(bottleneck)


def bitfit(model, tensors, _settings):
    for name, bias in tensors.items():
        module = model.get_submodule(name.removesuffix(".bias"))
        module.register_forward_hook(lambda _module, _args, out, bias=bias: out + bias)
