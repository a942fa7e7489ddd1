"""A multiprocessing.Manager: python_manager.py calls|create OPERATIONS

calls: prints the p50 of a dict's get, set, and `d[k] += 1` (two trips, and not exact with several
writers) in microseconds. create: of making a dict, and of making one and letting it go.
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


def calls(manager, operations):
    d = manager.dict({"key": 0})

    def get():
        return d["key"]

    def put():
        d["key"] = 1

    def add():
        d["key"] += 1

    for call in (get, put, add):
        print(p50(operations, call))


def create(manager, operations):
    kept = []  # the second time nothing is
    print(p50(operations, lambda: kept.append(manager.dict())))
    print(p50(operations, manager.dict))


def main():
    with mp.get_context("fork").Manager() as manager:
        {"calls": calls, "create": create}[sys.argv[1]](manager, int(sys.argv[2]))


if __name__ == "__main__":
    main()
