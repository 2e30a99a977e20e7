"""Runs many cases in processes of their own, which may crash or hang without ending the rest.

    python -m tests.dataset.fuzz.run --cases 100000 --processes 2 --seed 6
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HANGS_S = 30.0


@dataclass
class Report:
    """What came of the cases.

    Attributes:
        counts: by kind of file and outcome.
        faults: seed, number and what happened of each case that was neither read nor refused.
        cpu_s: of all processes.
        peak_mib: resident memory of the largest process.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    peak_mib: float = 0.0


def run_cases(
    first: int, count: int, *, seed: int, processes: int = 1, within_s: float | None = None
) -> Report:
    """Run cases ``first`` to ``first + count``, or as many as fit into the time.

    Args:
        first: number of the first case.
        count: how many at most.
        seed: with the number decides a case.
        processes: how many at once; each takes every n-th case.
        within_s: seconds after which no further case is begun.
    """
    report = Report()
    watchers = [
        threading.Thread(
            target=_watch, args=(report, range(first + n, first + count, processes), seed, within_s)
        )
        for n in range(processes)
    ]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    return report


def _watch(report: Report, numbers: range, seed: int, within_s: float | None) -> None:
    """Run cases in a child; where it dies or hangs, note the case and go on behind it."""
    while len(numbers):
        arguments = [numbers.start, numbers.stop, numbers.step, seed, within_s or 0]
        command = [sys.executable, "-m", "tests.dataset.fuzz.run", "--child", json.dumps(arguments)]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, cwd=ROOT,  # Where libtiff complains.
        )
        state = {"case": numbers.start, "since": time.monotonic() + 120}
        guard = threading.Thread(target=_kill_when_hanging, args=(child, state), daemon=True)
        guard.start()
        assert child.stdout is not None
        for line in child.stdout:
            said = json.loads(line)
            if "case" in said:
                state.update(case=said["case"], since=time.monotonic())
            elif "fault" in said:
                report.faults.append(f"{seed}:{state['case']} {said['fault']}")
            else:
                report.counts.update(said["counts"])
                report.cpu_s += said["cpu_s"]
                report.peak_mib = max(report.peak_mib, said["peak_mib"])
        if child.wait() == 0:
            return
        report.faults.append(f"{seed}:{state['case']} ended with {child.returncode}")
        numbers = range(int(state["case"]) + numbers.step, numbers.stop, numbers.step)


def _kill_when_hanging(child: subprocess.Popen[str], state: dict[str, float]) -> None:
    while child.poll() is None:
        if time.monotonic() - state["since"] > HANGS_S:
            child.kill()
        time.sleep(0.5)


def child_main(first: int, stop: int, step: int, seed: int, within_s: float) -> None:
    """Run cases in this process, and say what came of them, line by line."""
    sys.path.insert(0, str(ROOT / "devtools"))
    from load_pack import load_pack

    load_pack()
    from lora_kiln.tests.dataset.fuzz.cases import Cases

    cases, counts, begun_s = Cases(seed), Counter[str](), time.monotonic()
    for number in range(first, stop, step):
        if within_s and time.monotonic() - begun_s > within_s:
            break
        _say(case=number)
        try:
            counts[" ".join(cases.run(number))] += 1
        except BaseException as error:
            counts["fault"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            _say(fault=f"{type(error).__name__}: {str(error)[:300]} in {where.name}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _say(
        counts=counts, cpu_s=usage.ru_utime + usage.ru_stime, peak_mib=usage.ru_maxrss / 1024
    )


def _say(**values: object) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    """Run cases and print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--child", type=json.loads)
    arguments = parser.parse_args()
    if arguments.child:
        child_main(*arguments.child)
        return
    report = run_cases(
        arguments.first, arguments.cases, seed=arguments.seed, processes=arguments.processes
    )
    print(json.dumps(dict(sorted(report.counts.items())), indent=1))
    print(f"{report.cpu_s:.0f} CPU s, {report.peak_mib:.0f} MiB at most")
    print("\n".join(report.faults) or "no faults")


if __name__ == "__main__":
    main()
