"""A training step on a CUDA device that is not there: what is compiled, launched and transferred, and how much memory.

The CUDA build runs on a driver that executes nothing (`dry_run/driver.c`). Every kernel, the program's and Burn's, goes
through the real NVRTC and then through ptxas, for sm_80 and sm_90; both come as wheels from PyPI and need no GPU.
Counts are those of one step, from the difference between runs of different length. No time is measured.

    cargo build --release --workspace --features peft-benches/cuda-cpp
    python3 benches/gpu/dry_run.py

Then the training loop of `peft-bench run` itself, on the pocket model: what ten more steps send and read.

Fails when a kernel does not compile, a step reads anything, or ten steps of the loop read more than their losses or
send more than batches, learning rates and the keys of dropout masks.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
METHODS = ["prompt-tuning", "dept", "adept", "lora", "adapter", "bitfit", "full"]
# Kernels of matrix units include headers of CCCL (`nv/target`) and of the compiler (`crt/mma.h`).
WHEELS = ["nvidia-cuda-nvrtc-cu12", "nvidia-cuda-runtime-cu12", "nvidia-cuda-nvcc-cu12", "nvidia-cuda-cccl-cu12"]
STEPS = (2, 7)


def install(folder):
    """The driver and NVRTC in one folder, the headers of a CUDA toolkit in another, and ptxas."""
    wheels = folder / "wheels"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", wheels, *WHEELS], check=True)
    library = folder / "lib"
    library.mkdir()
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library / "libcuda.so", HERE / "dry_run" / "driver.c",
                    "-lpthread"], check=True)
    for path in (wheels / "nvidia" / "cuda_nvrtc" / "lib").iterdir():
        (library / path.name).symlink_to(path)
    toolkit = folder / "toolkit"
    for headers in (wheels / "nvidia").glob("*/include"):
        shutil.copytree(headers, toolkit / "include", dirs_exist_ok=True)
    return library, toolkit, wheels / "nvidia" / "cuda_nvcc" / "bin" / "ptxas"


def run(args, tools, out, sm, *command):
    library, headers, _ = tools
    out.mkdir(parents=True, exist_ok=True)
    # A folder of its own, so that no run finds the kernels and the choices that another one kept.
    environment = {**os.environ, "HOME": str(out), "LD_LIBRARY_PATH": str(library), "CUDA_PATH": str(headers),
                   "DRY_RUN_SM": str(sm), "DRY_RUN_OUT": str(out), "DRY_RUN_MIB": str(args.gib << 10), "CUBECL_AUTOTUNE_LEVEL": "0"}
    command = [*command, "--device", "cuda"]
    done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-4000:]}")
    return json.loads((out / "counts.json").read_text())


def assemble(ptxas, sm, path):
    """Registers, spilled bytes and shared memory of a kernel; `None` where it is not accepted."""
    suffix = "a" if sm >= 90 else ""
    done = subprocess.run([ptxas, f"-arch=sm_{sm}{suffix}", "-v", "-o", os.devnull, path], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{path}: {done.stderr}", file=sys.stderr)
        return None
    number = lambda pattern: int((re.search(pattern, done.stderr) or [0, 0])[1])
    name = re.search(r"entry function '(\w+)'", done.stderr)[1]
    return name, number(r"Used (\d+) registers"), number(r"(\d+) bytes spill stores"), number(r"(\d+) bytes smem")


def per_step(short, long):
    steps = STEPS[1] - STEPS[0]
    return {key: (long[key] - short[key]) / steps for key in ("launches", "uploads", "uploaded_bytes", "reads", "waits")}


def loop(args, tools, folder, sm, method):
    """What ten more steps of a run with one seed upload and read; both runs score the same rows.

    By then, rows of every width have trained: a new one brings buckets of positions, and trials of kernels.
    """
    def counts(steps):
        out = folder / f"loop-{method}-{steps}"
        command = [args.program, "run", "--task", "pocket-sentiment", "--method", method, "--seed", "42", "--out",
                   str(out / "results"), "--checkpoint-every", "1000000", "--set", "training.evaluate_every=1000"]
        return run(args, tools, out, sm, *command, "--steps", str(steps))
    first, last = counts(30), counts(40)
    return {key: last[key] - first[key] for key in ("launches", "uploads", "reads", "read_bytes")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="target/release/train-step")
    parser.add_argument("--program", default="target/release/peft-bench")
    parser.add_argument("--methods", nargs="*", default=["prompt-tuning", "lora"], choices=METHODS)
    parser.add_argument("--precisions", nargs="*", default=["f32", "bf16"])
    parser.add_argument("--sms", nargs="*", type=int, default=[80, 90])
    parser.add_argument("--sources", nargs="*", type=int, default=[64])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--gib", type=int, default=80)
    parser.add_argument("--model", help="a folder whose config.json has another shape than T5-base")
    args = parser.parse_args()
    args.binary, args.program = (str(pathlib.Path(path).resolve()) for path in (args.binary, args.program))
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tools = install(folder)
        print("| sm | precision | source | method | launches | uploads | KiB up | reads | peak GiB | kernels |")
        print("|---|---|---:|---|---:|---:|---:|---:|---:|---:|")
        kernels = {}
        for sm in args.sms:
            for precision in args.precisions:
                for source in args.sources:
                    for method in args.methods:
                        options = ["--method", method, "--precision", precision, "--source", str(source)]
                        options += ["--model", args.model] if args.model else []
                        out = folder / f"{sm}-{precision}-{source}-{method}"
                        command = [args.binary, "--rows", str(args.rows), *options, "--steps"]
                        short, long = (run(args, tools, out / str(steps), sm, *command, str(steps)) for steps in STEPS)
                        each = per_step(short, long)
                        failed |= each["reads"] > 0
                        print(f"| {sm} | {precision} | {source} | {method} | {each['launches']:.0f} | {each['uploads']:.0f} "
                              f"| {each['uploaded_bytes'] / 1024:.1f} | {each['reads']:.0f} "
                              f"| {long['peak_bytes'] / 2**30:.2f} | {long['modules']} |", flush=True)
                        for path in (out / str(STEPS[1])).glob("*.ptx"):
                            kernels.setdefault((sm, path.read_text()), path)
        print("\nTen steps of the training loop on the pocket model, one run:\n")
        print("| method | launches | uploads | reads | bytes read |\n|---|---:|---:|---:|---:|")
        for method in args.methods:
            ten = loop(args, tools, folder, args.sms[0], method)
            print(f"| {method} | {ten['launches']} | {ten['uploads']} | {ten['reads']} | {ten['read_bytes']} |", flush=True)
            # A batch, the keys of dropout masks, and the learning rates of up to two groups.
            failed |= ten["reads"] > 1 or ten["uploads"] > 10 * 4
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            work = [(sm, pool.submit(assemble, tools[2], sm, path)) for (sm, _), path in kernels.items()]
            results = [(sm, future.result()) for sm, future in work]
    failed |= any(result is None for _, result in results)
    for sm in args.sms:
        # By name, which says what a kernel is of; NVRTC's text is not the same each time.
        of_sm = list({result[0]: result for its, result in results if its == sm and result}.values())
        spills = [result for result in of_sm if result[2]]
        print(f"\nsm_{sm}: {len(of_sm)} distinct kernels compiled by NVRTC and accepted by ptxas; {len(spills)} spill registers")
        for name, registers, spilled, shared in sorted(spills, key=lambda r: -r[2]):
            print(f"  {name}: {registers} registers, {spilled} bytes spilled, {shared} bytes of shared memory")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
