"""Messages through multiprocessing.Queue: python_queue.py PRODUCERS CONSUMERS BYTES MESSAGES

Prints the throughput, in millions of messages per second below 1 KiB, else in gigabytes per second,
and the CPU seconds of all processes together for a million messages or a gigabyte.
"""
import multiprocessing as mp
import resource
import sys
import time


def produce(line, queue, messages, message):
    line.wait()
    for _ in range(messages):
        queue.put(message)


def consume(line, queue, messages, ended):
    line.wait()
    for _ in range(messages):
        queue.get()
    ended.put(time.monotonic())


def main():
    producers, consumers, size, messages = map(int, sys.argv[1:])
    context = mp.get_context("fork")
    line = context.Barrier(producers + consumers + 1)
    queue = context.Queue(max(2**20 // size, 16))
    ended = context.SimpleQueue()
    message = bytes(size)
    processes = [
        context.Process(target=produce, args=(line, queue, messages // producers, message))
        for _ in range(producers)
    ] + [
        context.Process(target=consume, args=(line, queue, messages // consumers, ended))
        for _ in range(consumers)
    ]
    for process in processes:
        process.start()
    line.wait()
    start = time.monotonic()
    last = max(ended.get() for _ in range(consumers))
    for process in processes:
        process.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    units = messages / 1e6 if size < 1024 else messages * size / 1e9
    print(units / (last - start), (used.ru_utime + used.ru_stime) / units)


if __name__ == "__main__":
    main()
