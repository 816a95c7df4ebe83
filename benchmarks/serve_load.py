#!/usr/bin/env python3
"""Measures 'cavmae serve' under load, beside 'cavmae embed' on the same files.

  benchmarks/serve_load.py --program build/release/cavmae --checkpoint RUN --data FOLDER [--seconds 20] [--json FILE]

Makes a library of FOLDER, serves it, and sends its files to POST /v1/embed from as many clients as keep it busy; then
at twice that rate, open loop. Prints requests a second, latencies, and what became of every request: each has to be
answered, by 200 or by 503 with Retry-After. 'of_embed' is the requests a second over the files a second of the command,
whose start (a run with one file) is taken off. Talks to 127.0.0.1 alone and ends by itself.
"""
import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time


def form_of(path):
    boundary = "cavmae-load-0123456789"
    with open(path, "rb") as file:
        content = file.read()
    head = (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{os.path.basename(path)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n").encode()
    return head + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def ask(port, form):
    """Status (0: no answer) and seconds."""
    begin = time.monotonic()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/v1/embed", form[0], {"Content-Type": form[1]})
        answer = connection.getresponse()
        answer.read()
        status = answer.status if answer.status != 503 or answer.getheader("Retry-After") else 0
        connection.close()
    except OSError:
        status = 0
    return status, time.monotonic() - begin


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else None


def summary(results, seconds):
    good = [took for status, took in results if status == 200]
    return {"requests": len(results), "answered_200": len(good),
            "answered_503": sum(status == 503 for status, _ in results),
            "lost": sum(status not in (200, 503) for status, _ in results),
            "per_second": len(good) / seconds, "p50_s": percentile(good, 0.5), "p99_s": percentile(good, 0.99),
            "p99_of_all_s": percentile([took for _, took in results], 0.99)}


def closed_loop(port, forms, clients, seconds):
    results, lock, end = [], threading.Lock(), time.monotonic() + seconds

    def client(number):
        i = number
        while time.monotonic() < end:
            one = ask(port, forms[i % len(forms)])
            i += clients
            with lock:
                results.append(one)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return summary(results, time.monotonic() - begin)


def open_loop(port, forms, rate, seconds):
    results, lock, threads = [], threading.Lock(), []
    begin = time.monotonic()

    def one(i):
        result = ask(port, forms[i % len(forms)])
        with lock:
            results.append(result)
    for i in range(int(rate * seconds)):
        time.sleep(max(0.0, begin + i / rate - time.monotonic()))
        threads.append(threading.Thread(target=one, args=(i,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return summary(results, time.monotonic() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/release/cavmae")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json")
    flags = parser.parse_args()
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(flags.data) for name in names
                   if name.endswith((".mp4", ".webm", ".mkv", ".avi", ".wav")))
    if not files:
        sys.exit(f"{flags.data}: no media files")
    with tempfile.TemporaryDirectory() as work:
        library = os.path.join(work, "library")
        subprocess.run([flags.program, "-q", "index", library, "--data", flags.data, "--checkpoint", flags.checkpoint],
                       check=True, stdout=subprocess.DEVNULL, timeout=3600)
        def embed(some):
            begin = time.monotonic()
            subprocess.run([flags.program, "-q", "embed", "--checkpoint", flags.checkpoint, "--frames", "all", "--out",
                            os.path.join(work, "e.safetensors"), *some], check=True, stdout=subprocess.DEVNULL, timeout=3600)
            return time.monotonic() - begin
        embed(files[:1])  # files into memory
        embed_seconds = embed(files) - embed(files[:1])
        server = subprocess.Popen([flags.program, "-q", "serve", library, "--port", "0"], stdout=subprocess.PIPE, text=True)
        try:
            port = int(re.search(r":(\d+)/", server.stdout.readline()).group(1))
            forms = [form_of(path) for path in files]
            closed_loop(port, forms, 2, 2)  # warm
            full = closed_loop(port, forms, flags.clients, flags.seconds)
            twice = open_loop(port, forms, 2 * full["per_second"], flags.seconds)
        finally:
            server.terminate()
            server.wait(timeout=60)
    out = {"files": len(files), "embed_files_per_second": (len(files) - 1) / embed_seconds,
           "of_embed": full["per_second"] * embed_seconds / (len(files) - 1), "busy": full, "twice_the_load": twice}
    print(json.dumps(out, indent=1))
    if flags.json:
        with open(flags.json, "w") as file:
            json.dump(out, file, indent=1)
    return 1 if full["lost"] or twice["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
