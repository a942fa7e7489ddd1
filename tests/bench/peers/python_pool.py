"""A pool of two workers: python_pool.py pool|executor apply|map_1|map|large

Prints the p50 of one no-op in microseconds; or the throughput of no-ops in chunks of one or in default chunks in
thousands per second; or that of 10 MiB there and back for each task in GiB per second.
"""
import multiprocessing as mp
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def nothing(x):
    return x


def measure(what, apply, map_one_by_one, map_by_default, tasks_by_default):
    def rate(run, work):
        start = time.perf_counter()
        run(nothing, work)
        return len(work) / (time.perf_counter() - start)

    map_one_by_one(nothing, [1] * 100)
    if what == "apply":
        taken = []
        for _ in range(1000):
            start = time.perf_counter()
            apply(nothing, 1)
            taken.append(time.perf_counter() - start)
        return sorted(taken)[500] * 1e6
    if what == "map_1":
        return rate(map_one_by_one, [1] * 10_000) / 1e3
    if what == "map":
        return rate(map_by_default, [1] * tasks_by_default) / 1e3
    large = [bytes(10 << 20)] * 8
    map_one_by_one(nothing, large)
    return rate(map_one_by_one, large) * 20 / 1024


def main():
    context = mp.get_context("fork")
    if sys.argv[1] == "pool":
        with context.Pool(2) as pool:
            print(
                measure(
                    sys.argv[2],
                    lambda f, x: pool.apply(f, (x,)),
                    lambda f, work: pool.map(f, work, chunksize=1),
                    pool.map,
                    1_000_000,
                )
            )
    else:
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            print(
                measure(
                    sys.argv[2],
                    lambda f, x: executor.submit(f, x).result(),
                    lambda f, work: list(executor.map(f, work)),
                    lambda f, work: list(executor.map(f, work)),
                    10_000,  # its default is chunks of one
                )
            )


if __name__ == "__main__":
    main()
