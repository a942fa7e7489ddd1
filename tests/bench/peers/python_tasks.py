"""Tasks of a given length on two workers: python_tasks.py pool-1|pool|executor MICROSECONDS TASKS

pool-1 sends one task at a time, the others as many as is their default. Prints a task's share of the time that both
workers took, in microseconds.
"""
import multiprocessing as mp
import sys
import time
from concurrent.futures import ProcessPoolExecutor

WORKERS = 2


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def measure(run, seconds, tasks):
    run([seconds] * 100)
    work = [seconds] * tasks
    start = time.perf_counter()
    run(work)
    print((time.perf_counter() - start) * 1e6 * WORKERS / tasks)


def main():
    kind, seconds, tasks = sys.argv[1], float(sys.argv[2]) / 1e6, int(sys.argv[3])
    context = mp.get_context("fork")
    if kind == "executor":
        with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
            measure(lambda work: list(executor.map(spin, work)), seconds, tasks)
    else:
        chunk = {"pool-1": 1, "pool": None}[kind]
        with context.Pool(WORKERS) as pool:
            measure(lambda work: pool.map(spin, work, chunksize=chunk), seconds, tasks)


if __name__ == "__main__":
    main()
