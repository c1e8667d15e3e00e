"""Everything that a machine with a GPU is asked for: parity with the CPU, then the time of a training step.

    cargo build --release --workspace --features peft-bench/cuda,peft-benches/cuda
    pip install torch transformers peft
    python3 benches/gpu/bench.py --device cuda

Writes `results/gpu/DATE-DEVICE.md`. T5-base has random weights here: their values do not change the time.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
METHODS = ["prompt-tuning", "dept", "adept", "lora", "adapter", "bitfit", "full"]
ROWS = [("Is this good? The film was very good.", "1"), ("Is this good? The book was bad.", "0")]


def text(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def parity(args):
    """The largest difference of log-probabilities between the device and the CPU; answers must be equal."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as rows:
        rows.write("".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in ROWS * 8))
        rows.flush()
        score = [args.program, "score", "--model", args.parity_model, "--input", rows.name, "--device"]
        cpu, gpu = ([json.loads(line) for line in text([*score, device]).splitlines()] for device in ("cpu", args.device))
    assert [r["generated_ids"] for r in cpu] == [r["generated_ids"] for r in gpu], "answers differ"
    return max(abs(a["logprob"] - b["logprob"]) for a, b in zip(cpu, gpu))


def ours(args, method, source, runs, precision):
    command = [args.binary, "--device", args.device, "--method", method, "--rows", "32", "--source", str(source),
               "--runs", str(runs), "--precision", precision, "--steps", str(args.steps)]
    return json.loads(text(command))["ms_per_step"]


def torch(args, method, source, *flags):
    command = [sys.executable, str(HERE.parent / "side_by_side.py"), "--reference", method, "--rows", "32",
               "--source", str(source), "--steps", str(args.steps), "--torch-device", args.torch_device, *flags]
    try:
        return json.loads(text(command).splitlines()[-1])["ms_per_step"]
    except subprocess.CalledProcessError as error:
        print(error.stderr[-300:], file=sys.stderr)
        return None


def cell(value):
    return "-" if value is None else f"{value:.1f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--torch-device", default="cuda")
    parser.add_argument("--program", default="target/release/peft-bench")
    parser.add_argument("--binary", default="target/release/train-step")
    parser.add_argument("--parity-model", default="pocket")
    parser.add_argument("--lengths", type=int, nargs="*", default=[64, 256])
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()

    devices = text([args.program, "devices"])
    lines = [f"# Training steps on {args.device}", "", f"{datetime.date.today()}, commit {text(['git', 'rev-parse', 'HEAD'])}",
             "", "```", "python3 " + " ".join(sys.argv), devices, "```", "",
             f"Parity with the CPU on {args.parity_model}: answers equal, largest difference of log-probabilities "
             f"{parity(args):.1e}.", ""]
    for source in args.lengths:
        lines += [f"## 32 rows, {source} source tokens, 3 target tokens; median ms of {args.steps} steps", "",
                  "| method | ours f32 | ours bf16 | ours bf16, 3 runs | torch f32 | torch bf16 | torch bf16, compiled |",
                  "|---|---:|---:|---:|---:|---:|---:|"]
        for method in args.methods:
            three = None if method == "full" else ours(args, method, source, 3, "bf16")
            times = [ours(args, method, source, 1, "f32"), ours(args, method, source, 1, "bf16"), three, torch(args, method, source),
                     torch(args, method, source, "--torch-bf16"), torch(args, method, source, "--torch-bf16", "--compile")]
            lines.append(f"| {method} | {' | '.join(map(cell, times))} |")
            print(lines[-1], flush=True)
        lines.append("")
    folder = HERE.parents[1] / "results" / "gpu"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.date.today()}-{args.device.replace(':', '-')}.md"
    path.write_text("\n".join(lines))
    print(path)


if __name__ == "__main__":
    main()
