"""Bytes there and back through multiprocessing.Pipe: python_pipe.py WARM_UP TRIPS BYTES

Prints p50 and p99 in microseconds, and the CPU seconds of a million.
"""
import multiprocessing as mp
import resource
import sys
import time


def echo(connection, trips):
    for _ in range(trips):
        connection.send_bytes(connection.recv_bytes())


def used():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def main():
    warm_up, trips, size = map(int, sys.argv[1:])
    context = mp.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=echo, args=(there, warm_up + trips))
    process.start()
    message = bytes(size)
    before = used()
    taken = []
    for _ in range(warm_up + trips):
        start = time.perf_counter()
        here.send_bytes(message)
        here.recv_bytes()
        taken.append(time.perf_counter() - start)
    process.join()
    seconds = used() - before
    taken = sorted(taken[warm_up:])
    print(taken[trips // 2] * 1e6, taken[trips * 99 // 100] * 1e6, seconds / (warm_up + trips) * 1e6)


if __name__ == "__main__":
    main()
