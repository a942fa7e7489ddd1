"""64 bytes there and back through multiprocessing.Pipe: python_pipe.py WARM_UP TRIPS

Prints p50 and p99 in microseconds.
"""
import multiprocessing as mp
import sys
import time


def echo(connection, trips):
    for _ in range(trips):
        connection.send_bytes(connection.recv_bytes())


def main():
    warm_up, trips = map(int, sys.argv[1:])
    context = mp.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=echo, args=(there, warm_up + trips))
    process.start()
    message = bytes(64)
    taken = []
    for _ in range(warm_up + trips):
        start = time.perf_counter()
        here.send_bytes(message)
        here.recv_bytes()
        taken.append(time.perf_counter() - start)
    process.join()
    taken = sorted(taken[warm_up:])
    print(taken[trips // 2] * 1e6, taken[trips * 99 // 100] * 1e6)


if __name__ == "__main__":
    main()
