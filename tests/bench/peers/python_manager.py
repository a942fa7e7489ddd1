"""One operation on a multiprocessing.Manager's dict: python_manager.py OPERATIONS

Prints the p50 of a get, a set, and `d[k] += 1` (two trips, and not exact with several writers) in
microseconds.
"""
import multiprocessing as mp
import sys
import time


def p50(operations, call):
    taken = []
    for _ in range(operations):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[operations // 2] * 1e6


def main():
    operations = int(sys.argv[1])
    with mp.get_context("fork").Manager() as manager:
        d = manager.dict({"key": 0})

        def get():
            return d["key"]

        def put():
            d["key"] = 1

        def add():
            d["key"] += 1

        for call in (get, put, add):
            print(p50(operations, call))


if __name__ == "__main__":
    main()
