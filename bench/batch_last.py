"""A whole training step in each of torch's layouts and batch-last, side by side, and
how near the core's limit it is.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from bench.nets import BATCH_SIZE
from paretune import models
from paretune.training.execution import Execution, keep_freed_memory

FAMILIES = "paretune.models"
NETS = {
    "conv 4-4-4, 841 parameters": {
        "_target_": f"{FAMILIES}.conv.Conv",
        "widths": [4, 4, 4],
        "pool_after": [2, 3],
        "neck": 1,
    },
    "squeeze 2-2-3-4-3, 622": {
        "_target_": f"{FAMILIES}.squeeze.Squeeze",
        "widths": [2, 2, 3, 4, 3],
    },
    "separable 6 + 5-9-10-8, 697": {
        "_target_": f"{FAMILIES}.separable.Separable",
        "stem": 6,
        "widths": [5, 9, 10, 8],
    },
    "recurrent 8, 18 x 3, 1,484": {
        "_target_": f"{FAMILIES}.recurrent.Recurrent",
        "width": 18,
    },
    "squeeze 10-12-12-12-12, 6,254": {
        "_target_": f"{FAMILIES}.squeeze.Squeeze",
        "widths": [10, 12, 12, 12, 12],
    },
}
EXECUTIONS = [
    *(
        Execution(layout, precision)
        for layout in ("contiguous", "channels_last")
        for precision in ("fp32", "bf16")
    ),
    Execution("batch_last"),
]
ROUNDS, STEPS = 12, 5
FMA_LOOP = """
#include <chrono>
#include <cstdio>
#ifdef __AVX512F__
enum { SUMS = 12, LANES = 16 };
#else
enum { SUMS = 10, LANES = 8 };  // of 16 registers, a factor and a summand need two
#endif
typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
int main() {
  vec sums[SUMS], a = vec{} + 0.999999f, b = vec{} + 1e-9f;
  for (int i = 0; i < SUMS; i++) sums[i] = vec{} + float(i);
  auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < 100000000; i++) for (auto& s : sums) s = s * a + b;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  vec total{};
  for (auto s : sums) total += s;
  printf("%g %g", SUMS * LANES * 2 * 1e8 / seconds / 1e9, total[0]);
}
"""


def run() -> dict[str, object]:
    """Images a second by the number of threads, the best of many rounds in turns;
    ``peak`` in GFLOP/s of one core.
    """
    by_threads = {f"{threads} threads": in_process(threads) for threads in (1, 2)}
    return {"peak_gflops": peak(), **by_threads, "2 workers": two_workers()}


def two_workers() -> dict[str, dict[str, float]]:
    """The sum of the images a second of two processes of one thread, at the same
    time.
    """
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(in_process, (1, 1))
    sums = {
        name: {
            layout: one[name][layout] + other[name][layout]
            for layout in map(str, EXECUTIONS)
        }
        for name in NETS
    }
    for speeds in sums.values():
        *torchs, ours = speeds.values()
        speeds |= {
            "over_best_of_torch": round(ours / max(torchs), 2),
            "over_plain_fp32": round(ours / torchs[0], 2),
        }
    return sums


def in_process(threads: int) -> dict[str, dict[str, float]]:
    """The figures of a fresh process with so many threads."""
    code = (
        "import json; from bench.batch_last import figures; "
        f"print(json.dumps(figures({threads})))"
    )
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def figures(threads: int) -> dict[str, dict[str, float]]:
    keep_freed_memory()
    torch.set_num_threads(threads)
    return {name: of_net(model) for name, model in NETS.items()}


def of_net(model: dict[str, object]) -> dict[str, float]:
    steps = {execution: training_step(model, execution) for execution in EXECUTIONS}
    seconds = dict.fromkeys(EXECUTIONS, float("inf"))
    for _ in range(ROUNDS):
        for execution, step in steps.items():
            step()
            started_s = perf_counter()
            for _ in range(STEPS):
                step()
            seconds[execution] = min(
                seconds[execution], (perf_counter() - started_s) / STEPS
            )
    plain, ours = seconds[EXECUTIONS[0]], seconds[EXECUTIONS[-1]]
    best = min(s for execution, s in seconds.items() if execution != EXECUTIONS[-1])
    speeds = {str(execution): round(BATCH_SIZE / s) for execution, s in seconds.items()}
    ratios = {
        "over_best_of_torch": round(best / ours, 2),
        "over_plain_fp32": round(plain / ours, 2),
    }
    # Forward, gradient of the inputs, gradient of the weights.
    gflop = 3 * flops(model) * BATCH_SIZE / 1e9
    return {
        **speeds,
        **ratios,
        "gflops_plain": round(gflop / plain, 1),
        "gflops_batch_last": round(gflop / ours, 1),
    }


def training_step(model: dict[str, object], execution: Execution) -> Callable[[], None]:
    torch.manual_seed(0)
    net = execution.convert_network(models.build(model), torch.device("cpu")).train()
    images, labels = torch.randn(BATCH_SIZE, 1, 28, 28), torch.arange(BATCH_SIZE) % 10
    images, forward = (
        execution.convert_images(images),
        execution.make_forward(net, (1, 28, 28)),
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.001, fused=True)

    def step() -> None:
        with execution.autocast(images.device):
            logits = forward(images)
        cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def flops(model: dict[str, object]) -> int:
    """Floating point operations of the convolutions and dense layers of one image."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        models.build(model).eval()(torch.empty(1, 1, 28, 28))
    return counter.get_total_flops()


def peak() -> float:
    """GFLOP/s of fused multiply-adds on registers, one core."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "peak.cpp", Path(folder) / "peak"
        source.write_text(FMA_LOOP)
        subprocess.run(
            ["g++", "-O3", "-march=native", str(source), "-o", str(program)], check=True
        )
        runs = [
            subprocess.run([program], capture_output=True, text=True, check=True).stdout
            for _ in range(3)
        ]
    return max(float(run.split()[0]) for run in runs)
