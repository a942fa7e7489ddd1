"""Starting and joining a process with the method spawn: python_start.py TIMES

Prints the p50 in milliseconds.
"""
import multiprocessing as mp
import sys
import time


def nothing():
    pass


def main():
    times = int(sys.argv[1])
    context = mp.get_context("spawn")
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        process = context.Process(target=nothing)
        process.start()
        process.join()
        taken.append(time.perf_counter() - start)
    print(sorted(taken)[times // 2] * 1e3)


if __name__ == "__main__":
    main()
