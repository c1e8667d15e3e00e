"""The floor on paper: FLOPs, bytes and predicted time of a training step of T5-base, and of the paper's grid.

Arithmetic only; nothing is measured. `python3 floor.py` prints the tables of GPU.md.
"""

D, FF, HEADS, LAYERS, VOCABULARY = 768, 3072, 12, 12, 32128
PARAMETERS = 222_903_552
TARGET = 4  # tokens of a usual answer, EOS token included

# Dense peak of matrix products in TFLOP/s (bf16 with f32 sums, f32 without TF32), and memory in TB/s.
DEVICES = {
    "H100 SXM 80 GB": (989, 67, 3.35),
    "A100 SXM 80 GB": (312, 19.5, 2.04),
    "RTX 4090 24 GB": (165, 82.6, 1.01),
}

# Trainable parameters, prompt positions, and what the backward pass costs in forward passes.
METHODS = {
    "full": (PARAMETERS, 0, 2),
    "prompt-tuning": (76_800, 100, 1),
    "dept": (76_800, 40, 1),
    "adept": (76_051, 60, 1),
    "adapter": (1_855_104, 0, 1),
    "bitfit": (280_960, 0, 1),
    "lora": (3_538_944, 0, 1),
}

# Training rows, steps of the prompt methods in thousands, and source tokens assumed.
TASKS = {
    "mnli": (392_702, 250, 64), "qqp": (363_846, 100, 64), "qnli": (104_743, 100, 64),
    "sst2": (67_349, 30, 64), "stsb": (5_749, 30, 64), "mrpc": (3_668, 10, 64), "rte": (2_490, 30, 64),
    "cola": (8_551, 40, 64), "multirc": (27_243, 30, 256), "boolq": (9_427, 30, 256),
    "wic": (5_428, 20, 64), "wsc.fixed": (554, 20, 64), "cb": (250, 30, 64), "record": (100_730, 30, 256),
    "nq": (104_071, 300, 512), "hotpotqa": (72_928, 250, 512), "searchqa": (117_384, 250, 512),
    "newsqa": (74_160, 200, 512), "winogrande": (40_398, 30, 64), "yelp_polarity": (100_000, 30, 256),
    "scitail": (23_596, 30, 64), "paws": (49_401, 30, 64),
}


def forward_flops(rows, source, target):
    """Multiplications and additions of one forward pass."""
    encoder = 2 * source * (4 * D * D + 2 * D * FF) + 4 * source * source * D
    decoder = 2 * target * (6 * D * D + 2 * D * FF) + 2 * source * 2 * D * D
    decoder += 4 * target * target * D + 4 * target * source * D
    return rows * (LAYERS * (encoder + decoder) + 2 * target * D * VOCABULARY)


def bytes_moved(rows, source, target, trained, size):
    """Weights twice, activations with all element-wise work fused into products, and AdamW in f32."""
    per_token = 28 * D  # values that a layer reads and writes in the forward pass; twice that in the backward pass
    activations = rows * (LAYERS * (source + 1.4 * target) * per_token * 3 + target * VOCABULARY * 4)
    return size * (2 * PARAMETERS + activations) + 4 * 8 * trained


def step(method, rows, source, precision):
    trained, prompt, backward = METHODS[method]
    flops = (1 + backward) * forward_flops(rows, source + prompt, TARGET)
    return flops, bytes_moved(rows, source + prompt, TARGET, trained, 2 if precision == "bf16" else 4)


def seconds(flops, moved, device, precision):
    bf16, f32, memory = DEVICES[device]
    return max(flops / (1e12 * (bf16 if precision == "bf16" else f32)), moved / (1e12 * memory))


def steps_of(task, method):
    rows, thousands, _ = TASKS[task]
    prompts = method in ("prompt-tuning", "dept", "adept")
    return thousands * 1000 if prompts else 20 * -(-rows // 32)


def main():
    for source in (64, 256):
        print(f"\n### 32 x {source} source tokens, {TARGET} target tokens\n")
        print("| method | precision | TFLOP | GB | " + " | ".join(f"{d}, ms" for d in DEVICES) + " |")
        print("|---|---|---:|---:|" + "---:|" * len(DEVICES))
        for method in METHODS:
            for precision in ("bf16", "f32"):
                flops, moved = step(method, 32, source, precision)
                times = [f"{1e3 * seconds(flops, moved, d, precision):.1f}" for d in DEVICES]
                print(f"| {method} | {precision} | {flops / 1e12:.2f} | {moved / 1e9:.2f} | {' | '.join(times)} |")
    print("\n### The grid: 22 tasks, 7 methods, 3 seeds, bf16, hours\n")
    print("| method | steps, millions | " + " | ".join(DEVICES) + " |")
    print("|---|---:|" + "---:|" * len(DEVICES))
    total = dict.fromkeys(DEVICES, 0.0)
    for method in METHODS:
        steps, hours = 0, dict.fromkeys(DEVICES, 0.0)
        for task, (_, _, source) in TASKS.items():
            steps += 3 * steps_of(task, method)
            for device in DEVICES:
                time = seconds(*step(method, 32, source, "bf16"), device, "bf16")
                hours[device] += 3 * steps_of(task, method) * time / 3600
        print(f"| {method} | {steps / 1e6:.2f} | " + " | ".join(f"{hours[d]:.0f}" for d in DEVICES) + " |")
        for device in DEVICES:
            total[device] += hours[device]
    print("| all | | " + " | ".join(f"{total[d]:.0f}" for d in DEVICES) + " |")


if __name__ == "__main__":
    main()
