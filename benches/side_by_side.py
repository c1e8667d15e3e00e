"""One training step per PEFT method: this program next to PyTorch, transformers and peft.

    cargo build --release --workspace
    pip install torch transformers peft
    python benches/side_by_side.py --model DIR [--rows 16] [--source 64] [--steps 5] [--padded 256]

Both sides train the same shapes on the same number of threads, in turn, so that a noisy machine treats
them alike. `--padded` adds the reference's habit of padding every source to that length.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

T5_BASE = dict(vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12,
               decoder_start_token_id=0)
PROMPTS = {"prompt-tuning": 100, "dept": 40, "adept": 60}


def reference_model(torch, transformers, peft, args):
    """The model and its trainable parameters, as the reference trains them: backbone in training mode."""
    method = args.reference
    T5 = transformers.T5ForConditionalGeneration
    model = T5.from_pretrained(args.model) if args.model else T5(transformers.T5Config(**T5_BASE))
    model = model.train().to(args.torch_device)
    d = model.config.d_model
    if method == "full":
        return model, list(model.parameters()), None
    if method == "lora":
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_2_SEQ_LM", r=32, lora_alpha=32,
                                                           lora_dropout=0.0, target_modules=["q", "v"])).train()
        return model, [p for p in model.parameters() if p.requires_grad], None
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    new = lambda *shape: torch.nn.Parameter(torch.randn(*shape, device=args.torch_device) * 0.01)
    trained = []
    if method in ("bitfit", "adapter"):
        for name, module in model.named_modules():
            if method == "bitfit" and isinstance(module, torch.nn.Linear):
                bias = new(module.weight.shape[0])
                trained.append(bias)
                module.register_forward_hook(lambda _m, _i, out, bias=bias: out + bias)
            if method == "adapter" and name.split(".")[-1] in ("SelfAttention", "DenseReluDense"):
                down, down_bias, up, up_bias = new(24, d), new(24), new(d, 24), new(d)
                trained += [down, down_bias, up, up_bias]

                def hook(_m, _i, out, down=down, down_bias=down_bias, up=up, up_bias=up_bias):
                    state = out[0] if isinstance(out, tuple) else out
                    hidden = torch.nn.functional.gelu(state @ down.T + down_bias, approximate="tanh")
                    state = state + hidden @ up.T + up_bias
                    return (state, *out[1:]) if isinstance(out, tuple) else state

                module.register_forward_hook(hook)
            if name.endswith("layer_norm"):
                module.weight.requires_grad_(True)
                trained.append(module.weight)
        return model, trained, None
    prompt = new(PROMPTS[method], d)
    trained.append(prompt)
    if method == "dept":
        a, b = new(256, 45), new(45, d)
        trained += [a, b]
    if method == "adept":
        a, a0, b, b0 = new(d, 19), new(19), new(19, d), new(d)
        trained += [a, a0, b, b0]

    def embed(ids, mask):
        embeds = model.shared(ids)
        if method == "dept":
            embeds = embeds + (a @ b)[: ids.shape[1]]
        if method == "adept":
            embeds = embeds + torch.relu(embeds @ a + a0) @ b + b0
        embeds = torch.cat([prompt.expand(len(ids), *prompt.shape), embeds], 1)
        return dict(inputs_embeds=embeds, attention_mask=torch.cat([mask.new_ones(len(ids), len(prompt)), mask], 1))

    return model, trained, embed


def reference(args):
    import peft
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    model, trained, embed = reference_model(torch, transformers, peft, args)
    forward = torch.compile(model) if args.compile else model
    cuda = args.torch_device.startswith("cuda")
    bf16 = torch.autocast(args.torch_device.split(":")[0], torch.bfloat16, enabled=args.torch_bf16)
    optimizer = torch.optim.AdamW(trained, lr=1e-3, eps=1e-6, weight_decay=0.0)
    width = max(args.source, args.width)
    ids = torch.randint(2, model.config.vocab_size, (args.rows, width), device=args.torch_device)
    mask = torch.ones(args.rows, width, device=args.torch_device)
    mask[:, args.source:] = 0
    labels = torch.randint(2, model.config.vocab_size, (args.rows, args.target), device=args.torch_device)
    times = []
    for _ in range(args.steps + 1):
        start = time.perf_counter()
        with bf16:
            inputs = embed(ids, mask) if embed else dict(input_ids=ids, attention_mask=mask)
            loss = forward(labels=labels, **inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if cuda:
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    times = sorted(times[1:])
    peak = torch.cuda.max_memory_allocated() >> 20 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"ms_per_step": times[len(times) // 2], "ms_min": times[0], "peak_mib": peak}))


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="folder of a T5; T5-base with random weights where left out")
    parser.add_argument("--methods", nargs="*", default=["prompt-tuning", "dept", "adept", "lora", "adapter", "bitfit", "full"])
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--source", type=int, default=64)
    parser.add_argument("--target", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--padded", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", default="target/release/train-step")
    parser.add_argument("--torch-device", default="cpu")
    parser.add_argument("--torch-bf16", action="store_true", help="autocast to bf16")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--device", default="cpu", help="ours: cpu, cuda, vulkan, ...")
    parser.add_argument("--reference", help=argparse.SUPPRESS)
    parser.add_argument("--width", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.reference:
        return reference(args)
    sizes = [*(["--model", args.model] if args.model else []), "--rows", str(args.rows), "--source", str(args.source),
             "--target", str(args.target), "--steps", str(args.steps)]
    widths = [args.source] + ([args.padded] if args.padded else [])
    print(f"{args.rows} rows, {args.source} source tokens, {args.target} target tokens; medians of {args.steps} steps")
    header = ["method", "ours ms", "MiB"] + [x for w in widths for x in (f"torch@{w} ms", "MiB", "ratio")]
    print("  ".join(f"{h:>13}" for h in header))
    for method in args.methods:
        ours = run([args.binary, *sizes, "--device", args.device, "--method", method])
        cells = [method, f"{ours['ms_per_step']:.0f}", str(ours["peak_mib"])]
        for width in widths:
            flags = ["--torch-bf16"] * args.torch_bf16 + ["--compile"] * args.compile
            theirs = run([sys.executable, __file__, *sizes, "--threads", str(args.threads), *flags,
                          "--torch-device", args.torch_device, "--reference", method, "--width", str(width)])
            cells += [f"{theirs['ms_per_step']:.0f}", str(theirs["peak_mib"]),
                      f"{theirs['ms_per_step'] / ours['ms_per_step']:.2f}"]
        print("  ".join(f"{c:>13}" for c in cells), flush=True)


if __name__ == "__main__":
    main()
